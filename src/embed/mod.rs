//! Image and text encoders: a model's files in, rows of features out.
//!
//! [`describe`] and [`missing`] need no weights in memory; [`ImageEncoder`] and [`TextEncoder`]
//! load one tower each.

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
pub use files::{MissingFile, Role, files, missing};
pub use gpus::gpu_names;
pub use image::ImageEncoder;
pub use load::check_device;
pub use text::TextEncoder;
