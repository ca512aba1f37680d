//! From pixels to a model's input.
//!
//! Sizes and crops are torchvision's, which OpenAI's CLIP was trained with: the long side is
//! `int(size * long / short)` and the crop begins at `int(round((side - size) / 2))`, ties to
//! even. Hugging Face's `CLIPImageProcessor` computes the same long side but begins its crop
//! at `(side - size) // 2`: where the long side less the size leaves 3 when divided by 4, its
//! crop lies one pixel earlier. torchvision is followed.

use super::resize::{Side, resize_window};
use super::wide::{has_fused, wide};
use crate::base::{Error, Kind, Result};
use crate::flow::preprocessing::{Fit, Scale, normalised};
use crate::flow::{Pixels, Preprocessing};

/// The resized and cropped image, 8 bits a channel.
///
/// # Shapes
/// The result is `size × size`, interleaved RGB; an empty image gives black.
#[must_use]
pub fn preprocess_u8(pixels: &Pixels, p: &Preprocessing) -> Pixels {
    let size = p.size_px;
    let len = size as usize * size as usize * 3;
    let (w, h) = (pixels.width_px, pixels.height_px);
    let data = if w == 0 || h == 0 {
        vec![0; len]
    } else {
        let (x, y) = sides(w, h, p);
        resize_window(pixels, p.resample, x, y)
    };
    Pixels { width_px: size, height_px: size, data }
}

/// The model's input, written straight into its row of a batch.
///
/// # Shapes
/// `out` is `3 × size × size`, channels first.
///
/// # Errors
/// [`Kind::Internal`] when `out` has another length.
pub fn preprocess_into(pixels: &Pixels, p: &Preprocessing, out: &mut [f32]) -> Result<()> {
    scale_into(&preprocess_u8(pixels, p).data, &p.scale(), out)
}

/// The model's input of an image that [`preprocess_u8`] gave.
///
/// # Shapes
/// `levels` is `size × size`, interleaved RGB; `out` is `3 × size × size`, channels first.
///
/// # Errors
/// [`Kind::Internal`] when `out` has another length than `levels`.
pub fn scale_into(levels: &[u8], scale: &Scale, out: &mut [f32]) -> Result<()> {
    if out.len() != levels.len() {
        return Err(Error::new(
            Kind::Internal,
            format!(
                "preprocess an image: expected room for {} floats, got {}",
                levels.len(),
                out.len()
            ),
        ));
    }
    match scale.reciprocals {
        Some(reciprocals) if has_fused() => wide(
            #[inline(always)]
            || {
                split(
                    levels,
                    out,
                    #[inline(always)]
                    |c, level| normalised(level, scale.mean[c], scale.std[c], reciprocals[c]),
                )
            },
        ),
        _ => split(levels, out, |channel, level| scale.numbers[channel][usize::from(level)]),
    }
    Ok(())
}

/// Each channel of `levels` in a plane of its own.
#[inline(always)]
fn split(levels: &[u8], out: &mut [f32], number: impl Fn(usize, u8) -> f32) {
    let area = levels.len() / 3;
    let (red, rest) = out.split_at_mut(area);
    let (green, blue) = rest.split_at_mut(area);
    let values = red.iter_mut().zip(green).zip(blue);
    for (((red, green), blue), [r, g, b]) in values.zip(levels.as_chunks().0) {
        *red = number(0, *r);
        *green = number(1, *g);
        *blue = number(2, *b);
    }
}

/// As [`preprocess_into`], into a vector of its own.
///
/// # Errors
/// As [`preprocess_into`].
pub fn preprocess(pixels: &Pixels, p: &Preprocessing) -> Result<Vec<f32>> {
    let mut out = vec![0.0; 3 * p.size_px as usize * p.size_px as usize];
    preprocess_into(pixels, p, &mut out)?;
    Ok(out)
}

/// How both sides are resized, of an image that has some.
pub(super) fn sides(width_px: u32, height_px: u32, p: &Preprocessing) -> (Side, Side) {
    let (size, w, h) = (p.size_px, width_px, height_px);
    match p.fit {
        Fit::Squash => (whole(size), whole(size)),
        Fit::ShortestThenCentre if w <= h => (whole(size), centre(size, h, w)),
        Fit::ShortestThenCentre => (centre(size, w, h), whole(size)),
    }
}

fn whole(size: u32) -> Side {
    Side { full_px: size.into(), start_px: 0, kept_px: size }
}

/// The long side, cropped to its centre.
fn centre(size: u32, long: u32, short: u32) -> Side {
    let product = u64::from(size) * u64::from(long);
    // Python divides two whole numbers into the nearest double, then truncates; below 2^53
    // the truncated quotient is that of whole numbers
    let full = product / u64::from(short);
    let spare = full - u64::from(size);
    let half = spare / 2;
    let start = if spare % 2 == 1 && half % 2 == 1 { half + 1 } else { half };
    Side { full_px: full, start_px: start, kept_px: size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_round_ties_to_even() {
        for (long, start) in [(224, 0), (225, 0), (226, 1), (227, 2), (228, 2), (229, 2), (231, 4)]
        {
            assert_eq!(centre(224, long, 224).start_px, start, "{long}");
        }
    }

    #[test]
    fn a_thin_line_costs_only_its_crop() {
        let pixels = Pixels { width_px: 60_000, height_px: 1, data: vec![7; 180_000] };
        let square = preprocess_u8(&pixels, &Preprocessing::clip(224));
        assert_eq!(square.data, vec![7; 224 * 224 * 3]);
    }

    #[test]
    fn levels_are_normalised_channels_first() {
        let pixels = Pixels { width_px: 1, height_px: 1, data: vec![255, 0, 51] };
        let p = Preprocessing::clip(2);
        let out = preprocess(&pixels, &p).unwrap();
        let expected = [1.0_f32, 0.0, 0.2];
        for (i, value) in out.iter().enumerate() {
            let c = i / 4;
            assert_eq!(*value, (expected[c] - p.mean[c]) / p.std[c]);
        }
        assert!(preprocess_into(&pixels, &p, &mut [0.0; 3]).is_err());
        let mut later = vec![0.0; out.len()];
        scale_into(&preprocess_u8(&pixels, &p).data, &p.scale(), &mut later).unwrap();
        assert_eq!(later, out);
        assert!(scale_into(&[0; 6], &p.scale(), &mut [0.0; 3]).is_err());
    }

    #[test]
    fn products_give_what_divisions_give() {
        let level = |at: usize| u8::try_from(at % 257 % 256).unwrap();
        let levels: Vec<u8> = (0..257).flat_map(|at| [level(at); 3]).collect();
        let (clip, plain) = (Preprocessing::clip(224), [0.5; 3]);
        // a deviation whose reciprocal is no number has divisions alone
        for (mean, std, is_found) in [
            (clip.mean, clip.std, true),
            (plain, plain, true),
            ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], true),
            (plain, [0.5, 1e-39, 0.5], false),
        ] {
            let scale = Preprocessing { mean, std, ..clip }.scale();
            assert_eq!(scale.reciprocals.is_some(), is_found, "{std:?}");
            let mut out = vec![0.0; levels.len()];
            scale_into(&levels, &scale, &mut out).unwrap();
            for (at, value) in out.iter().enumerate() {
                let (channel, level) = (at / 257, level(at));
                let expected = (f32::from(level) / 255.0 - mean[channel]) / std[channel];
                assert_eq!(value.to_bits(), expected.to_bits(), "{channel} {level}");
            }
        }
    }
}
