//! Kernels of this house for NVIDIA's GPUs, of compute capability 8.0 and above: those of a CLIP
//! (`clip.cu`) and of a GPT-2 that trains (`train.cu`) around their matrix products, and AdamW
//! (`optimizer.cu`). Each is one pass over the GPU's memory.
//!
//! They are compiled by NVRTC when a model is loaded, for its sizes. All work goes to the one
//! stream of candle's device, so that its order is that of the calls and nothing waits.

mod clip;
mod launch;
mod optimizer;
mod train;
mod upload;

pub(in crate::nn) use clip::{ClipKernels, ClipSizes};
pub(crate) use optimizer::{AdamKernels, AdamRates};
pub(in crate::nn) use train::{NormOf, TrainKernels};
