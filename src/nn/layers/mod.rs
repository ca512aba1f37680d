//! The parts that GPT-2, the mapping networks and a CLIP that trains are put together from, with gradients.
//!
//! On the processor, in f32, each has its own forward and backward pass: sums over a row are
//! taken in one pass, what the backward pass needs is kept and nothing else, a weight that does
//! not train costs no gradient, and one that does has it added in place. Elsewhere (CUDA, half
//! precision) candle's operators are put together, whose gradients are candle's own; a linear map or a
//! norm that does not train stays out of its graph, and the cross entropy keeps no probabilities.

mod activation;
mod attention;
mod dropout;
mod embedding;
mod entropy;
#[cfg(feature = "cuda")]
mod fused_entropy;
mod head;
mod lanes;
mod linear;
mod norm;
mod seen;
mod source;

#[cfg(test)]
mod differences;

pub use activation::Curve;
pub use dropout::Dropout;
pub use source::{Differences, Expected};

pub(in crate::nn) use activation::{curve, curve_back, curve_run};
pub(in crate::nn) use attention::{Mixing, Onto, attend, attend_onto, attention, attention_onto};
pub(in crate::nn) use embedding::Embedding;
pub(in crate::nn) use entropy::entropy;
#[cfg(feature = "cuda")]
pub(in crate::nn) use fused_entropy::fused_entropy;
pub(in crate::nn) use linear::{Factors, Form, Joined, Linear, add_columns};
pub(in crate::nn) use norm::Norm;
pub(in crate::nn) use seen::Seen;
pub(in crate::nn) use source::{Init, Source};
