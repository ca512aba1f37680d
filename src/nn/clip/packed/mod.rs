//! The towers on the processor: the same description and the same weights as the towers on
//! candle's tensors, over weights packed once, without a copy or an allocation between layers.

mod blocks;
mod crew;
mod streamed;
mod text;
mod vision;

pub use streamed::{StreamedText, StreamedVision};
pub use text::PackedText;
#[cfg(feature = "cuda")]
pub(super) use text::cut;
pub use vision::PackedVision;
