//! Operators that candle lacks, or has less exactly.
//!
//! On the processor, in f32, each is one pass over rows shared out by rayon, and a row's numbers
//! depend on that row alone. Elsewhere candle's own operators are put together.

mod activation;
mod exponential;
mod layer_norm;
mod product;
mod rows;
mod softmax;

pub(super) use activation::activate;
pub(super) use exponential::{exp, tanh};
pub(super) use layer_norm::layer_norm;
pub(super) use product::{Matrix, product};
pub(super) use softmax::softmax;
