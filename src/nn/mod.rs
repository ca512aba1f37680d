//! Neural networks on candle: devices, weight files, tokens, CLIP's two towers, and the parts of a
//! captioner: GPT-2 and mapping networks, with gradients.
//!
//! Nothing here knows of pipelines; [`crate::embed`] puts the parts together.

pub mod captioner;
pub mod clip;
pub mod contrastive;
pub mod device;
pub mod gpt2;
pub mod gradient;
pub mod layers;
pub mod mapper;
pub mod tokens;
pub mod weights;

#[cfg(feature = "cuda")]
pub(crate) use kernels::{AdamKernels, AdamRates};
pub(crate) use kernels::{KeepsRoom, in_pool, keep_cores_free};

mod blocks;
pub(crate) mod fault;
mod kernels;
