//! Activations rounded to fewer bits.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::grid::{Grid, words_of};
use super::level::{Level, Work, run};
use super::number::{Number, bf16};

use super::share::{Out, Share};

/// Writes the first `width` numbers of each row of `x` as groups of `number`; where they have a
/// scale, followed by the value of a unit (f32) and the unit that is zero (i32).
pub(super) fn reduce(
    level: Level,
    number: Number,
    x: &Grid,
    width: usize,
    out: &mut Grid,
    share: Share,
) {
    out.shape_of(number, x.rows(), width);
    let stride = out.stride();
    let to = Out::new(out.floats_mut());
    share.out(x.rows(), 8, |rows| {
        run(level, Rows { number, x, width, to, stride, rows });
    });
}

struct Rows<'a> {
    number: Number,
    x: &'a Grid,
    width: usize,
    to: Out,
    stride: usize,
    rows: std::ops::Range<usize>,
}

impl Work for Rows<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self, level: Level) {
        for row in self.rows {
            let x = self.x.row(row).get(..self.width).unwrap_or_default();
            // SAFETY: `to` is borrowed by the caller, and rows do not overlap.
            let to = unsafe { self.to.part(row * self.stride, self.stride) };
            match self.number {
                Number::F32 => to.iter_mut().zip(x).for_each(|(to, x)| *to = *x),
                Number::Bf16 => pairs(level, x, words_of(to)),
                Number::Int8 => bytes::<false>(x, to),
                Number::Int16 => bytes::<true>(x, to),
            }
        }
    }
}

/// Numbers as groups of bfloat16.
#[inline(always)]
pub(super) fn pairs(level: Level, x: &[f32], to: &mut [u32]) {
    let (mut x, mut to) = (x, to);
    #[cfg(target_arch = "x86_64")]
    if level >= Level::Avx512 && Level::has_bf16() {
        let (from, x_rest) = x.as_chunks();
        let (into, to_rest) = to.split_at_mut(from.len() * 16);
        for (from, into) in from.iter().zip(into.as_chunks_mut().0) {
            // SAFETY: the processor was asked for these instructions.
            unsafe { avx512::pairs(from, into) };
        }
        (x, to) = (x_rest, to_rest);
    }
    for (to, of) in to.iter_mut().zip(x.chunks(2)) {
        *to = of.iter().rev().fold(0, |word, x| word << 16 | u32::from(bf16(*x)));
    }
}

/// Adding this rounds to an integer and leaves it in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Numbers as bytes; `WIDE` are those of [`Number::Int16`].
#[inline(always)]
fn bytes<const WIDE: bool>(x: &[f32], to: &mut [f32]) {
    let mut least = [0.0_f32; 16];
    let mut most = [0.0_f32; 16];
    let (lines, rest) = x.as_chunks::<16>();
    let mut extend = |line: &[f32]| {
        for ((least, most), x) in least.iter_mut().zip(&mut most).zip(line) {
            *least = if *x < *least { *x } else { *least };
            *most = if *x > *most { *x } else { *most };
        }
    };
    lines.iter().for_each(|line| extend(line));
    extend(rest);
    let least = least.iter().fold(0.0_f32, |a, b| a.min(*b));
    let most = most.iter().fold(0.0_f32, |a, b| a.max(*b));
    let scale = ((most - least) / 255.0).max(f32::MIN_POSITIVE);
    let factor = 1.0 / scale;
    let zero = (-least * factor).round_ties_even().clamp(0.0, 255.0);
    let unit = |x: f32| {
        let unit = x * factor + zero;
        let unit = if unit < 0.0 { 0.0 } else { unit };
        let unit = if unit > 255.0 { 255.0 } else { unit };
        (unit + ROUNDER).to_bits() & 0xFF
    };
    #[expect(clippy::cast_possible_truncation, reason = "0 to 255")]
    let zero = zero as i32;
    let words = |four: [f32; 4]| {
        let [a, b, c, d] = four.map(unit);
        if WIDE {
            let less = |unit: u32| (unit.cast_signed() - zero).cast_unsigned();
            [less(a) & 0xFFFF | less(c) << 16, less(b) & 0xFFFF | less(d) << 16]
        } else {
            [a | b << 8 | c << 16 | d << 24, 0]
        }
        .map(f32::from_bits)
    };
    let each = if WIDE { 2 } else { 1 };
    let (whole, rest) = x.as_chunks::<4>();
    for (to, four) in to.chunks_exact_mut(each).zip(whole) {
        to.iter_mut().zip(words(*four)).for_each(|(to, word)| *to = word);
    }
    let (start, end) = (whole.len() * each, x.len().div_ceil(4) * each);
    if let Some(to) = to.get_mut(start..end) {
        // weights are zero where inputs are missing
        let mut four = [0.0; 4];
        four.iter_mut().zip(rest).for_each(|(to, x)| *to = *x);
        to.iter_mut().zip(words(four)).for_each(|(to, word)| *to = word);
    }
    if let Some([to_scale, to_zero]) = to.get_mut(end..).and_then(|to| to.first_chunk_mut()) {
        *to_scale = scale;
        *to_zero = f32::from_bits(if WIDE { 0 } else { zero.cast_unsigned() });
    }
}
