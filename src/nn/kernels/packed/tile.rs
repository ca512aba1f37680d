//! Up to fourteen rows times thirty-two columns: what fits the registers.

use super::level::Level;
use super::panels::Number;
use super::{avx2, avx512, plain};

/// Columns of a tile, and of a panel of packed weights.
pub(super) const COLUMNS: usize = 32;
/// Rows of a tile at most.
pub(super) const ROWS: usize = 14;

/// Sums of products: floats, or integers for [`Number::Int8`], as bits.
#[repr(C, align(64))]
#[derive(Debug, Clone)]
pub(super) struct Tile(pub(super) [[u32; COLUMNS]; ROWS]);

impl Tile {
    pub(super) fn zero() -> Self {
        Self([[0; COLUMNS]; ROWS])
    }
}

/// The two factors of a tile. A group is four bytes: one f32, two bf16 or four bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factors<'a> {
    /// Row `r`, group `g` of the left factor stands at `r * left_stride + g`.
    pub(super) left: &'a [u32],
    pub(super) left_stride: usize,
    /// Group `g`, column `c` of the right factor stands at `g * right_stride + c`.
    pub(super) right: &'a [u32],
    pub(super) right_stride: usize,
    /// Groups to sum over.
    pub(super) groups: usize,
}

impl Factors<'_> {
    /// Whether `rows` rows and [`COLUMNS`] columns lie within both factors.
    #[inline(always)]
    fn fit(&self, rows: usize) -> bool {
        let last = self.groups.wrapping_sub(1);
        (1..=ROWS).contains(&rows)
            && self.groups > 0
            && (rows - 1) * self.left_stride + last < self.left.len()
            && last * self.right_stride + COLUMNS <= self.right.len()
    }
}

/// Rows that go into one tile at `level`.
pub(super) fn rows(level: Level, number: Number) -> usize {
    match (level, number) {
        (Level::Avx512, _) => ROWS,
        (Level::Avx2, Number::F32) => 6,
        _ => 4,
    }
}

/// Multiplies. Factors that are too short leave zeros.
#[inline(always)]
pub(super) fn multiply(
    level: Level,
    number: Number,
    factors: &Factors<'_>,
    rows: usize,
    tile: &mut Tile,
) {
    if !factors.fit(rows) {
        debug_assert_eq!(factors.groups, 0, "a tile reaches past its factors");
        *tile = Tile::zero();
        return;
    }
    #[cfg(target_arch = "x86_64")]
    match (level, number) {
        // SAFETY: `fit` saw that every read is within the factors, and `level` says that the
        // processor has AVX-512 F.
        (Level::Avx512, Number::F32) => return unsafe { avx512::f32(factors, rows, tile) },
        (Level::Avx512, Number::Bf16) if Level::has_bf16() => {
            // SAFETY: as above, with BF16.
            return unsafe { avx512::bf16(factors, rows, tile) };
        }
        (Level::Avx512, Number::Int8) if Level::has_vnni() => {
            // SAFETY: as above, with VNNI.
            return unsafe { avx512::int8(factors, rows, tile) };
        }
        // SAFETY: as above, with AVX2 and FMA.
        (Level::Avx2, Number::F32) if rows <= 6 => {
            return unsafe { avx2::f32(factors, rows, tile) };
        }
        _ => {}
    }
    let fused = level != Level::Portable;
    plain::multiply(number, factors, rows, fused, tile);
}
