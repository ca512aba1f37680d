//! A tile by the best instructions of a level.

use super::level::{FUSED_EVERYWHERE, Level};
use super::number::Number;
use super::plain;
use super::tile::{Factors, ROWS, Tile};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

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
    let fused = FUSED_EVERYWHERE || level != Level::Portable;
    plain::multiply(number, factors, rows, fused, tile);
}
