//! Layer norm of rows.

use super::grid::Grid;
use super::level::{Level, Work, run};
use super::share::{Out, Share};

/// Scale and shift of a layer norm.
#[derive(Debug)]
pub(in crate::nn) struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f64,
}

impl Norm {
    pub(in crate::nn) fn new(scale: Vec<f32>, shift: Vec<f32>, epsilon: f64) -> Self {
        Self { scale, shift, epsilon }
    }

    /// `(x - mean) / sqrt(variance + epsilon) * scale + shift` of each row, mean and variance
    /// summed in f64.
    pub(in crate::nn) fn apply(&self, level: Level, x: &Grid, out: &mut Grid, share: Share) {
        out.shape(x.rows(), self.scale.len());
        let stride = out.stride();
        let to = Out::new(out.floats_mut());
        share.out(x.rows(), 8, |rows| {
            run(level, Rows { norm: self, x, to, stride, rows });
        });
    }
}

struct Rows<'a> {
    norm: &'a Norm,
    x: &'a Grid,
    to: Out,
    stride: usize,
    rows: std::ops::Range<usize>,
}

impl Work for Rows<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self, _: Level) {
        let width = self.norm.scale.len();
        for row in self.rows {
            let x = self.x.row(row).get(..width).unwrap_or_default();
            // SAFETY: `to` is borrowed by the caller, and rows do not overlap.
            let to = unsafe { self.to.part(row * self.stride, width) };
            normalise(self.norm, x, to);
        }
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the features are f32")]
#[expect(clippy::cast_precision_loss, reason = "a row has few numbers")]
fn normalise(norm: &Norm, x: &[f32], to: &mut [f32]) {
    let count = x.len() as f64;
    let mean = sum_of(x, |x| x) / count;
    let squares = sum_of(x, |x| (x - mean) * (x - mean));
    let factor = (squares / count + norm.epsilon).sqrt().recip() as f32;
    let mean = mean as f32;
    for (((to, x), scale), shift) in to.iter_mut().zip(x).zip(&norm.scale).zip(&norm.shift) {
        *to = (*x - mean) * factor * scale + shift;
    }
}

/// The sum of `each`, in sixteen lanes.
#[inline(always)]
fn sum_of(x: &[f32], each: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0_f64; 16];
    let (lines, rest) = x.as_chunks::<16>();
    for line in lines {
        for (lane, x) in lanes.iter_mut().zip(line) {
            *lane += each(f64::from(*x));
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += each(f64::from(*x));
    }
    lanes.iter().sum()
}
