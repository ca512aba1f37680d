//! Attention of all heads over rows that belong together.

use std::cell::RefCell;

use super::grid::Grid;
use super::level::{Level, Work, run};
use super::multiply;
use super::panels::Number;
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
    /// Keys and values.
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
}

thread_local! {
    /// Transposed keys, and scores of some queries.
    static SCRATCH: RefCell<[Grid; 2]> = RefCell::default();
}

impl Attention<'_> {
    /// Mixes values into `out`: (queries, heads × each). Scores are divided by `√each`.
    pub(in crate::nn) fn apply(
        &self,
        level: Level,
        segments: &[Segment],
        out: &mut Grid,
        share: Share,
    ) {
        out.shape(self.queries.rows(), self.heads * self.each);
        let stride = out.stride();
        let to = Out::new(out.floats_mut());
        share.out(segments.len() * self.heads, 1, |pieces| {
            SCRATCH.with_borrow_mut(|[keys, scores]| {
                for piece in pieces {
                    let index = piece / self.heads;
                    let Some(segment) = segments.get(index).copied() else { continue };
                    let head = piece % self.heads;
                    run(level, Head { of: self, index, segment, head, keys, scores, to, stride });
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
    keys: &'a mut Grid,
    scores: &'a mut Grid,
    to: Out,
    stride: usize,
}

impl Work for Head<'_, '_> {
    #[inline(always)]
    fn run<const FUSED: bool>(mut self, level: Level) {
        let of = *self.of;
        self.transpose_keys();
        let (first, queries) = match of.who {
            Queries::One => (self.index, 1),
            Queries::All | Queries::Causal => (self.segment.start, self.segment.len),
        };
        let blocks = queries.div_ceil(multiply::rows(level, Number::F32)).max(1);
        let mut tile = Tile::zero();
        for block in 0..blocks {
            let (start, end) = (block * queries / blocks, (block + 1) * queries / blocks);
            self.block::<FUSED>(level, first, start..end, &mut tile);
        }
    }
}

impl Head<'_, '_> {
    /// Panels of 32 keys: a head's columns by keys.
    #[inline(always)]
    fn transpose_keys(&mut self) {
        let each = self.of.each;
        let panels = self.segment.len.div_ceil(COLUMNS);
        self.keys.shape(1, panels * each * COLUMNS);
        let at = self.of.keys_at + self.head * each;
        let to = self.keys.floats_mut();
        for key in 0..self.segment.len {
            let row = self.of.keys.row(self.segment.start + key);
            let from = row.get(at..at + each).unwrap_or_default();
            let start = key / COLUMNS * each * COLUMNS + key % COLUMNS;
            let places = to.get_mut(start..).unwrap_or_default().iter_mut().step_by(COLUMNS);
            places.zip(from).for_each(|(to, x)| *to = *x);
        }
    }

    #[inline(always)]
    fn block<const FUSED: bool>(
        &mut self,
        level: Level,
        first: usize,
        rows: std::ops::Range<usize>,
        tile: &mut Tile,
    ) {
        let of = self.of;
        let each = of.each;
        let count = rows.len();
        // Rows of a causal block see at most as much as its last.
        let seen = match of.who {
            Queries::Causal => rows.end,
            Queries::All | Queries::One => self.segment.len,
        };
        let panels = seen.div_ceil(COLUMNS);
        self.scores.shape(count, panels * COLUMNS);
        let stride = of.queries.stride();
        let left = (first + rows.start) * stride + self.head * each;
        for panel in 0..panels {
            let factors = Factors {
                left: of.queries.words().get(left..).unwrap_or_default(),
                left_stride: stride,
                right: self.keys.words().get(panel * each * COLUMNS..).unwrap_or_default(),
                right_stride: COLUMNS,
                groups: each,
            };
            multiply::multiply(level, Number::F32, &factors, count, tile);
            for (row, sums) in tile.0.iter().enumerate().take(count) {
                let to = self.scores.row_mut(row).get_mut(panel * COLUMNS..).unwrap_or_default();
                to.iter_mut().zip(sums).for_each(|(to, sum)| *to = f32::from_bits(*sum));
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a head has few columns")]
        let scale = 1.0 / (each as f32).sqrt();
        for (row, query) in rows.clone().enumerate() {
            let sees = if of.who == Queries::Causal { query + 1 } else { seen };
            let scores = self.scores.row_mut(row).get_mut(..panels * COLUMNS).unwrap_or_default();
            softmax::<FUSED>(scores, sees, scale);
        }
        let values = of.values_at + self.head * each;
        for column in (0..each).step_by(COLUMNS) {
            let right = self.segment.start * of.keys.stride() + values + column;
            let factors = Factors {
                left: self.scores.words(),
                left_stride: self.scores.stride(),
                right: of.keys.words().get(right..).unwrap_or_default(),
                right_stride: of.keys.stride(),
                groups: seen,
            };
            multiply::multiply(level, Number::F32, &factors, count, tile);
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
