//! Pillow's resize, bit for bit (`src/libImaging/Resample.c`, 8 bits a channel).
//!
//! Weights are computed in doubles, normalised, and rounded to 22 fractional bits; the
//! horizontal pass comes first and is rounded to bytes before the vertical one. Only the
//! window that a crop keeps is computed, so an image of 10,000 × 1 px costs no more than its
//! crop. A pass that would not change its side is left out, as Pillow leaves it out.

use crate::flow::Pixels;
use crate::flow::preprocessing::Resample;

/// Fractional bits of a weight: 32 less 8 of the pixel less 2 of overshoot.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// A side of the output: its length before the crop, and the part that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// Length of the whole resized side, in pixels.
    pub full_px: u64,
    /// First pixel that is kept.
    pub start_px: u64,
    /// Number of pixels that are kept.
    pub kept_px: u32,
}

/// The window `x` × `y` of `pixels` resized to the full sides, RGB interleaved.
///
/// # Shapes
/// The result holds `y.kept_px * x.kept_px * 3` bytes.
#[must_use]
pub fn resize_window(pixels: &Pixels, filter: Resample, x: Side, y: Side) -> Vec<u8> {
    let across = Taps::new(pixels.width_px, filter, x);
    let down = Taps::new(pixels.height_px, filter, y);
    let (first_row, last_row) = down.range();
    let stride = pixels.width_px as usize * 3;
    let rows = &pixels.data[first_row * stride..last_row * stride];
    let kept = x.kept_px as usize * 3;
    let middle: Vec<u8> = match &across.weights {
        None => pick_columns(rows, stride, &across.bounds),
        Some(weights) => {
            let mut middle = vec![0; (last_row - first_row) * kept];
            for (line, out) in rows.chunks_exact(stride).zip(middle.chunks_exact_mut(kept)) {
                across_line(line, &across.bounds, weights, out);
            }
            middle
        }
    };
    let mut out = Vec::with_capacity(y.kept_px as usize * kept);
    match &down.weights {
        None => {
            for bound in &down.bounds {
                let at = (bound.first - first_row) * kept;
                out.extend_from_slice(&middle[at..at + kept]);
            }
        }
        Some(weights) => {
            let mut sums = vec![0_i32; kept];
            for bound in &down.bounds {
                sums.fill(1 << (PRECISION_BITS - 1));
                let lines = middle[(bound.first - first_row) * kept..].chunks_exact(kept);
                for (line, weight) in lines.zip(&weights[bound.weights.clone()]) {
                    for (sum, value) in sums.iter_mut().zip(line) {
                        *sum += i32::from(*value) * weight;
                    }
                }
                out.extend(sums.iter().map(|sum| clip8(*sum)));
            }
        }
    }
    out
}

fn across_line(line: &[u8], bounds: &[Bound], weights: &[i32], out: &mut [u8]) {
    for (pixel, bound) in out.chunks_exact_mut(3).zip(bounds) {
        let weights = &weights[bound.weights.clone()];
        let taps = line[bound.first * 3..(bound.first + weights.len()) * 3].chunks_exact(3);
        let mut sums = [1_i32 << (PRECISION_BITS - 1); 3];
        for (tap, weight) in taps.zip(weights) {
            sums[0] += i32::from(tap[0]) * weight;
            sums[1] += i32::from(tap[1]) * weight;
            sums[2] += i32::from(tap[2]) * weight;
        }
        pixel.copy_from_slice(&sums.map(clip8));
    }
}

fn pick_columns(rows: &[u8], stride: usize, bounds: &[Bound]) -> Vec<u8> {
    rows.chunks_exact(stride)
        .flat_map(|line| {
            bounds.iter().flat_map(|bound| line[bound.first * 3..bound.first * 3 + 3].iter().copied())
        })
        .collect()
}

fn clip8(sum: i32) -> u8 {
    u8::try_from((sum >> PRECISION_BITS).clamp(0, 255)).unwrap_or_default()
}

/// Where the inputs of one output pixel begin, and which weights they have.
struct Bound {
    first: usize,
    weights: std::ops::Range<usize>,
}

/// Inputs and weights of every kept output pixel of one side.
struct Taps {
    bounds: Vec<Bound>,
    /// None where each output is one input: nearest, or a side that keeps its length.
    weights: Option<Vec<i32>>,
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sides are far below 2^52, and Pillow's own casts are followed one by one"
)]
impl Taps {
    fn new(input_px: u32, filter: Resample, side: Side) -> Self {
        let kept = side.start_px..side.start_px + u64::from(side.kept_px);
        let input = f64::from(input_px);
        let single = |first: usize| Bound { first: first.min(input_px as usize - 1), weights: 0..0 };
        if side.full_px == u64::from(input_px) {
            return Self { bounds: kept.map(|at| single(at as usize)).collect(), weights: None };
        }
        let scale = input / side.full_px as f64;
        let Some((lobes, kernel)) = kernel(filter) else {
            let bounds = kept.map(|at| single(((at as f64 + 0.5) * scale) as usize)).collect();
            return Self { bounds, weights: None };
        };
        let filter_scale = scale.max(1.0);
        let support = lobes * filter_scale;
        let mut bounds = Vec::with_capacity(side.kept_px as usize);
        let mut weights: Vec<i32> = Vec::new();
        let mut window: Vec<f64> = Vec::new();
        for at in kept {
            let center = (at as f64 + 0.5) * scale;
            let first = ((center - support + 0.5) as i64).max(0) as usize;
            let last = ((center + support + 0.5) as i64).min(i64::from(input_px)) as usize;
            window.clear();
            window.extend((first..last).map(|tap| {
                kernel((tap as f64 - center + 0.5) * (1.0 / filter_scale))
            }));
            let total: f64 = window.iter().sum();
            let from = weights.len();
            weights.extend(window.iter().map(|weight| {
                let weight = if total == 0.0 { *weight } else { weight / total };
                let fixed = weight * f64::from(1_u32 << PRECISION_BITS);
                (if fixed < 0.0 { fixed - 0.5 } else { fixed + 0.5 }) as i32
            }));
            bounds.push(Bound { first, weights: from..weights.len() });
        }
        Self { bounds, weights: Some(weights) }
    }

    /// The inputs that any kept output needs.
    fn range(&self) -> (usize, usize) {
        let first = self.bounds.iter().map(|bound| bound.first).min().unwrap_or(0);
        let last = self.bounds.iter().map(|bound| bound.first + bound.weights.len().max(1)).max();
        (first, last.unwrap_or(0))
    }
}

/// Half-width and formula of a filter; none for nearest.
fn kernel(filter: Resample) -> Option<(f64, fn(f64) -> f64)> {
    match filter {
        Resample::Nearest => None,
        Resample::Bilinear => Some((1.0, |x| (1.0 - x.abs()).max(0.0))),
        Resample::Bicubic => Some((2.0, bicubic)),
        Resample::Lanczos => Some((3.0, |x| {
            if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
        })),
    }
}

/// Keys' cubic with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}
