//! The part of an image that a crop keeps.

use std::ops::Range;

use super::preprocess::sides;
use super::resize::reach;
use crate::flow::Preprocessing;

/// Columns and rows, in pixels as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) x: Range<usize>,
    pub(super) y: Range<usize>,
}

impl Window {
    /// All of an image.
    pub(super) fn whole(width_px: u32, height_px: u32) -> Self {
        Self { x: 0..width_px as usize, y: 0..height_px as usize }
    }

    /// What any of `targets` reads; all of the image where there are none.
    pub(super) fn of(width_px: u32, height_px: u32, targets: &[Preprocessing]) -> Self {
        let of_one = |p: &Preprocessing| {
            let (x, y) = sides(width_px, height_px, p);
            Self { x: reach(width_px, p.resample, x), y: reach(height_px, p.resample, y) }
        };
        let joined = |a: Range<usize>, b: Range<usize>| a.start.min(b.start)..a.end.max(b.end);
        targets
            .iter()
            .filter(|_| width_px > 0 && height_px > 0)
            .map(of_one)
            .reduce(|a, b| Self { x: joined(a.x, b.x), y: joined(a.y, b.y) })
            .unwrap_or_else(|| Self::whole(width_px, height_px))
    }
}

/// Samples of a side of a component that `pixels` are made of, neighbours included: `part` of
/// `whole` sampling factors, of `samples` in all.
pub(super) fn sampled(
    pixels: &Range<usize>,
    part: usize,
    whole: usize,
    samples: usize,
) -> Range<usize> {
    // upsampling leans on one neighbour, and treats the ends of a line as such: one more
    let start = (pixels.start * part / whole).saturating_sub(1);
    let end = (pixels.end * part).div_ceil(whole) + 1;
    start.min(samples)..end.min(samples)
}
