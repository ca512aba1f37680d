//! Neural networks on candle: devices, weight files, tokens, CLIP's two towers.
//!
//! Nothing here knows of pipelines; [`crate::embed`] puts the parts together.

pub mod clip;
pub mod device;
pub mod tokens;
pub mod weights;

pub(crate) mod fault;
mod kernels;
