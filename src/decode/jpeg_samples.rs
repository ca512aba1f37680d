//! From components to RGB, bit for bit as libjpeg-turbo: "fancy" upsampling (`jdsample.c`) and
//! YCbCr to RGB (`jdcolor.c`).

use std::ops::Range;

use super::pillow::{self, clip};
use super::window::Window;

/// Pixels whose colours are computed side by side.
const CHUNK: usize = 32;

/// A component's samples and how much larger it becomes.
pub(super) struct Plane<'a> {
    pub(super) samples: &'a [u8],
    pub(super) stride: usize,
    pub(super) width: usize,
    /// Samples of a line that are asked for, or a neighbour of those.
    pub(super) columns: Range<usize>,
    pub(super) height: usize,
    pub(super) grow_x: usize,
    pub(super) grow_y: usize,
}

/// Room for one upsampled line and its sums, reused from line to line.
struct Room {
    line: Vec<u8>,
    sums: Vec<u16>,
}

impl Plane<'_> {
    fn room(&self) -> Room {
        let columns = self.columns.len();
        let width = if self.grow_x * self.grow_y == 1 { 0 } else { columns * self.grow_x };
        Room { line: vec![0; width], sums: vec![0; columns] }
    }

    #[inline(always)]
    fn line(&self, y: usize) -> &[u8] {
        let y = y.min(self.height - 1);
        let start = y * self.stride;
        let columns = start + self.columns.start..start + self.columns.end;
        self.samples.get(columns).unwrap_or_default()
    }

    /// Pixels `x` of one line of the image.
    #[inline(always)]
    fn upsampled<'a>(&'a self, y: usize, x: &Range<usize>, room: &'a mut Room) -> &'a [u8] {
        let before = self.columns.start * self.grow_x;
        self.line_of(y, room).get(x.start - before..x.end - before).unwrap_or_default()
    }

    /// The line that its columns grow to; where they begin or end within it, the outermost
    /// sample is treated as if it were at the border of the image, and is not asked for.
    #[inline(always)]
    fn line_of<'a>(&'a self, y: usize, room: &'a mut Room) -> &'a [u8] {
        let near = self.line(y / self.grow_y);
        // even output lines lean on the line above, odd ones on the line below
        let beside = || {
            let at = y / self.grow_y;
            self.line(if y.is_multiple_of(2) { at.saturating_sub(1) } else { at + 1 })
        };
        let smooth = self.width > 2;
        match (self.grow_x, self.grow_y) {
            (1, 1) => return near,
            (2, 1) if smooth => {
                for (sum, a) in room.sums.iter_mut().zip(near) {
                    *sum = 4 * u16::from(*a);
                }
                widen(&mut room.line, &room.sums, [4, 8]);
            }
            (2, 2) if smooth => {
                for ((sum, a), b) in room.sums.iter_mut().zip(near).zip(beside()) {
                    *sum = 3 * u16::from(*a) + u16::from(*b);
                }
                widen(&mut room.line, &room.sums, [8, 7]);
            }
            (1, 2) => {
                let bias = if y.is_multiple_of(2) { 1 } else { 2 };
                for ((out, a), b) in room.line.iter_mut().zip(near).zip(beside()) {
                    *out = byte((3 * u16::from(*a) + u16::from(*b) + bias) >> 2);
                }
            }
            (grow, _) => {
                for (out, value) in room.line.chunks_exact_mut(grow).zip(near) {
                    out.fill(*value);
                }
            }
        }
        &room.line
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "weighted means of bytes are bytes")]
fn byte(value: u16) -> u8 {
    value as u8
}

/// Triangle filter to twice the width: three parts of the near sum and one of the next.
#[inline(always)]
fn widen(out: &mut [u8], sums: &[u16], bias: [u16; 2]) {
    let (Some(first), Some(last)) = (sums.first(), sums.last()) else { return };
    let pairs = out.get_mut(1..).unwrap_or_default().chunks_exact_mut(2);
    // the right half of one sample and the left half of the next lie side by side
    for (pair, near) in pairs.zip(sums.windows(2)) {
        pair[0] = byte((3 * near[0] + near[1] + bias[1]) >> 4);
        pair[1] = byte((3 * near[1] + near[0] + bias[0]) >> 4);
    }
    if let [start, .., end] = out {
        *start = byte((4 * first + bias[0]) >> 4);
        *end = byte((4 * last + bias[1]) >> 4);
    }
}

/// JFIF YCbCr to RGB in 16-bit fixed point.
#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    [
        clip(y + ((91_881 * cr + 32_768) >> 16)),
        clip(y + ((-22_554 * cb - 46_802 * cr + 32_768) >> 16)),
        clip(y + ((116_130 * cb + 32_768) >> 16)),
    ]
}

/// A line of YCbCr as interleaved RGB.
#[inline(always)]
fn coloured(out: &mut [u8], planes: [&[u8]; 3]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        use super::jpeg_colour_x86::{self, PIXELS};
        let (chunks, rest) = out.as_chunks_mut::<{ 3 * PIXELS }>();
        let [y, cb, cr] = planes;
        let ((ys, y), (cbs, cb), (crs, cr)) =
            (y.as_chunks::<PIXELS>(), cb.as_chunks::<PIXELS>(), cr.as_chunks::<PIXELS>());
        for (((out, y), cb), cr) in chunks.iter_mut().zip(ys).zip(cbs).zip(crs) {
            jpeg_colour_x86::coloured(simd, out, [y, cb, cr]);
        }
        plain(rest, [y, cb, cr]);
        return;
    }
    plain(out, planes);
}

/// As the formula says, on any processor, [`CHUNK`] pixels at a time: colours are computed plane by
/// plane and then laid side by side, which compilers turn into vectors one by one.
#[inline(always)]
fn plain(out: &mut [u8], [y, cb, cr]: [&[u8]; 3]) {
    let (chunks, rest) = out.as_chunks_mut::<{ 3 * CHUNK }>();
    let (ys, y) = y.as_chunks::<CHUNK>();
    let (cbs, cb) = cb.as_chunks::<CHUNK>();
    let (crs, cr) = cr.as_chunks::<CHUNK>();
    for (((out, y), cb), cr) in chunks.iter_mut().zip(ys).zip(cbs).zip(crs) {
        let mut planes = [[0; CHUNK]; 3];
        for i in 0..CHUNK {
            let rgb = rgb(y[i], cb[i], cr[i]);
            for (plane, value) in planes.iter_mut().zip(rgb) {
                plane[i] = value;
            }
        }
        for i in 0..CHUNK {
            for (c, plane) in planes.iter().enumerate() {
                out[3 * i + c] = plane[i];
            }
        }
    }
    for (((out, y), cb), cr) in rest.as_chunks_mut().0.iter_mut().zip(y).zip(cb).zip(cr) {
        *out = rgb(*y, *cb, *cr);
    }
}

/// All planes as interleaved RGB, black outside of `window`; empty for a number of planes that no
/// JPEG mode has.
///
/// `transformed`: YCbCr or YCCK; `inverted`: inks as Adobe's programs store them.
#[inline(always)]
pub(super) fn interleave(
    planes: &[Plane<'_>],
    (width, height): (usize, usize),
    window: &Window,
    transformed: bool,
    inverted: bool,
) -> Vec<u8> {
    let mut data = vec![0; width * height * 3];
    let mut rooms: Vec<Room> = planes.iter().map(Plane::room).collect();
    let Window { x, y } = window;
    for (y, line) in data.chunks_exact_mut(width * 3).enumerate().take(y.end).skip(y.start) {
        let Some(line) = line.get_mut(x.start * 3..x.end * 3) else { continue };
        let lines: Vec<&[u8]> = planes
            .iter()
            .zip(&mut rooms)
            .map(|(plane, room)| plane.upsampled(y, x, room))
            .collect();
        match lines.as_slice() {
            [grey] => line.chunks_exact_mut(3).zip(*grey).for_each(|(out, l)| out.fill(*l)),
            [y, cb, cr] if transformed => coloured(line, [*y, *cb, *cr]),
            [a, b, c] => {
                for (((out, a), b), c) in line.chunks_exact_mut(3).zip(*a).zip(*b).zip(*c) {
                    out.copy_from_slice(&[*a, *b, *c]);
                }
            }
            [a, b, c, k] => {
                for ((((out, a), b), c), k) in
                    line.chunks_exact_mut(3).zip(*a).zip(*b).zip(*c).zip(*k)
                {
                    let mut ink = [*a, *b, *c];
                    if transformed {
                        ink = rgb(*a, *b, *c).map(|v| 255 - v);
                    }
                    let ink = [ink[0], ink[1], ink[2], *k];
                    // Pillow goes by Adobe's marker
                    let ink = if inverted { ink.map(|v| 255 - v) } else { ink };
                    out.copy_from_slice(&pillow::cmyk(ink));
                }
            }
            _ => return Vec::new(),
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::super::wide::wide;
    use super::*;

    #[test]
    fn every_colour_is_that_of_the_formula() {
        let levels: Vec<u8> = (0..=255).collect();
        for cb in 0..=255 {
            for cr in 0..=255 {
                let mut out = [0; 3 * 256];
                let planes = [&levels[..], &[cb; 256], &[cr; 256]];
                wide(
                    #[inline(always)]
                    || coloured(&mut out, planes),
                );
                let (pixels, _) = out.as_chunks::<3>();
                assert!(pixels.iter().zip(&levels).all(|(pixel, y)| *pixel == rgb(*y, cb, cr)));
            }
        }
    }

    #[test]
    fn lines_of_any_width_equal_the_pixel_formula() {
        for width in (0..100_usize).chain([1000]) {
            let level = |i: usize, by: usize| u8::try_from((i * by + width) % 256).unwrap();
            let planes =
                [37, 101, 211].map(|by| (0..width).map(|i| level(i, by)).collect::<Vec<u8>>());
            let [y, cb, cr] = [&planes[0][..], &planes[1][..], &planes[2][..]];
            let expected: Vec<u8> = (0..width).flat_map(|i| rgb(y[i], cb[i], cr[i])).collect();
            let mut out = vec![0; 3 * width];
            // the portable path, and the processor's best
            plain(&mut out, [y, cb, cr]);
            assert_eq!(out, expected, "{width}");
            out.fill(0);
            wide(
                #[inline(always)]
                || coloured(&mut out, [y, cb, cr]),
            );
            assert_eq!(out, expected, "{width}");
        }
    }
}
