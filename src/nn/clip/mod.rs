//! CLIP (Radford et al., 2021, <https://arxiv.org/abs/2103.00020>): a vision transformer and a
//! causal text transformer that meet in one space.
//!
//! The architecture is read from weights and configuration ([`architecture`], and one file a
//! layout); names differ between layouts, numbers do not ([`names`]).

pub mod architecture;
mod block;
#[cfg(feature = "cuda")]
mod fused;
mod hugging_face;
mod images;
pub mod names;
pub mod open_ai;
pub mod open_clip;
mod packed;
mod random;
mod text;
mod towers;
mod vision;

pub use architecture::{Activation, Architecture, Pooling, TextTower, Transformer, VisionTower};
#[cfg(feature = "cuda")]
pub use fused::{FusedText, FusedVision};
pub use hugging_face::{
    config as hugging_face_config, preprocessing as hugging_face_preprocessing,
};
pub use images::Images;
pub use packed::{PackedText, PackedVision, StreamedText, StreamedVision};
pub use random::{ClipConfig, write_random};
pub use text::TextModel;
pub use towers::{TextTowers, VisionTowers};
pub use vision::VisionModel;
