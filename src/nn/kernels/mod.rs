//! Operators that candle lacks, or has less exactly.
//!
//! On the processor, in f32, each is one pass over rows shared out by rayon, and a row's numbers
//! depend on that row alone; a [`product`]'s last bits may also depend on how many rows there are,
//! since that decides how it is computed, but never on threads. On a GPU some have kernels of their own;
//! elsewhere candle's own operators are put together.

mod activation;
#[cfg(feature = "cuda")]
#[expect(unsafe_code, reason = "kernels of the GPU take addresses")]
mod cuda;
mod exponential;
mod few;
mod layer_norm;
#[expect(unsafe_code, reason = "vector instructions, and rows shared out among threads")]
mod packed;
mod product;
mod room;
mod rows;
mod softmax;
mod transpose;
mod waiting;

pub(super) use activation::activate;
#[cfg(feature = "cuda")]
pub(crate) use cuda::{AdamKernels, AdamRates};
#[cfg(feature = "cuda")]
pub(super) use cuda::{ClipKernels, ClipSizes, NormOf, TrainKernels};
pub(super) use exponential::{exp, tanh};
pub(super) use layer_norm::layer_norm;
pub(super) use packed::{
    Attention, Constant, Finish, Grid, Level, Linear, Norm, Number, Queries, Scratch, Segment,
    Share, erf, widest,
};
pub(super) use product::{Matrix, product};
pub(crate) use room::KeepsRoom;
pub(super) use room::ReturnsRoom;
pub(super) use softmax::softmax;
pub(super) use transpose::transposed;
pub(crate) use waiting::{in_pool, keep_cores_free};
