//! Products over weights packed once, and what stands between them in a transformer, for the
//! processor.
//!
//! All but [`multiply_rows`], which training calls, works on rows of a [`Grid`]. An element of a product is one sum in the order
//! of its inputs, whatever the number of rows, the number of threads or the width of the
//! registers; so a row's numbers do not depend on its company. With a fused multiply-add, which
//! AVX-512, AVX2 and NEON have, f32 and int8 give the same bits at every width. A processor
//! without one rounds products before it adds them: its last bits differ, as a GPU's do, within
//! the tolerance that tests hold (`levels_agree_to_the_bit_or_within_the_tolerance`), and no fingerprint names
//! either. bf16 wants AVX-512 BF16 or AMX. AMX sums in another order, again the same for any company.

mod amx;
mod attention;
mod avx2;
mod avx512;
mod constant;
mod dots;
mod grid;
mod level;
mod linear;
mod math;
mod multiply;
mod norm;
mod number;
mod panels;
mod pieces;
mod plain;
mod product;
mod reduce;
mod share;
mod side;
mod softmax;
#[cfg(test)]
mod tests;
mod tile;

pub(in crate::nn) use attention::{Attention, Queries, Segment};
pub(in crate::nn) use constant::Constant;
pub(super) use dots::multiply_rows;
pub(in crate::nn) use grid::Grid;
pub(in crate::nn) use level::{Level, widest};
pub(in crate::nn) use linear::{Linear, Scratch};
pub(in crate::nn) use math::erf;
pub(in crate::nn) use norm::Norm;
pub(in crate::nn) use number::Number;
pub(in crate::nn) use product::Finish;
pub(in crate::nn) use share::Share;
#[cfg(test)]
pub(super) use share::WORTH_SHARING;
pub(super) use side::Side;
