//! Pillow's resize, bit for bit (`src/libImaging/Resample.c` of Pillow 13, 8 bits a channel).
//!
//! Weights are computed in doubles, normalised, and rounded to 22 fractional bits; the first
//! pass is rounded to bytes before the second. The horizontal pass comes first, but where the
//! height shrinks by more than twice what the width does, the vertical one (new in Pillow 13;
//! earlier ones differ there by a few levels). Only the window that a crop keeps is computed,
//! so an image of 10,000 × 1 px costs no more than its crop. A pass that would not change its
//! side is left out, as Pillow leaves it out.

use pulp::Arch;

use crate::flow::Pixels;
use crate::flow::preprocessing::Resample;

/// Fractional bits of a weight: 32 less 8 of the pixel less 2 of overshoot.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// Half of the last bit that is kept.
const HALF: i32 = 1 << (PRECISION_BITS - 1);
/// Columns that the vertical pass sums side by side.
const LANES: usize = 64;

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
    Arch::new().dispatch(|| {
        if is_vertical_first(pixels, x, y) {
            // only the columns that the second pass reads
            let (first, last) = across.range();
            let image = Raster { data: &pixels.data, width: pixels.width_px as usize };
            let middle = vertical(&image, &down, first..last, 0);
            horizontal(
                &Raster { data: &middle, width: last - first },
                &across,
                0..down.bounds.len(),
                first,
            )
        } else {
            let (first, last) = down.range();
            let image = Raster { data: &pixels.data, width: pixels.width_px as usize };
            let middle = horizontal(&image, &across, first..last, 0);
            let width = across.bounds.len();
            vertical(&Raster { data: &middle, width }, &down, 0..width, first)
        }
    })
}

fn is_vertical_first(pixels: &Pixels, x: Side, y: Side) -> bool {
    let less = |input: u32, side: Side| u64::from(input).saturating_sub(side.full_px);
    less(pixels.height_px, y) > 2 * less(pixels.width_px, x)
}

/// Interleaved RGB and its width in pixels.
struct Raster<'a> {
    data: &'a [u8],
    width: usize,
}

impl Raster<'_> {
    /// Columns of a row.
    #[inline(always)]
    fn row(&self, y: usize, columns: std::ops::Range<usize>) -> &[u8] {
        let start = y * self.width * 3;
        self.data.get(start + columns.start * 3..start + columns.end * 3).unwrap_or_default()
    }
}

/// `rows` with their kept columns; the raster begins at the input's column `from`.
#[inline(always)]
fn horizontal(
    image: &Raster<'_>,
    taps: &Taps,
    rows: std::ops::Range<usize>,
    from: usize,
) -> Vec<u8> {
    let kept = taps.bounds.len() * 3;
    let mut out = vec![0; rows.len() * kept];
    let (first, last) = taps.range();
    // pixels are read in fours of bytes, so a line needs one more
    let mut line = vec![0; (last - first) * 3 + 1];
    for (y, out) in rows.zip(out.chunks_exact_mut(kept.max(1))) {
        let row = image.row(y, first - from..last - from);
        match &taps.weights {
            None => {
                for (pixel, bound) in out.chunks_exact_mut(3).zip(&taps.bounds) {
                    let at = (bound.first - first) * 3;
                    pixel.copy_from_slice(&row[at..at + 3]);
                }
            }
            Some(weights) => {
                line[..row.len()].copy_from_slice(row);
                for (pixel, bound) in out.chunks_exact_mut(3).zip(&taps.bounds) {
                    let weights = &weights[bound.weights.clone()];
                    let at = (bound.first - first) * 3;
                    pixel
                        .copy_from_slice(&weighted(&line[at..at + weights.len() * 3 + 1], weights));
                }
            }
        }
    }
    out
}

/// One pixel; the fourth lane belongs to the next and is dropped.
#[inline(always)]
fn weighted(line: &[u8], weights: &[i32]) -> [u8; 3] {
    let mut sums = [HALF; 4];
    for (tap, weight) in line.windows(4).step_by(3).zip(weights) {
        for (sum, value) in sums.iter_mut().zip(tap) {
            *sum += i32::from(*value) * weight;
        }
    }
    [clip8(sums[0]), clip8(sums[1]), clip8(sums[2])]
}

/// The kept rows of `columns`; the raster begins at the input's row `from`.
#[inline(always)]
fn vertical(
    image: &Raster<'_>,
    taps: &Taps,
    columns: std::ops::Range<usize>,
    from: usize,
) -> Vec<u8> {
    let kept = columns.len() * 3;
    let mut out = vec![0; taps.bounds.len() * kept];
    for (out, bound) in out.chunks_exact_mut(kept.max(1)).zip(&taps.bounds) {
        let top = bound.first - from;
        let Some(weights) = &taps.weights else {
            out.copy_from_slice(image.row(top, columns.clone()));
            continue;
        };
        let weights = &weights[bound.weights.clone()];
        let lines =
            || weights.iter().enumerate().map(|(i, w)| (image.row(top + i, columns.clone()), w));
        let mut chunks = out.chunks_exact_mut(LANES);
        let mut at = 0;
        for chunk in &mut chunks {
            let mut sums = [HALF; LANES];
            for (line, weight) in lines() {
                if let Some(values) = line.get(at..).and_then(|rest| rest.first_chunk::<LANES>()) {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum += i32::from(*value) * weight;
                    }
                }
            }
            for (out, sum) in chunk.iter_mut().zip(sums) {
                *out = clip8(sum);
            }
            at += LANES;
        }
        for (i, out) in chunks.into_remainder().iter_mut().enumerate() {
            let terms = lines().map(|(line, weight)| i32::from(line[at + i]) * weight);
            *out = clip8(terms.fold(HALF, |sum, term| sum + term));
        }
    }
    out
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn clip8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
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
        let single =
            |first: usize| Bound { first: first.min(input_px as usize - 1), weights: 0..0 };
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
            window.extend(
                (first..last).map(|tap| kernel((tap as f64 - center + 0.5) * (1.0 / filter_scale))),
            );
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
        Resample::Lanczos => {
            Some((3.0, |x| if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }))
        }
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
