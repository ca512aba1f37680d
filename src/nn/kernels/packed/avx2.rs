//! Tiles in AVX2: six rows of sixteen columns at a time.
#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::{
    __m256, _mm_load_ss, _mm256_broadcastss_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::tile::{COLUMNS, Factors, Tile};

/// As in AVX-512's tiles.
macro_rules! each_row {
    ($rows:ident, $row:ident, $body:block) => {
        each_row!(@ $rows, $row, $body, 0 1 2 3 4 5)
    };
    (@ $rows:ident, $row:ident, $body:block, $($number:literal)*) => {
        $(if $number < $rows {
            const $row: usize = $number;
            $body
        })*
    };
}

/// Floats.
///
/// # Safety
/// The processor has AVX2 and FMA, `rows` is 1 to 6, and that many rows and 32 columns of
/// `groups` groups lie within the factors.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn f32(factors: &Factors<'_>, rows: usize, tile: &mut Tile) {
    for column in [0, COLUMNS / 2] {
        // SAFETY: the caller's promise.
        unsafe {
            match rows {
                1 => half::<1>(factors, column, tile),
                2 => half::<2>(factors, column, tile),
                3 => half::<3>(factors, column, tile),
                4 => half::<4>(factors, column, tile),
                5 => half::<5>(factors, column, tile),
                _ => half::<6>(factors, column, tile),
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn half<const ROWS: usize>(factors: &Factors<'_>, column: usize, tile: &mut Tile) {
    let stride = factors.left_stride;
    let left = factors.left.as_ptr();
    let mut at: [*const u32; 2] = [left, left.wrapping_add(3 * stride)];
    let mut right: *const f32 = factors.right.as_ptr().wrapping_add(column).cast();
    let mut sums = [[_mm256_setzero_ps(); 2]; 6];
    for _ in 0..factors.groups {
        // SAFETY: the caller's promise.
        let b: [__m256; 2] =
            unsafe { [_mm256_loadu_ps(right), _mm256_loadu_ps(right.wrapping_add(8))] };
        each_row!(ROWS, ROW, {
            // As in AVX-512's tiles: `*` and `add` check their pointers where assertions are on.
            // SAFETY: the caller's promise.
            let number = unsafe { _mm_load_ss(at[ROW / 3].wrapping_add(ROW % 3 * stride).cast()) };
            let a = _mm256_broadcastss_ps(number);
            sums[ROW][0] = _mm256_fmadd_ps(a, b[0], sums[ROW][0]);
            sums[ROW][1] = _mm256_fmadd_ps(a, b[1], sums[ROW][1]);
        });
        at = [at[0].wrapping_add(1), at[1].wrapping_add(1)];
        right = right.wrapping_add(factors.right_stride);
    }
    each_row!(ROWS, ROW, {
        let row: *mut f32 = tile.0[ROW].as_mut_ptr().wrapping_add(column).cast();
        // SAFETY: half a row of a tile is two registers long.
        unsafe {
            _mm256_storeu_ps(row, sums[ROW][0]);
            _mm256_storeu_ps(row.add(8), sums[ROW][1]);
        }
    });
}
