//! Rows times packed weights.

use std::ops::Range;

use super::grid::{Grid, words_of};
use super::level::{Level, Work, run};
use super::math::{gelu, gelu_tanh, quick_gelu};
use super::multiply::Multiplier;
use super::number::Number;
use super::panels::Panels;
use super::pieces::{self, Pieces};
use super::reduce::pairs;
use super::share::{Out, Share};
use super::tile::{COLUMNS, Factors, Sums, Tile};
use crate::nn::clip::Activation;

/// What is done with a sum before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum Finish {
    /// Nothing, and what it is written in: f32, or bfloat16.
    Store(Number),
    /// It is added to what stands there.
    Add,
    /// The non-linearity, and what its values are written in: f32, or bfloat16.
    Activate(Activation, Number),
}

/// Where a product goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct To {
    pub(super) out: Out,
    /// Words from a row to the next.
    pub(super) stride: usize,
    /// What is written: f32, or bfloat16.
    pub(super) number: Number,
}

impl To {
    /// The rows of `grid`.
    pub(super) fn grid(grid: &mut Grid) -> Self {
        let (stride, number) = (grid.stride(), grid.number());
        Self { out: Out::new(grid.floats_mut()), stride, number }
    }
}

/// `left * right + bias`, finished, into `to`, which is borrowed by the caller meanwhile.
///
/// # Shapes
/// `left`: rows of groups, followed by scale and zero where they have some; `bias`: one for each
/// column of every panel; `to`: as many rows, at least as wide as the outputs and, for bfloat16,
/// with room for every column of every panel.
pub(super) fn product(
    level: Level,
    left: &Grid,
    right: &Panels,
    bias: &[f32],
    to: To,
    finish: Finish,
    share: Share,
) {
    share.out(right.count(), 1, |panels| {
        run(level, Columns { left, right, bias, to, finish, panels });
    });
}

struct Columns<'a> {
    left: &'a Grid,
    right: &'a Panels,
    bias: &'a [f32],
    to: To,
    finish: Finish,
    panels: Range<usize>,
}

impl Work for Columns<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self, level: Level) {
        let number = self.left.number();
        let mut multiplier = Multiplier::new(level, number);
        let are_pieces = Pieces::are_for(level, number, self.right.groups());
        let mut pieces = are_pieces.then(Pieces::take);
        let mut tile = Tile::zero();
        for rows in multiplier.chunks(self.left.rows(), pieces::ROWS) {
            for panel in self.panels.clone() {
                if let Some(pieces) = &mut pieces {
                    let left = (self.left, rows.clone());
                    let sums = pieces.multiply(&mut multiplier, left, self.right, panel);
                    self.finish::<FUSED>(level, (panel, rows.clone()), sums);
                } else {
                    self.whole::<FUSED>(&mut multiplier, (panel, rows.clone()), &mut tile);
                }
            }
        }
        if let Some(pieces) = pieces {
            pieces.keep();
        }
    }
}

impl Columns<'_> {
    /// Some rows and a panel, each tile over all groups at once.
    #[inline(always)]
    fn whole<const FUSED: bool>(
        &self,
        multiplier: &mut Multiplier,
        (panel, rows): (usize, Range<usize>),
        tile: &mut Tile,
    ) {
        let right = self.right.panel(panel);
        // What the next panel begins with is asked for with each block of this one.
        let mut ahead = self.right.panel(panel + 1);
        let at_once = ahead.len().div_ceil(multiplier.blocks(rows.len()).count().max(1));
        for block in multiplier.blocks(rows.len()) {
            let block = rows.start + block.start..rows.start + block.end;
            let (asked, rest) = ahead.split_at(at_once.min(ahead.len()));
            ahead = rest;
            let stride = self.left.stride();
            let left = self.left.words().get(block.start * stride..).unwrap_or_default();
            let factors = Factors {
                ahead: asked,
                ..Factors::of_panel((left, stride), right, self.right.groups())
            };
            let sums = tile.rows(block.len());
            multiplier.multiply(&factors, false, sums);
            self.finish::<FUSED>(multiplier.level(), (panel, block), sums);
        }
    }

    /// Writes the sums of some rows and a panel. The ways to finish are told apart here, so that
    /// each is a loop without choices.
    #[inline(always)]
    fn finish<const FUSED: bool>(&self, level: Level, at: (usize, Range<usize>), sums: &[Sums]) {
        match self.finish {
            Finish::Store(_) => self.write(level, at, sums, |sum, _| sum),
            Finish::Add => self.write(level, at, sums, |sum, was| sum + was),
            Finish::Activate(Activation::QuickGelu, _) => {
                self.write(level, at, sums, |sum, _| quick_gelu::<FUSED>(sum));
            }
            Finish::Activate(Activation::Gelu, _) => {
                self.write(level, at, sums, |sum, _| gelu::<FUSED>(sum));
            }
            Finish::Activate(Activation::GeluTanh, _) => {
                self.write(level, at, sums, |sum, _| gelu_tanh::<FUSED>(sum));
            }
        }
    }

    #[inline(always)]
    fn write(
        &self,
        level: Level,
        (panel, rows): (usize, Range<usize>),
        sums: &[Sums],
        finish: impl Fn(f32, f32) -> f32,
    ) {
        let at = panel * COLUMNS;
        if self.right.number != Number::Int8 {
            return self.write_rows(
                level,
                at,
                (rows, sums),
                |_| |_, sum| f32::from_bits(sum),
                finish,
            );
        }
        let of_pairs = self.left.number() == Number::Int16;
        let own = if of_pairs { self.right.products() } else { &self.right.sums };
        let (Some(scales), Some(own)) = (chunk(&self.right.scales, at), chunk(own, at)) else {
            return;
        };
        // What is taken off a sum: so many times the row's word, and a number of the column's.
        let (times, less) = if of_pairs { (&[1; COLUMNS], &own) } else { (&own, &[0; COLUMNS]) };
        let scales = &scales;
        let of = |row: usize| {
            let start = row * self.left.stride() + self.left.number().groups(self.right.inputs);
            let unit = self.left.words().get(start..).and_then(|words| words.first_chunk());
            debug_assert!(unit.is_some(), "a row without its scale");
            let [scale, word] = unit.copied().unwrap_or_default();
            let (scale, word) = (f32::from_bits(scale), word.cast_signed());
            move |i: usize, sum: u32| {
                let sum = sum.cast_signed().wrapping_sub(word.wrapping_mul(times[i]));
                #[expect(clippy::cast_precision_loss, reason = "24 bits of a sum are plenty")]
                let sum = sum.wrapping_sub(less[i]) as f32;
                sum * (scale * scales[i])
            }
        };
        self.write_rows(level, at, (rows, sums), of, finish);
    }

    /// Writes rows whose values are what `of` makes of each column's sum.
    // Values go from sums to where they are written: in an array between, they were taken one by one.
    #[inline(always)]
    fn write_rows<V: Fn(usize, u32) -> f32>(
        &self,
        level: Level,
        at: usize,
        (rows, sums): (Range<usize>, &[Sums]),
        of: impl Fn(usize) -> V,
        finish: impl Fn(f32, f32) -> f32,
    ) {
        let count = COLUMNS.min(self.right.outputs - at);
        let Some(bias) = chunk(self.bias, at) else { return };
        for (row, sums) in rows.zip(sums) {
            let value = of(row);
            if self.to.number == Number::Bf16 {
                // What is past the last column is zero, and has room. A loop: `array::from_fn` is not
                // always inlined, and its function has no vector instructions then.
                let mut values = [0.0; COLUMNS];
                for i in 0..COLUMNS {
                    values[i] = finish(value(i, sums[i]) + bias[i], 0.0);
                }
                let start = row * self.to.stride + at / 2;
                // SAFETY: `to` is borrowed by the caller, its rows have room for the words of as
                // many pairs as columns of panels (`Grid::shape_of`), and no two overlap.
                let to = unsafe { self.to.out.part(start, COLUMNS / 2) };
                pairs(level, &values, words_of(to));
                continue;
            }
            // SAFETY: as above.
            let to = unsafe { self.to.out.part(row * self.to.stride + at, count) };
            if let Some(to) = to.first_chunk_mut::<COLUMNS>() {
                for i in 0..COLUMNS {
                    to[i] = finish(value(i, sums[i]) + bias[i], to[i]);
                }
            } else {
                for (i, to) in to.iter_mut().enumerate() {
                    *to = finish(value(i, sums[i]) + bias[i], *to);
                }
            }
        }
    }
}

/// The numbers of a panel's outputs.
#[inline(always)]
fn chunk<T: Copy>(of: &[T], at: usize) -> Option<[T; COLUMNS]> {
    of.get(at..)?.first_chunk().copied()
}
