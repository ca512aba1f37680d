//! Image and text encoders: a model's files in, rows of features out.
//!
//! [`describe`] needs no weights in memory; [`ImageEncoder`] and [`TextEncoder`] load one tower each.

mod batch;
mod facts;
mod fidelity;
mod files;
mod gpus;
mod image;
mod load;
mod portion;
mod text;

pub use facts::{ModelFacts, describe};
pub use fidelity::{SAMPLE_ROWS, Sample};
pub use gpus::gpu_names;
pub use image::ImageEncoder;
pub use load::check_device;
pub use text::TextEncoder;
