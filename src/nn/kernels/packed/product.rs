//! Rows times packed weights.

use super::grid::Grid;
use super::level::{Level, Work, run};
use super::math::{gelu, gelu_tanh, quick_gelu};
use super::multiply;
use super::panels::{Number, Panels};
use super::share::{Out, Share};
use super::tile::{COLUMNS, Factors, Tile};
use crate::nn::clip::Activation;

/// What is done with a sum before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum Finish {
    /// Nothing.
    Store,
    /// It is added to what stands there.
    Add,
    /// The non-linearity.
    Activate(Activation),
}

/// `left * right + bias`, finished, into `out`.
///
/// # Shapes
/// `left`: rows of groups, for [`Number::Int8`] followed by scale and zero; `bias`: one for each
/// column of every panel; `out`: as many rows, at least as wide as the outputs.
pub(super) fn product(
    level: Level,
    left: &Grid,
    right: &Panels,
    bias: &[f32],
    out: &mut Grid,
    finish: Finish,
    share: Share,
) {
    let stride = out.stride();
    let to = Out::new(out.floats_mut());
    share.out(right.count(), 1, |panels| {
        run(level, Columns { left, right, bias, to, stride, finish, panels });
    });
}

struct Columns<'a> {
    left: &'a Grid,
    right: &'a Panels,
    bias: &'a [f32],
    to: Out,
    stride: usize,
    finish: Finish,
    panels: std::ops::Range<usize>,
}

impl Work for Columns<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self, level: Level) {
        let rows = self.left.rows();
        let blocks = rows.div_ceil(multiply::rows(level, self.right.number)).max(1);
        let mut tile = Tile::zero();
        for panel in self.panels.clone() {
            let right = self.right.panel(panel);
            for block in 0..blocks {
                // Blocks as even as can be: a last block of few rows would waste the panel.
                let (first, end) = (block * rows / blocks, (block + 1) * rows / blocks);
                let factors = Factors {
                    left: self.left.words().get(first * self.left.stride()..).unwrap_or_default(),
                    left_stride: self.left.stride(),
                    right,
                    right_stride: COLUMNS,
                    groups: self.right.groups(),
                };
                multiply::multiply(level, self.right.number, &factors, end - first, &mut tile);
                self.finish::<FUSED>(panel, first..end, &tile);
            }
        }
    }
}

impl Columns<'_> {
    #[inline(always)]
    fn finish<const FUSED: bool>(&self, panel: usize, rows: std::ops::Range<usize>, tile: &Tile) {
        let at = panel * COLUMNS;
        let count = COLUMNS.min(self.right.outputs - at);
        let Some(bias) = self.bias.get(at..).and_then(|bias| bias.first_chunk::<COLUMNS>()) else {
            return;
        };
        for (row, sums) in rows.zip(&tile.0) {
            let mut sums = match self.right.number {
                Number::F32 | Number::Bf16 => sums.map(f32::from_bits),
                Number::Int8 => self.unscaled(row, at, sums),
            };
            for (sum, bias) in sums.iter_mut().zip(bias) {
                *sum += bias;
            }
            // SAFETY: `to` is borrowed by the caller, and no two panels or rows overlap.
            let to = unsafe { self.to.part(row * self.stride + at, count) };
            match self.finish {
                Finish::Store => {}
                Finish::Add => sums.iter_mut().zip(to.iter()).for_each(|(sum, x)| *sum += x),
                Finish::Activate(Activation::QuickGelu) => {
                    sums.iter_mut().for_each(|x| *x = quick_gelu::<FUSED>(*x));
                }
                Finish::Activate(Activation::Gelu) => {
                    sums.iter_mut().for_each(|x| *x = gelu::<FUSED>(*x));
                }
                Finish::Activate(Activation::GeluTanh) => {
                    sums.iter_mut().for_each(|x| *x = gelu_tanh::<FUSED>(*x));
                }
            }
            match to.first_chunk_mut::<COLUMNS>() {
                Some(to) => *to = sums,
                None => to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum),
            }
        }
    }

    /// Sums of units as floats.
    #[inline(always)]
    fn unscaled(&self, row: usize, at: usize, sums: &[u32; COLUMNS]) -> [f32; COLUMNS] {
        let groups = self.right.groups();
        let start = row * self.left.stride() + groups;
        let mut out = [0.0; COLUMNS];
        let Some([scale, zero]) = self.left.words().get(start..).and_then(|w| w.first_chunk())
        else {
            return out;
        };
        let (scale, zero) = (f32::from_bits(*scale), zero.cast_signed());
        let columns = self.right.scales.iter().zip(&self.right.sums).skip(at);
        for ((out, sum), (column, weights)) in out.iter_mut().zip(sums).zip(columns) {
            #[expect(clippy::cast_precision_loss, reason = "24 bits of a sum are plenty")]
            let sum = (sum.cast_signed() - zero * weights) as f32;
            *out = sum * (scale * column);
        }
        out
    }
}
