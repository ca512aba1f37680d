//! Layer norm of rows.

use super::grid::{Grid, words_of};
use super::level::{Level, Work, run};
use super::number::Number;
use super::reduce::pairs;
use super::share::{Out, Share};
use super::tile::COLUMNS;

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
    /// summed in f64; `out` is written in f32 or bfloat16.
    ///
    /// # Panics
    /// For bytes, a fault of the caller.
    pub(in crate::nn) fn apply(
        &self,
        level: Level,
        x: &Grid,
        (out, number): (&mut Grid, Number),
        share: Share,
    ) {
        assert!(!number.has_scale(), "bytes have scales");
        out.shape_of(number, x.rows(), self.scale.len());
        let stride = out.stride();
        let to = Out::new(out.floats_mut());
        share.out(x.rows(), 8, |rows| {
            run(level, Rows { norm: self, x, to, stride, number, rows });
        });
    }
}

struct Rows<'a> {
    norm: &'a Norm,
    x: &'a Grid,
    to: Out,
    stride: usize,
    number: Number,
    rows: std::ops::Range<usize>,
}

impl Work for Rows<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self, level: Level) {
        let width = self.norm.scale.len();
        for row in self.rows {
            let x = self.x.row(row).get(..width).unwrap_or_default();
            // SAFETY: `to` is borrowed by the caller, and rows do not overlap.
            let to = unsafe { self.to.part(row * self.stride, self.stride) };
            let normal = Normal::of(x, self.norm.epsilon);
            let of = (x, self.norm.scale.as_slice(), self.norm.shift.as_slice());
            if self.number != Number::Bf16 {
                normal.write(of, to);
                continue;
            }
            let (x, scale, shift) = of;
            let parts = x.chunks(COLUMNS).zip(scale.chunks(COLUMNS)).zip(shift.chunks(COLUMNS));
            for (((x, scale), shift), to) in parts.zip(words_of(to).chunks_mut(COLUMNS / 2)) {
                let mut part = [0.0; COLUMNS];
                normal.write((x, scale, shift), &mut part);
                pairs(level, &part, to);
            }
        }
    }
}

/// What makes the numbers of a row normal.
#[derive(Clone, Copy)]
struct Normal {
    mean: f32,
    factor: f32,
}

impl Normal {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the features are f32")]
    #[expect(clippy::cast_precision_loss, reason = "a row has few numbers")]
    fn of(x: &[f32], epsilon: f64) -> Self {
        let count = x.len() as f64;
        let mean = sum_of(x, |x| x) / count;
        let squares = sum_of(x, |x| (x - mean) * (x - mean));
        let factor = (squares / count + epsilon).sqrt().recip() as f32;
        Self { mean: mean as f32, factor }
    }

    /// Of numbers, their scales and their shifts.
    #[inline(always)]
    fn write(self, (x, scale, shift): (&[f32], &[f32], &[f32]), to: &mut [f32]) {
        for (((to, x), scale), shift) in to.iter_mut().zip(x).zip(scale).zip(shift) {
            *to = (*x - self.mean) * self.factor * scale + shift;
        }
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
