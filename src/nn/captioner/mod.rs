//! A captioner: a mapping network, and the GPT-2 that goes on from what it makes of an image
//! (Mokady et al., 2021, ClipCap, <https://arxiv.org/abs/2111.09734>).

mod checkpoint;
mod loss;
mod model;
mod names;

pub use loss::Batch;
pub use model::Captioner;
pub use names::Names;
