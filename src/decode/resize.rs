//! Pillow's resize, bit for bit (`src/libImaging/Resample.c` of Pillow 13, 8 bits a channel).
//!
//! Weights are computed in doubles, normalised, and rounded to 22 fractional bits; the first
//! pass is rounded to bytes before the second. The horizontal pass comes first, but where the
//! height shrinks by more than twice what the width does, the vertical one (new in Pillow 13;
//! earlier ones differ there by a few levels). Only the window that a crop keeps is computed,
//! so an image of 10,000 × 1 px costs no more than its crop. A pass that would not change its
//! side is left out, as Pillow leaves it out.

use super::wide::wide;

use crate::flow::Pixels;
use crate::flow::preprocessing::Resample;

/// Fractional bits of a weight: 32 less 8 of the pixel less 2 of overshoot.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// Half of the last bit that is kept.
const HALF: i32 = 1 << (PRECISION_BITS - 1);
/// Samples of a row that the vertical pass sums side by side.
const LANES: usize = 32;
/// Rows that the horizontal pass sums side by side.
const ROWS: usize = 8;
/// Samples of a column of so many rows.
const COLUMN: usize = 3 * ROWS;

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
    let is_vertical_first = is_vertical_first(pixels, x, y);
    wide(
        #[inline(always)]
        || both(pixels, &across, &down, is_vertical_first),
    )
}

/// Both passes, with whatever vectors the caller was compiled for.
#[inline(always)]
fn both(pixels: &Pixels, across: &Taps, down: &Taps, is_vertical_first: bool) -> Vec<u8> {
    let image = Raster { data: &pixels.data, width: pixels.width_px as usize };
    if is_vertical_first {
        // only the columns that the second pass reads
        let (first, last) = across.range();
        let middle = vertical(&image, down, first..last, 0);
        let middle = Raster { data: &middle, width: last - first };
        horizontal(&middle, across, 0..down.bounds.len(), first)
    } else {
        let (first, last) = down.range();
        let middle = horizontal(&image, across, first..last, 0);
        let width = across.bounds.len();
        vertical(&Raster { data: &middle, width }, down, 0..width, first)
    }
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
///
/// Vectors run down: [`ROWS`] rows are turned so that a column's samples lie side by side and
/// share their weight, and the result is turned back.
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
    let columns = first - from..last - from;
    let Some(weights) = &taps.weights else {
        for (y, out) in rows.zip(out.chunks_exact_mut(kept.max(1))) {
            let (row, _) = image.row(y, columns.clone()).as_chunks::<3>();
            for (pixel, bound) in out.as_chunks_mut().0.iter_mut().zip(&taps.bounds) {
                *pixel = row[bound.first - first];
            }
        }
        return out;
    };
    let mut turned = vec![0; columns.len() * COLUMN];
    let mut sums = vec![[0; COLUMN]; taps.bounds.len()];
    for (out, top) in out.chunks_mut((kept * ROWS).max(1)).zip(rows.step_by(ROWS)) {
        // where rows are missing, the last one stands in
        let bottom = top + out.len() / kept - 1;
        turn(
            std::array::from_fn(|i| image.row((top + i).min(bottom), columns.clone())),
            &mut turned,
        );
        for (sums, bound) in sums.iter_mut().zip(&taps.bounds) {
            *sums = weighted(
                &turned[(bound.first - first) * COLUMN..],
                &weights[bound.weights.clone()],
            );
        }
        for (i, out) in out.chunks_exact_mut(kept).enumerate() {
            for (pixel, sums) in out.as_chunks_mut().0.iter_mut().zip(&sums) {
                *pixel = sums.as_chunks::<3>().0[i];
            }
        }
    }
    out
}

/// Pixel `x` of every row, one after the other, for each `x`.
#[inline(always)]
fn turn(rows: [&[u8]; ROWS], turned: &mut [u8]) {
    for (i, row) in rows.iter().enumerate() {
        let start = i * 3;
        let (four, rest) = turned.as_chunks_mut::<{ 4 * COLUMN }>();
        let (pixels, last) = row.as_chunks::<12>();
        for (columns, pixels) in four.iter_mut().zip(pixels) {
            for x in 0..4 {
                let at = x * COLUMN + start;
                if x < 3 && i < ROWS - 1 {
                    // four bytes move as one; the fourth is overwritten by what follows
                    columns[at..at + 4].copy_from_slice(&pixels[x * 3..x * 3 + 4]);
                } else {
                    columns[at..at + 3].copy_from_slice(&pixels[x * 3..x * 3 + 3]);
                }
            }
        }
        let columns = rest.as_chunks_mut::<COLUMN>().0;
        for (column, pixel) in columns.iter_mut().zip(last.as_chunks::<3>().0) {
            column[start..start + 3].copy_from_slice(pixel);
        }
    }
}

/// One output column of [`ROWS`] rows.
#[inline(always)]
fn weighted(columns: &[u8], weights: &[i32]) -> [u8; COLUMN] {
    let mut sums = [HALF; COLUMN];
    for (column, weight) in columns.as_chunks::<COLUMN>().0.iter().zip(weights) {
        for (sum, value) in sums.iter_mut().zip(column) {
            *sum = sum.wrapping_add(i32::from(*value).wrapping_mul(*weight));
        }
    }
    let mut out = [0; COLUMN];
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = clip8(sum);
    }
    out
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
        let lines = image.data.get((top * image.width + columns.start) * 3..).unwrap_or_default();
        let stride = image.width * 3;
        for at in (0..kept).step_by(LANES) {
            // the last chunk begins early, where there is room, and sums some columns again
            let at = at.min(kept.saturating_sub(LANES));
            if let Some(out) = out[at..].first_chunk_mut::<LANES>() {
                *out = summed(&lines[at..], stride, weights);
            } else {
                for (i, out) in out.iter_mut().enumerate() {
                    let terms = lines[i..].iter().step_by(stride).zip(weights);
                    *out = clip8(terms.fold(HALF, |sum, (value, weight)| {
                        sum.wrapping_add(i32::from(*value).wrapping_mul(*weight))
                    }));
                }
            }
        }
    }
    out
}

/// [`LANES`] columns of one output row.
#[inline(always)]
fn summed(lines: &[u8], stride: usize, weights: &[i32]) -> [u8; LANES] {
    let mut sums = [HALF; LANES];
    for (line, weight) in lines.chunks(stride).zip(weights) {
        if let Some(values) = line.first_chunk::<LANES>() {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = sum.wrapping_add(i32::from(*value).wrapping_mul(*weight));
            }
        }
    }
    let mut out = [0; LANES];
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = clip8(sum);
    }
    out
}

#[inline(always)]
#[expect(clippy::cast_sign_loss, reason = "clamped")]
fn clip8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// The input pixels of a side that its kept part is computed from.
pub(super) fn reach(input_px: u32, filter: Resample, side: Side) -> std::ops::Range<usize> {
    // bounds move on with their outputs: those of the first and of the last hold all
    let end = |start_px: u64| Side { start_px, kept_px: 1, ..side };
    let (first, _) = Taps::new(input_px, filter, end(side.start_px)).range();
    let last = side.start_px + u64::from(side.kept_px).saturating_sub(1);
    let (_, last) = Taps::new(input_px, filter, end(last)).range();
    first..last
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
        match filter {
            Resample::Nearest => {
                let bounds = kept.map(|at| single(((at as f64 + 0.5) * scale) as usize)).collect();
                Self { bounds, weights: None }
            }
            Resample::Bilinear => {
                Self::summed(input_px, scale, kept, 1.0, |x| (1.0 - x.abs()).max(0.0))
            }
            Resample::Bicubic => Self::summed(input_px, scale, kept, 2.0, bicubic),
            Resample::Lanczos => Self::summed(input_px, scale, kept, 3.0, lanczos),
        }
    }

    /// Weights of outputs, by a filter of so many pixels to each side: `scale` inputs make an output.
    fn summed(
        input_px: u32,
        scale: f64,
        kept: std::ops::Range<u64>,
        lobes: f64,
        kernel: impl Fn(f64) -> f64,
    ) -> Self {
        let filter_scale = scale.max(1.0);
        let support = lobes * filter_scale;
        let mut bounds = Vec::with_capacity((kept.end - kept.start) as usize);
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

/// Three lobes.
fn lanczos(x: f64) -> f64 {
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both passes as the formula says, one sample after the other.
    fn plain(pixels: &Pixels, across: &Taps, down: &Taps, is_vertical_first: bool) -> Vec<u8> {
        type Samples = Vec<Vec<[u8; 3]>>;
        fn turned(rows: &Samples) -> Samples {
            let columns = rows.first().map_or(0, Vec::len);
            (0..columns).map(|x| rows.iter().map(|row| row[x]).collect()).collect()
        }
        fn pass(rows: &Samples, taps: &Taps) -> Samples {
            let one = |row: &Vec<[u8; 3]>, bound: &Bound| {
                let Some(weights) = &taps.weights else { return row[bound.first] };
                let weights = weights[bound.weights.clone()].iter();
                let mut sums = [HALF; 3];
                for (pixel, weight) in row[bound.first..].iter().zip(weights) {
                    for c in 0..3 {
                        sums[c] += i32::from(pixel[c]) * weight;
                    }
                }
                sums.map(clip8)
            };
            rows.iter().map(|row| taps.bounds.iter().map(|b| one(row, b)).collect()).collect()
        }
        let width = pixels.width_px as usize;
        let rows: Samples = pixels.data.as_chunks().0.chunks(width).map(<[_]>::to_vec).collect();
        let rows = if is_vertical_first {
            pass(&turned(&pass(&turned(&rows), down)), across)
        } else {
            turned(&pass(&turned(&pass(&rows, across)), down))
        };
        rows.concat().concat()
    }

    #[test]
    fn both_paths_equal_the_formula_on_odd_shapes() {
        let mut state = 1_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        let filters = [Resample::Nearest, Resample::Bilinear, Resample::Bicubic, Resample::Lanczos];
        for case in 0..400 {
            let (width_px, height_px) = (1 + random(70), 1 + random(70));
            let level = random(3);
            let data = (0..width_px * height_px * 3)
                .map(|_| match level {
                    0 => 255,
                    1 => 255 * u8::try_from(random(2)).unwrap(),
                    _ => u8::try_from(random(256)).unwrap(),
                })
                .collect();
            let pixels = Pixels { width_px, height_px, data };
            let mut side = || {
                let full_px = 1 + random(90);
                let start_px = random(full_px);
                let kept_px = 1 + random(full_px - start_px);
                Side { full_px: full_px.into(), start_px: start_px.into(), kept_px }
            };
            let (x, y) = (side(), side());
            let filter = filters[case % 4];
            let across = Taps::new(width_px, filter, x);
            let down = Taps::new(height_px, filter, y);
            for first in [false, true] {
                let expected = plain(&pixels, &across, &down, first);
                // the portable path, and the processor's best
                assert_eq!(both(&pixels, &across, &down, first), expected, "{x:?} {y:?}");
                let best = wide(
                    #[inline(always)]
                    || both(&pixels, &across, &down, first),
                );
                assert_eq!(best, expected, "{x:?} {y:?}");
            }
        }
    }
}
