//! Kernels of this house for NVIDIA's GPUs, of compute capability 8.0 and above: those of a CLIP
//! around its matrix products (`clip.cu`), each one pass over the GPU's memory.
//!
//! They are compiled by NVRTC when a model is loaded, for its sizes. All work goes to the one
//! stream of candle's device, so that its order is that of the calls and nothing waits.

mod clip;
mod launch;
mod upload;

pub(in crate::nn) use clip::{ClipKernels, ClipSizes};
