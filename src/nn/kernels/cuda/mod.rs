//! Kernels of this house for NVIDIA's GPUs, of compute capability 8.0 and above: those of a CLIP
//! (`clip.cu`) and of a GPT-2 that trains (`train.cu`) around their matrix products, and AdamW
//! (`optimizer.cu`). Most are one pass over the GPU's memory.
//!
//! They are compiled by NVRTC for a model's sizes. All work of a thread goes to one stream, candle's,
//! so that its order is that of the calls. A model is used by one thread after the other, and what it
//! made is fetched before the next one takes it.

mod clip;
mod launch;
mod optimizer;
mod train;
mod upload;

pub(in crate::nn) use clip::{ClipKernels, ClipSizes};
pub(crate) use optimizer::{AdamKernels, AdamRates};
pub(in crate::nn) use train::{NormOf, TrainKernels};
