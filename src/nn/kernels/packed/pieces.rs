//! Rows times a panel in pieces that stay in a cache.
//!
//! AVX2's sixteen registers hold the sums of six rows or four, AVX-512's of fourteen, so that a panel is
//! read twice as often: out of the second cache, products took a quarter longer. Half a panel is
//! laid together, some inputs deep, and meets many rows, while the next piece is asked for. Where
//! bytes are multiplied as [`Number::Int16`], those of a piece are widened once for all its rows;
//! AVX-VNNI reads them where they lie.
//!
//! AVX-512 and AMX read the panel where it lies. AVX-512 does it in pieces where the panel is so deep
//! that with its rows it would fill the second cache: the products of 3,072 inputs gained a twelfth, those
//! of 4,096 a seventh. For AMX of the two factors one at least comes out of the first cache, and
//! what comes next is asked for between its steps. Asked for in a burst, twelve blocks of ViT-B/32
//! took an eighth longer.

use std::cell::Cell;
use std::ops::Range;

use super::grid::Grid;
use super::level::Level;
use super::multiply::{self, Multiplier};
use super::number::Number;
use super::panels::Panels;
use super::tile::{COLUMNS, Factors, HALF, Place, Sums};

/// Groups of a piece, as they are multiplied: 12 KB. With as many rows of the left factor as a
/// tile has, and some of the next piece, it stays in a first cache of 32.
const DEPTH: usize = 192;
/// Groups of a piece at most where AVX-512 multiplies: 128 KB.
const DEPTH_AVX512: usize = 1024;
/// Rows that a piece, or a whole panel, meets at most: those of an image of ViT-L/14 at once. Of 1,024
/// floats each they stay in a second cache of 2 MB, and mostly in one of 1 MB.
pub(super) const ROWS: usize = 320;

/// A piece, and the sums of its rows.
#[repr(align(64))]
pub(super) struct Pieces {
    piece: [[u32; HALF]; DEPTH],
    sums: [Sums; ROWS],
}

thread_local! {
    /// Kept from product to product.
    static OWN: Cell<Option<Box<Pieces>>> = const { Cell::new(None) };
}

impl Pieces {
    /// Whether products of a left factor of `number`, of so many groups, go by pieces at `level`.
    pub(super) fn are_for(level: Level, number: Number, groups: usize) -> bool {
        match (level, number) {
            (_, Number::Int16)
            | (Level::Avx2 | Level::AvxVnni, Number::F32)
            | (Level::AvxVnni, Number::Int8)
            | (Level::Amx, Number::Bf16 | Number::Int8) => true,
            (Level::Avx512 | Level::Amx, _) => groups > DEPTH_AVX512,
            _ => false,
        }
    }

    /// This thread's own, until it is kept again.
    pub(super) fn take() -> Box<Self> {
        OWN.take().unwrap_or_else(|| {
            Box::new(Self { piece: [[0; HALF]; DEPTH], sums: [[0; COLUMNS]; ROWS] })
        })
    }

    /// Keeps it for this thread's next product.
    pub(super) fn keep(self: Box<Self>) {
        OWN.set(Some(self));
    }

    /// Sums of a panel with at most [`ROWS`] rows of `left`.
    #[inline(always)]
    pub(super) fn multiply(
        &mut self,
        multiplier: &mut Multiplier,
        (left, rows): (&Grid, Range<usize>),
        right: &Panels,
        panel: usize,
    ) -> &[Sums] {
        let (level, number) = (multiplier.level(), left.number());
        if number != Number::Int16 && !matches!(level, Level::Avx2 | Level::AvxVnni) {
            return self.in_place(multiplier, (left, rows), right, panel);
        }
        // Bytes are read where they lie: laid together, few rows were multiplied more slowly.
        let is_laid = number != Number::Int8;
        // groups that a word of weights becomes
        let each = if number == Number::Int16 { 2 } else { 1 };
        let groups = right.groups();
        let blocks = rows.len().div_ceil(multiply::rows(level, number)).max(1);
        let pieces = groups.div_ceil(DEPTH / each).max(1);
        for index in 0..pieces {
            let within = index * groups / pieces..(index + 1) * groups / pieces;
            let from = right.part(panel, within.clone());
            let mut ahead = right.part(panel, within.end..within.end + within.len());
            let at_once = ahead.len().div_ceil(2 * blocks);
            for column in [0, HALF] {
                if is_laid {
                    self.lay(level, number, from, column);
                }
                let (right, right_stride) = if is_laid {
                    (self.piece.as_flattened(), HALF)
                } else {
                    (from.get(column..).unwrap_or_default(), COLUMNS)
                };
                for block in 0..blocks {
                    let (asked, rest) = ahead.split_at(at_once.min(ahead.len()));
                    ahead = rest;
                    // Blocks as even as can be: a last one of few rows would waste the piece.
                    let (first, end) =
                        (block * rows.len() / blocks, (block + 1) * rows.len() / blocks);
                    let start = (rows.start + first) * left.stride() + within.start * each;
                    let factors = Factors {
                        left: left.words().get(start..).unwrap_or_default(),
                        left_stride: left.stride(),
                        right,
                        right_stride,
                        groups: within.len() * each,
                        ahead: asked,
                    };
                    let place = Place { column, onto: index > 0 };
                    let sums = self.sums.get_mut(first..end).unwrap_or_default();
                    multiply::half(level, number, &factors, place, sums);
                }
            }
        }
        self.sums.get(..rows.len()).unwrap_or_default()
    }

    /// As [`Self::multiply`], by tiles that read the panel where it lies.
    #[inline(always)]
    fn in_place(
        &mut self,
        multiplier: &mut Multiplier,
        (left, rows): (&Grid, Range<usize>),
        right: &Panels,
        panel: usize,
    ) -> &[Sums] {
        let groups = right.groups();
        let blocks = multiplier.blocks(rows.len()).count().max(1);
        let depth = if multiplier.is_amx() {
            // whole steps of a tile, but for the last
            DEPTH
        } else {
            groups.div_ceil(groups.div_ceil(DEPTH_AVX512).max(1))
        };
        for start in (0..groups.max(1)).step_by(depth.max(1)) {
            let within = start..(start + depth).min(groups);
            let mut ahead = right.part(panel, within.end..within.end + within.len());
            let at_once = ahead.len().div_ceil(COLUMNS).div_ceil(blocks) * COLUMNS;
            for block in multiplier.blocks(rows.len()) {
                let (asked, rest) = ahead.split_at(at_once.min(ahead.len()));
                ahead = rest;
                let at = (rows.start + block.start) * left.stride() + within.start;
                let left = (left.words().get(at..).unwrap_or_default(), left.stride());
                let right = right.part(panel, within.clone());
                let factors =
                    Factors { ahead: asked, ..Factors::of_panel(left, right, within.len()) };
                let sums = self.sums.get_mut(block).unwrap_or_default();
                multiplier.multiply(&factors, start > 0, sums);
            }
        }
        self.sums.get(..rows.len()).unwrap_or_default()
    }

    /// Lays half the columns of `from` together, as what they are multiplied as.
    #[inline(always)]
    fn lay(&mut self, level: Level, number: Number, from: &[u32], column: usize) {
        let rows = from.as_chunks::<COLUMNS>().0.iter();
        let halves = rows.filter_map(|row| row.get(column..)?.first_chunk::<HALF>());
        if number == Number::Int16 {
            let pairs = self.piece.as_chunks_mut::<2>().0;
            pairs.iter_mut().zip(halves).for_each(|(to, bytes)| multiply::widen(level, bytes, to));
        } else {
            self.piece.iter_mut().zip(halves).for_each(|(to, from)| *to = *from);
        }
    }
}
