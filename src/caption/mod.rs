//! Captions: written by a captioner, and scored against those of people.
//!
//! [`generate`] writes captions of images' features with a [`crate::nn::captioner::Captioner`];
//! [`decode`] has the strategies, over any language model; [`metrics`] scores captions.

pub mod decode;
pub mod metrics;

mod captions;
mod model;

pub use captions::{Generated, TASK, generate};
pub use decode::{EarlyStopping, Settings, Strategy};
pub use model::ModelDecoder;
