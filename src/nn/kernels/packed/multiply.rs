//! A tile by the best instructions of a level.

use std::ops::Range;

use super::grid::LINE;
use super::level::{FUSED_EVERYWHERE, Level};
use super::number::Number;
use super::plain;
use super::tile::{self, COLUMNS, Factors, HALF, Place, Sums};
#[cfg(target_arch = "x86_64")]
use super::{amx, avx2, avx512};

/// Rows that go into one tile at `level`.
pub(super) fn rows(level: Level, number: Number) -> usize {
    match (level, number) {
        (Level::Amx, Number::Bf16 | Number::Int8) => tile::ROWS,
        (Level::AvxVnni | Level::Avx2, Number::F32) | (Level::AvxVnni, Number::Int8) => 6,
        #[cfg(target_arch = "x86_64")]
        (_, Number::Int16) => avx2::PAIRED_ROWS,
        #[cfg(target_arch = "x86_64")]
        (Level::Amx | Level::Avx512, _) => avx512::ROWS,
        _ => 4,
    }
}

/// What multiplies tiles of a number on one thread, by the best instructions of a level.
#[derive(Debug)]
pub(super) struct Multiplier {
    level: Level,
    number: Number,
    #[cfg(target_arch = "x86_64")]
    tiles: amx::Tiles,
}

impl Multiplier {
    #[inline(always)]
    pub(super) fn new(level: Level, number: Number) -> Self {
        Self {
            level,
            number,
            #[cfg(target_arch = "x86_64")]
            tiles: amx::Tiles::new(),
        }
    }

    /// Whose instructions multiply.
    #[inline(always)]
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Whether tiles are of AMX.
    #[inline(always)]
    pub(super) fn is_amx(&self) -> bool {
        self.level == Level::Amx && matches!(self.number, Number::Bf16 | Number::Int8)
    }

    /// The groups that `groups` are best filled up to with zeros.
    pub(super) fn whole(&self, groups: usize) -> usize {
        if self.is_amx() { groups.next_multiple_of(LINE) } else { groups }
    }

    /// Ranges that make up `rows`, as few as may be, of at most `most` and as even as whole tiles
    /// allow: for a last one of few rows all weights would be read again.
    pub(super) fn chunks(
        &self,
        rows: usize,
        most: usize,
    ) -> impl Iterator<Item = Range<usize>> + use<> {
        let at_once = self::rows(self.level, self.number);
        let tiles = rows.div_ceil(at_once);
        let count = tiles.div_ceil((most / at_once).max(1));
        (0..count).map(move |i| {
            let bound = |i: usize| (i * tiles / count * at_once).min(rows);
            bound(i)..bound(i + 1)
        })
    }

    /// Ranges of rows that go into a tile each, and make up `rows`.
    #[inline(always)]
    pub(super) fn blocks(&self, rows: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let at_once = self::rows(self.level, self.number);
        let (count, is_amx) = (rows.div_ceil(at_once), self.is_amx());
        (0..count).map(move |block| {
            if is_amx {
                // AMX takes less time for fewer rows, and some to change their number.
                block * at_once..((block + 1) * at_once).min(rows)
            } else {
                // As even as can be: a last block of few rows would waste the right factor.
                block * rows / count..(block + 1) * rows / count
            }
        })
    }

    /// Multiplies as many rows as there are sums, and with `onto` adds to what stands there. Factors
    /// that are too short give zeros, or add nothing.
    #[inline(always)]
    pub(super) fn multiply(&mut self, factors: &Factors<'_>, onto: bool, sums: &mut [Sums]) {
        let Self { level, number, .. } = *self;
        if !factors.fit(sums.len(), COLUMNS) {
            debug_assert_eq!(factors.groups, 0, "a tile reaches past its factors");
            if !onto {
                sums.fill([0; COLUMNS]);
            }
            return;
        }
        #[cfg(target_arch = "x86_64")]
        match (level, number) {
            (Level::Amx, Number::Bf16) => {
                // SAFETY: `fit` saw that every read is within the factors and that there are as many sums
                // as a tile has rows at most, and `level` says that the processor has AMX.
                return unsafe { self.tiles.bf16(factors, onto, sums) };
            }
            (Level::Amx, Number::Int8) => {
                // SAFETY: as above.
                return unsafe { self.tiles.int8(factors, onto, sums) };
            }
            (Level::Avx512 | Level::Amx, Number::F32) if sums.len() <= avx512::ROWS => {
                // SAFETY: `fit` saw the factors, and that there are sums; those are no more than the rows
                // of this tile, and `level` says that the processor has AVX-512 F.
                return unsafe { avx512::f32(factors, onto, sums) };
            }
            (Level::Avx512, Number::Bf16) if Level::has_bf16() && sums.len() <= avx512::ROWS => {
                // SAFETY: as above, with BF16.
                return unsafe { avx512::bf16(factors, onto, sums) };
            }
            (Level::Avx512, Number::Int8)
                if level.multiplies_bytes() && sums.len() <= avx512::ROWS =>
            {
                // SAFETY: as above, with VNNI.
                return unsafe { avx512::int8(factors, onto, sums) };
            }
            (Level::Avx2 | Level::AvxVnni, Number::F32) if sums.len() <= 6 => {
                for column in [0, HALF] {
                    let right = factors.right.get(column..).unwrap_or_default();
                    half(
                        level,
                        number,
                        &Factors { right, ..*factors },
                        Place { column, onto },
                        sums,
                    );
                }
                return;
            }
            _ => {}
        }
        let (fused, place) = (is_fused(level), Place { column: 0, onto });
        plain::multiply::<COLUMNS>(number, factors, fused, place, sums);
    }
}

/// Multiplies sixteen columns by as many rows as there are sums. Factors that are too short give
/// zeros, or add nothing.
#[inline(always)]
pub(super) fn half(
    level: Level,
    number: Number,
    factors: &Factors<'_>,
    place: Place,
    sums: &mut [Sums],
) {
    let is_odd = number == Number::Int16 && !factors.groups.is_multiple_of(2);
    if !factors.fit(sums.len(), HALF) || place.column + HALF > COLUMNS || is_odd {
        debug_assert_eq!(
            factors.groups, 0,
            "half a tile reaches past its factors, or has half a pair"
        );
        if !place.onto {
            let rows = sums.iter_mut();
            rows.for_each(|row| row.iter_mut().skip(place.column).take(HALF).for_each(|x| *x = 0));
        }
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if level != Level::Portable && sums.len() <= 6 {
        match number {
            // SAFETY: it was seen that every read and write is within factors and sums, and
            // `level` says that the processor has AVX2 and FMA.
            Number::F32 => return unsafe { avx2::f32(factors, place, sums) },
            // SAFETY: as above; `groups` is even, and there are no more rows than it takes.
            Number::Int16 if sums.len() <= avx2::PAIRED_ROWS => {
                return unsafe { avx2::int16(factors, place, sums) };
            }
            // SAFETY: as above, with AVX-VNNI.
            Number::Int8 if level == Level::AvxVnni => {
                return unsafe { avx2::int8(factors, place, sums) };
            }
            Number::Bf16 | Number::Int8 | Number::Int16 => {}
        }
    }
    plain::multiply::<HALF>(number, factors, is_fused(level), place, sums);
}

/// As [`plain::widen`], by the best instructions of `level`.
#[inline(always)]
pub(super) fn widen(level: Level, bytes: &[u32; HALF], to: &mut [[u32; HALF]; 2]) {
    #[cfg(target_arch = "x86_64")]
    if level != Level::Portable {
        // SAFETY: `level` says that the processor has AVX2.
        return unsafe { avx2::widen(bytes, to) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = level;
    plain::widen(bytes, to);
}

fn is_fused(level: Level) -> bool {
    FUSED_EVERYWHERE || level != Level::Portable
}
