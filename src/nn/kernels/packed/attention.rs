//! Attention of all heads over rows that belong together.

use std::cell::RefCell;
use std::ops::Range;

use super::grid::Grid;
use super::level::{Level, Work, run};
use super::multiply::Multiplier;
use super::number::{Number, bf16};

use super::reduce::pairs;
use super::share::{Out, Share};
use super::softmax::softmax;
use super::tile::{COLUMNS, Factors, Tile};

/// Rows of one image or text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) struct Segment {
    /// Its first row.
    pub(in crate::nn) start: usize,
    /// Its rows; one at least.
    pub(in crate::nn) len: usize,
}

/// Which rows ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum Queries {
    /// All of a segment.
    All,
    /// All, and a row sees itself and the rows before it.
    Causal,
    /// One row a segment, which sees all of it: row `i` of the queries belongs to segment `i`.
    One,
}

/// Where queries, keys and values stand: columns of a head lie side by side.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Attention<'a> {
    /// Queries, from column 0.
    pub(in crate::nn) queries: &'a Grid,
    /// Keys and values, in the numbers that queries are in: f32 or, with an even `each` and scores in
    /// bfloat16, that.
    pub(in crate::nn) keys: &'a Grid,
    /// The first column of the keys.
    pub(in crate::nn) keys_at: usize,
    /// The first column of the values.
    pub(in crate::nn) values_at: usize,
    /// Heads.
    pub(in crate::nn) heads: usize,
    /// Columns of a head.
    pub(in crate::nn) each: usize,
    /// Which rows ask.
    pub(in crate::nn) who: Queries,
    /// What scores and mixtures are computed in: [`Number::F32`], or [`Number::Bf16`].
    pub(in crate::nn) number: Number,
}

/// What a head's factors are laid out in, kept by each thread.
#[derive(Default)]
struct Room {
    /// Panels of 32 keys: groups of a head's columns by keys.
    keys: Grid,
    /// Panels of 32 columns of a head: pairs of keys by columns. Of f32 values stay where they are.
    values: Grid,
    /// Scores of some queries, as many as a tile has rows.
    scores: Grid,
    /// Those queries, or their weights, in fewer bits.
    reduced: Grid,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

impl Attention<'_> {
    /// Mixes values into `out`: (queries, heads × each). Scores are divided by `√each`.
    ///
    /// # Panics
    /// For queries or keys of another type, a fault of the caller.
    pub(in crate::nn) fn apply(
        &self,
        level: Level,
        segments: &[Segment],
        out: &mut Grid,
        share: Share,
    ) {
        let is_whole = self.number == Number::Bf16 && self.each.is_multiple_of(2);
        for grid in [self.queries, self.keys] {
            let fits = grid.number() == Number::F32 || is_whole && grid.number() == Number::Bf16;
            assert!(fits && grid.number() == self.keys.number(), "numbers of another type");
        }
        out.shape(self.queries.rows(), self.heads * self.each);
        let stride = out.stride();
        let to = Out::new(out.floats_mut());
        share.out(segments.len() * self.heads, 1, |pieces| {
            ROOM.with_borrow_mut(|room| {
                for piece in pieces {
                    let index = piece / self.heads;
                    let Some(segment) = segments.get(index).copied() else { continue };
                    let head = piece % self.heads;
                    run(level, Head { of: self, index, segment, head, room, to, stride });
                }
            });
        });
    }
}

struct Head<'a, 'b> {
    of: &'a Attention<'b>,
    index: usize,
    segment: Segment,
    head: usize,
    room: &'a mut Room,
    to: Out,
    stride: usize,
}

impl Work for Head<'_, '_> {
    #[inline(always)]
    fn run<const FUSED: bool>(mut self, level: Level) {
        let of = *self.of;
        self.pack_keys(level);
        let mut multiplier = Multiplier::new(level, of.number);
        // Pairs of keys that a query's weights may be multiplied with.
        let key_pairs = multiplier.whole(self.segment.len.div_ceil(2));
        if of.number == Number::Bf16 {
            self.pack_values(key_pairs);
        }
        let (first, queries) = match of.who {
            Queries::One => (self.index, 1),
            Queries::All | Queries::Causal => (self.segment.start, self.segment.len),
        };
        let mut tile = Tile::zero();
        for rows in multiplier.blocks(queries) {
            self.block::<FUSED>(level, first, rows, key_pairs, (&mut multiplier, &mut tile));
        }
    }
}

impl Head<'_, '_> {
    /// Whether queries, keys and values are pairs of bfloat16 already.
    #[inline(always)]
    fn are_pairs(&self) -> bool {
        self.of.keys.number() == Number::Bf16
    }

    /// The `each` numbers of this head in a row of the keys' grid, from `column` on.
    #[inline(always)]
    fn part(&self, row: usize, column: usize) -> &[f32] {
        let at = column + self.head * self.of.each;
        let row = self.of.keys.row(self.segment.start + row);
        row.get(at..at + self.of.each).unwrap_or_default()
    }

    /// As [`Self::part`], where they are pairs.
    #[inline(always)]
    fn pairs_of(&self, row: usize, column: usize) -> &[u32] {
        let (of, row) = (self.of, self.segment.start + row);
        let at = row * of.keys.stride() + (column + self.head * of.each) / 2;
        of.keys.words().get(at..at + of.each / 2).unwrap_or_default()
    }

    #[inline(always)]
    fn pack_keys(&mut self, level: Level) {
        let groups = self.of.each.div_ceil(self.of.number.in_a_group());
        let mut room = std::mem::take(self.room);
        room.keys.shape(1, self.segment.len.div_ceil(COLUMNS) * groups * COLUMNS);
        room.reduced.shape(1, groups);
        let to = room.keys.words_mut();
        for key in 0..self.segment.len {
            let start = key / COLUMNS * groups * COLUMNS + key % COLUMNS;
            let places = to.get_mut(start..).unwrap_or_default().iter_mut().step_by(COLUMNS);
            if self.are_pairs() {
                let from = self.pairs_of(key, self.of.keys_at);
                places.zip(from).for_each(|(to, pair)| *to = *pair);
                continue;
            }
            let from = self.part(key, self.of.keys_at);
            if self.of.number == Number::Bf16 {
                let row = room.reduced.row_words_mut(0);
                pairs(level, from, row);
                places.zip(row.iter().take(groups)).for_each(|(to, pair)| *to = *pair);
            } else {
                places.zip(from).for_each(|(to, x)| *to = x.to_bits());
            }
        }
        *self.room = room;
    }

    /// Pairs of bfloat16, which two keys make; what is missing of `key_pairs` is zero.
    #[inline(always)]
    fn pack_values(&mut self, key_pairs: usize) {
        let (each, len) = (self.of.each, self.segment.len);
        let panel = key_pairs * COLUMNS;
        let mut values = std::mem::take(&mut self.room.values);
        values.shape(1, each.div_ceil(COLUMNS) * panel);
        let to = values.words_mut();
        for panel in to.chunks_exact_mut(panel).take(each.div_ceil(COLUMNS)) {
            panel.iter_mut().skip(len / 2 * COLUMNS).for_each(|to| *to = 0);
        }
        if self.are_pairs() {
            for pair in 0..len.div_ceil(2) {
                let low = self.pairs_of(2 * pair, self.of.values_at);
                let second = if 2 * pair + 1 < len { 2 * pair + 1 } else { 2 * pair };
                let high = self.pairs_of(second, self.of.values_at);
                let is_odd = second == 2 * pair;
                let both = low.chunks(COLUMNS / 2).zip(high.chunks(COLUMNS / 2));
                for (column, (low, high)) in both.enumerate() {
                    let start = column * panel + pair * COLUMNS;
                    let places = to.get_mut(start..start + COLUMNS).unwrap_or_default();
                    let places = places.as_chunks_mut::<2>().0.iter_mut();
                    for (to, (low, high)) in places.zip(low.iter().zip(high)) {
                        let high = if is_odd { 0 } else { *high };
                        *to = [low & 0xFFFF | high << 16, low >> 16 | high & 0xFFFF_0000];
                    }
                }
            }
            self.room.values = values;
            return;
        }
        for key in 0..len {
            let from = self.part(key, self.of.values_at);
            for (column, from) in from.chunks(COLUMNS).enumerate() {
                let start = column * panel + key / 2 * COLUMNS;
                let places = to.get_mut(start..start + COLUMNS).unwrap_or_default();
                let places = places.iter_mut().zip(from);
                if key.is_multiple_of(2) {
                    places.for_each(|(to, x)| *to = bf16(*x).into());
                } else {
                    places.for_each(|(to, x)| *to |= u32::from(bf16(*x)) << 16);
                }
            }
        }
        self.room.values = values;
    }

    #[inline(always)]
    fn block<const FUSED: bool>(
        &mut self,
        level: Level,
        first: usize,
        rows: Range<usize>,
        key_pairs: usize,
        (multiplier, tile): (&mut Multiplier, &mut Tile),
    ) {
        let of = self.of;
        let each = of.each;
        let count = rows.len();
        let (is_bf16, are_pairs) = (of.number == Number::Bf16, self.are_pairs());
        let Room { keys, values, scores, reduced } = &mut *self.room;
        // Rows of a causal block see at most as much as its last.
        let seen = match of.who {
            Queries::Causal => rows.end,
            Queries::All | Queries::One => self.segment.len,
        };
        let panels = seen.div_ceil(COLUMNS);
        scores.shape(count, panels * COLUMNS);
        let groups = each.div_ceil(of.number.in_a_group());
        let stride = of.queries.stride();
        let place = if are_pairs { self.head * each / 2 } else { self.head * each };
        let start = (first + rows.start) * stride + place;
        let mut left = of.queries.words().get(start..).unwrap_or_default();
        let mut left_stride = stride;
        if is_bf16 && !are_pairs {
            reduced.shape(count, groups);
            for row in 0..count {
                let from = of.queries.row(first + rows.start + row);
                let from = from.get(self.head * each..(self.head + 1) * each).unwrap_or_default();
                pairs(level, from, reduced.row_words_mut(row));
            }
            (left, left_stride) = (reduced.words(), reduced.stride());
        }
        for panel in 0..panels {
            let right = keys.words().get(panel * groups * COLUMNS..).unwrap_or_default();
            let factors = Factors::of_panel((left, left_stride), right, groups);
            multiplier.multiply(&factors, false, tile.rows(count));
            for (row, sums) in tile.0.iter().enumerate().take(count) {
                let to = scores.row_mut(row).get_mut(panel * COLUMNS..).unwrap_or_default();
                to.iter_mut().zip(sums).for_each(|(to, sum)| *to = f32::from_bits(*sum));
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a head has few columns")]
        let scale = 1.0 / (each as f32).sqrt();
        let weights = multiplier.whole(seen.div_ceil(of.number.in_a_group()));
        if is_bf16 {
            reduced.shape(count, panels * COLUMNS / 2);
        }
        for (row, query) in rows.clone().enumerate() {
            let sees = if of.who == Queries::Causal { query + 1 } else { seen };
            let scores = scores.row_mut(row).get_mut(..panels * COLUMNS).unwrap_or_default();
            softmax::<FUSED>(scores, sees, scale);
            if is_bf16 {
                pairs(level, scores, reduced.row_words_mut(row));
            }
        }
        let left = if is_bf16 { reduced } else { scores };
        let in_place = self.segment.start * of.keys.stride() + of.values_at + self.head * each;
        for column in (0..each).step_by(COLUMNS) {
            let (values, at, right_stride) = if is_bf16 {
                let panel = key_pairs * COLUMNS;
                (values.words(), column / COLUMNS * panel, COLUMNS)
            } else {
                (of.keys.words(), in_place + column, of.keys.stride())
            };
            let factors = Factors {
                left: left.words(),
                left_stride: left.stride(),
                right: values.get(at..).unwrap_or_default(),
                right_stride,
                groups: weights,
                ahead: &[],
            };
            multiplier.multiply(&factors, false, tile.rows(count));
            let width = COLUMNS.min(each - column);
            for (row, sums) in tile.0.iter().enumerate().take(count) {
                let at = (first + rows.start + row) * self.stride + self.head * each + column;
                // SAFETY: `to` is borrowed by the caller, and no two heads or rows overlap.
                let to = unsafe { self.to.part(at, width) };
                to.iter_mut().zip(sums).for_each(|(to, sum)| *to = f32::from_bits(*sum));
            }
        }
    }
}
