//! Activations rounded to fewer bits.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::grid::{Grid, words_of};
use super::level::{Level, Work, run};
use super::number::{Number, bf16};

use super::share::{Out, Share};

/// Writes the first `width` numbers of each row of `x` as groups of `number`; where they have a
/// scale, followed by the value of a unit (f32) and the unit that is zero (i32); for
/// [`Number::Int16`], whose zero is 0, the sum of the row's own products in its place.
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
    #[cfg(target_arch = "x86_64")]
    let (x, to) = if level >= Level::Avx512 && Level::has_bf16() {
        let (from, x_rest) = x.as_chunks();
        let (into, to_rest) = to.split_at_mut(from.len() * 16);
        for (from, into) in from.iter().zip(into.as_chunks_mut().0) {
            // SAFETY: the processor was asked for these instructions.
            unsafe { avx512::pairs(from, into) };
        }
        (x_rest, to_rest)
    } else {
        (x, to)
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = level;
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
    let code = Code { factor, zero };
    let each = if WIDE { 2 } else { 1 };
    let end = x.len().div_ceil(4) * each;
    let mut products = 0_i32;
    let mut words = to.get_mut(..end).unwrap_or_default().chunks_mut(4 * each);
    let mut last = [0.0; 16];
    last.iter_mut().zip(rest).for_each(|(to, x)| *to = *x);
    // weights are zero where inputs are missing
    let last = (!rest.is_empty()).then_some(&last);
    for (line, to) in lines.iter().chain(last).zip(&mut words) {
        if WIDE {
            let (coded, sum) = code.words(*line);
            products = products.wrapping_add(sum);
            put(coded, to);
        } else {
            put(code.bytes(*line), to);
        }
    }
    if let Some([to_scale, to_zero]) = to.get_mut(end..).and_then(|to| to.first_chunk_mut()) {
        *to_scale = scale;
        let word = if WIDE { products } else { code.zero() };
        *to_zero = f32::from_bits(word.cast_unsigned());
    }
}

/// Writes words, or as many as there is room for.
#[inline(always)]
fn put<const COUNT: usize>(words: [u32; COUNT], to: &mut [f32]) {
    if let Some(to) = to.first_chunk_mut::<COUNT>() {
        for i in 0..COUNT {
            to[i] = f32::from_bits(words[i]);
        }
    } else {
        to.iter_mut().zip(words).for_each(|(to, word)| *to = f32::from_bits(word));
    }
}

/// How a row's numbers become bytes: 0 to 255.
#[derive(Clone, Copy)]
struct Code {
    /// Units in one.
    factor: f32,
    /// The unit that is zero.
    zero: f32,
}

// Sixteen at once, by value: four at once were taken one by one.
impl Code {
    /// The unit that is zero.
    #[expect(clippy::cast_possible_truncation, reason = "0 to 255")]
    fn zero(self) -> i32 {
        self.zero as i32
    }

    #[inline(always)]
    fn units(self, line: [f32; 16]) -> [u32; 16] {
        let mut units = [0; 16];
        for i in 0..16 {
            let unit = line[i] * self.factor + self.zero;
            let unit = if unit < 0.0 { 0.0 } else { unit };
            let unit = if unit > 255.0 { 255.0 } else { unit };
            units[i] = (unit + ROUNDER).to_bits() & 0xFF;
        }
        units
    }

    /// As groups of four.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "0 to 255")]
    fn bytes(self, line: [f32; 16]) -> [u32; 4] {
        let units = self.units(line);
        let mut bytes = [0_u8; 16];
        for i in 0..16 {
            bytes[i] = units[i] as u8;
        }
        let mut words = [0; 4];
        for i in 0..4 {
            let four = [bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]];
            words[i] = u32::from_le_bytes(four);
        }
        words
    }

    /// Less zero, -255 to 255, as groups of two, and the sum of their own products.
    #[inline(always)]
    fn words(self, line: [f32; 16]) -> ([u32; 8], i32) {
        let (units, zero) = (self.units(line), self.zero());
        let mut less = [0_i32; 16];
        for i in 0..16 {
            less[i] = units[i].cast_signed() - zero;
        }
        let (mut words, mut sum) = ([0; 8], 0_i32);
        for i in 0..4 {
            let [a, b, c, d] = [less[4 * i], less[4 * i + 1], less[4 * i + 2], less[4 * i + 3]];
            let pair =
                |low: i32, high: i32| low.cast_unsigned() & 0xFFFF | high.cast_unsigned() << 16;
            words[2 * i] = pair(a, c);
            words[2 * i + 1] = pair(b, d);
            sum += a * b + c * d;
        }
        (words, sum)
    }
}
