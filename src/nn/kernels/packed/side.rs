//! A factor of a product, as it lies in memory, and the two orders that tiles read one in.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::grid::LINE;
use super::level::Level;
use super::number::{Number, bf16};

use super::reduce::pairs;
use super::tile::COLUMNS;

/// Rows of numbers, each of which is multiplied with every row of another factor.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn::kernels) struct Side<'a> {
    numbers: &'a [f32],
    count: usize,
    depth: usize,
    lies: Lies,
}

/// How they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lies {
    /// One row after the other.
    ByRows,
    /// The first numbers of all, then the second ones, and so on.
    ByColumns,
}

/// A square of these is turned in a thread's nearest cache.
type Block = [[u32; COLUMNS]; LINE];

impl<'a> Side<'a> {
    /// Rows of `depth` numbers, one after the other.
    pub(in crate::nn::kernels) fn by_rows(numbers: &'a [f32], depth: usize) -> Self {
        let count = numbers.len().checked_div(depth).unwrap_or(0);
        Self { numbers, count, depth, lies: Lies::ByRows }
    }

    /// `count` rows, whose first numbers stand before their second ones.
    pub(in crate::nn::kernels) fn by_columns(numbers: &'a [f32], count: usize) -> Self {
        let depth = numbers.len().checked_div(count).unwrap_or(0);
        Self { numbers, count, depth, lies: Lies::ByColumns }
    }

    /// Rows.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Numbers of a row.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// How they lie.
    pub(super) fn lies(&self) -> Lies {
        self.lies
    }

    /// Writes `groups` of `rows`, each row `stride` words from the next.
    #[inline(always)]
    pub(super) fn pack_rows(
        &self,
        level: Level,
        number: Number,
        rows: Range<usize>,
        groups: &Range<usize>,
        (to, stride): (&mut [u32], usize),
    ) {
        if self.lies == Lies::ByRows {
            for (row, to) in rows.zip(to.chunks_mut(stride)) {
                self.words(level, number, row, groups, to);
            }
            return;
        }
        for (some, to) in rows.clone().step_by(COLUMNS).zip(to.chunks_mut(COLUMNS * stride)) {
            for (at, first) in groups.clone().step_by(LINE).enumerate() {
                let mut block: Block = [[0; COLUMNS]; LINE];
                for (group, to) in (first..groups.end).zip(&mut block) {
                    *to = self.across(level, number, group, some);
                }
                let lines = to.chunks_mut(stride).take(rows.end - some).enumerate();
                for (row, to) in lines {
                    let to = to.iter_mut().skip(at * LINE).take(groups.end - first);
                    to.zip(&block).for_each(|(to, words)| {
                        *to = words.get(row).copied().unwrap_or(0);
                    });
                }
            }
        }
    }

    /// Writes `groups` of 32 rows a panel as columns; rows that are not there are zeros.
    #[inline(always)]
    pub(super) fn pack_panels(
        &self,
        level: Level,
        number: Number,
        panels: Range<usize>,
        groups: &Range<usize>,
        to: &mut [u32],
    ) {
        let each = groups.len() * COLUMNS;
        if self.lies == Lies::ByColumns {
            // All panels of a group: they lie side by side.
            for (at, group) in groups.clone().enumerate() {
                for (panel, to) in panels.clone().zip(to.chunks_mut(each)) {
                    if let Some(to) = to.get_mut(at * COLUMNS..).and_then(|to| to.first_chunk_mut())
                    {
                        *to = self.across(level, number, group, panel * COLUMNS);
                    }
                }
            }
            return;
        }
        for (panel, to) in panels.zip(to.chunks_mut(each)) {
            let there = panel * COLUMNS..self.count.min((panel + 1) * COLUMNS);
            let places = to.as_chunks_mut::<COLUMNS>().0.chunks_mut(LINE);
            for (first, to) in groups.clone().step_by(LINE).zip(places) {
                let some = first..(first + LINE).min(groups.end);
                let mut rows = [[0_u32; LINE]; COLUMNS];
                for (row, to) in there.clone().zip(&mut rows) {
                    self.words(level, number, row, &some, to);
                }
                for (at, to) in to.iter_mut().enumerate() {
                    for (to, row) in to.iter_mut().zip(&rows) {
                        *to = row.get(at).copied().unwrap_or(0);
                    }
                }
            }
        }
    }

    /// `groups` of a row that lies in one piece.
    #[inline(always)]
    fn words(
        &self,
        level: Level,
        number: Number,
        row: usize,
        groups: &Range<usize>,
        to: &mut [u32],
    ) {
        let each = number.in_a_group();
        let (start, end) = (groups.start * each, (groups.end * each).min(self.depth));
        let from = self.numbers.get(row * self.depth + start..row * self.depth + end);
        let from = from.unwrap_or_default();
        if number == Number::Bf16 {
            pairs(level, from, to);
        } else {
            to.iter_mut().zip(from).for_each(|(to, x)| *to = x.to_bits());
        }
    }

    /// A group of 32 rows from `first` on, whose numbers lie side by side.
    #[inline(always)]
    fn across(&self, level: Level, number: Number, group: usize, first: usize) -> [u32; COLUMNS] {
        let each = number.in_a_group();
        let low = self.column(group * each, first);
        if number != Number::Bf16 {
            return low.map(f32::to_bits);
        }
        let high = self.column(group * each + 1, first);
        #[cfg(not(target_arch = "x86_64"))]
        let _ = level;
        #[cfg(target_arch = "x86_64")]
        if level >= Level::Avx512 && Level::has_bf16() {
            let mut out = [0; COLUMNS];
            // SAFETY: the processor was asked for these instructions.
            unsafe { avx512::braided(&low, &high, &mut out) };
            return out;
        }
        std::array::from_fn(|i| u32::from(bf16(low[i])) | u32::from(bf16(high[i])) << 16)
    }

    /// The numbers at a place of 32 rows; zeros for what is not there.
    #[inline(always)]
    fn column(&self, at: usize, first: usize) -> [f32; COLUMNS] {
        let line = self.numbers.get(at * self.count..(at + 1) * self.count).unwrap_or_default();
        let line = line.get(first..).unwrap_or_default();
        line.first_chunk().copied().unwrap_or_else(|| {
            let mut out = [0.0; COLUMNS];
            out.iter_mut().zip(line).for_each(|(to, x)| *to = *x);
            out
        })
    }
}
