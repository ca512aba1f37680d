//! Half tiles in AVX2 and AVX-VNNI, of sixteen columns: six rows, so that twelve registers of sixteen hold
//! sums, or four where each step wants four registers of weights and four more.
#![cfg(target_arch = "x86_64")]

use std::arch::asm;
use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _mm_castps_si128, _mm_load_ss, _mm_prefetch, _mm256_broadcastd_epi32,
    _mm256_castps_si256, _mm256_castsi256_ps, _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps,
    _mm256_loadu_si256, _mm256_setzero_si256, _mm256_slli_epi16, _mm256_srai_epi16,
    _mm256_storeu_si256,
};

use super::tile::{COLUMNS, Factors, HALF, Place, Sums};

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

/// Sixteen words.
///
/// # Safety
/// The processor has AVX, and they may be read.
#[target_feature(enable = "avx")]
#[inline]
unsafe fn load(from: *const u32) -> [__m256i; 2] {
    // SAFETY: the caller's promise.
    unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.wrapping_add(8).cast())] }
}

/// Sixteen words.
///
/// # Safety
/// The processor has AVX, and they may be written.
#[target_feature(enable = "avx")]
#[inline]
unsafe fn store(to: *mut u32, words: [__m256i; 2]) {
    // SAFETY: the caller's promise.
    unsafe {
        _mm256_storeu_si256(to.cast(), words[0]);
        _mm256_storeu_si256(to.wrapping_add(8).cast(), words[1]);
    }
}

macro_rules! halves {
    ($(#[$doc:meta])* $name:ident, $features:literal, |$sum:ident, $a:ident, $b:ident| $step:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The processor has the instructions, there are 1 to 6 rows of sums, and that many rows and
        /// sixteen columns of `groups` groups lie within the factors, as many from `place` on
        /// within the sums.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(factors: &Factors<'_>, place: Place, sums: &mut [Sums]) {
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn of<const ROWS: usize>(
                factors: &Factors<'_>,
                place: Place,
                to: &mut [Sums],
            ) {
                let stride = factors.left_stride;
                let left = factors.left.as_ptr();
                let mut at: [*const u32; 2] = [left, left.wrapping_add(3 * stride)];
                let mut right = factors.right.as_ptr();
                let to: *mut u32 = to.as_mut_ptr().cast::<u32>().wrapping_add(place.column);
                let mut sums = [[_mm256_setzero_si256(); 2]; 6];
                if place.onto {
                    // SAFETY: the caller's promise.
                    each_row!(ROWS, ROW, { sums[ROW] = unsafe { load(to.wrapping_add(ROW * COLUMNS)) } });
                }
                // As in AVX-512's tiles.
                let nothing = factors.ahead.is_empty();
                let mut ahead = if nothing { right } else { factors.ahead.as_ptr() };
                let step = factors.ahead.len().div_ceil(factors.groups.max(1));
                for _ in 0..factors.groups {
                    _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                    ahead = ahead.wrapping_add(step);
                    // SAFETY: the caller's promise.
                    let b = unsafe { load(right) };
                    each_row!(ROWS, ROW, {
                        // As in AVX-512's tiles: `*` and `add` check their pointers where
                        // assertions are on.
                        // SAFETY: the caller's promise.
                        let number =
                            unsafe { _mm_load_ss(at[ROW / 3].wrapping_add(ROW % 3 * stride).cast()) };
                        let $a = _mm256_broadcastd_epi32(_mm_castps_si128(number));
                        let ($sum, $b) = (sums[ROW][0], b[0]);
                        sums[ROW][0] = $step;
                        let ($sum, $b) = (sums[ROW][1], b[1]);
                        sums[ROW][1] = $step;
                    });
                    at = [at[0].wrapping_add(1), at[1].wrapping_add(1)];
                    right = right.wrapping_add(factors.right_stride);
                }
                // SAFETY: as above.
                each_row!(ROWS, ROW, { unsafe { store(to.wrapping_add(ROW * COLUMNS), sums[ROW]) } });
            }
            // SAFETY: the caller's promise.
            unsafe {
                match sums.len() {
                    1 => of::<1>(factors, place, sums),
                    2 => of::<2>(factors, place, sums),
                    3 => of::<3>(factors, place, sums),
                    4 => of::<4>(factors, place, sums),
                    5 => of::<5>(factors, place, sums),
                    _ => of::<6>(factors, place, sums),
                }
            }
        }
    };
}

halves!(
    /// Floats.
    f32,
    "avx2,fma",
    |sum, a, b| _mm256_castps_si256(_mm256_fmadd_ps(
        _mm256_castsi256_ps(a),
        _mm256_castsi256_ps(b),
        _mm256_castsi256_ps(sum)
    ))
);

halves!(
    /// Groups of four bytes, the left without sign, summed in i32.
    int8,
    "avx2,avxvnni",
    |sum, a, b| _mm256_dpbusd_avx_epi32(sum, a, b)
);

/// Rows of half a tile of [`int16`] at most.
pub(super) const PAIRED_ROWS: usize = 4;

/// Words of sixteen bits, as [`Number::Int16`](super::number::Number::Int16) has them, summed in i32. There is a
/// product of bytes, but its sums saturate.
///
/// # Safety
/// The processor has AVX2, there are 1 to 4 rows of sums, `groups` is even, and that many rows and
/// sixteen columns of `groups` groups lie within the factors, as many from `place` on within the sums.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn int16(factors: &Factors<'_>, place: Place, sums: &mut [Sums]) {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn of<const ROWS: usize>(factors: &Factors<'_>, place: Place, to: &mut [Sums]) {
        let left = factors.left.as_ptr();
        let rows: [*const u32; PAIRED_ROWS] =
            std::array::from_fn(|row| left.wrapping_add(row * factors.left_stride));
        let mut right = factors.right.as_ptr();
        let to: *mut u32 = to.as_mut_ptr().cast::<u32>().wrapping_add(place.column);
        let mut sums = [[_mm256_setzero_si256(); 2]; PAIRED_ROWS];
        if place.onto {
            // SAFETY: the caller's promise.
            each_row!(@ ROWS, ROW, { sums[ROW] = unsafe { load(to.wrapping_add(ROW * COLUMNS)) } }, 0 1 2 3);
        }
        // As in AVX-512's tiles.
        let nothing = factors.ahead.is_empty();
        let mut ahead = if nothing { right } else { factors.ahead.as_ptr() };
        let step = factors.ahead.len().div_ceil(factors.groups.max(1));
        for group in (0..factors.groups).step_by(2) {
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
            ahead = ahead.wrapping_add(2 * step);
            // SAFETY: the caller's promise.
            let (even, odd) =
                unsafe { (load(right), load(right.wrapping_add(factors.right_stride))) };
            each_row!(@ ROWS, ROW, {
                let [mut low, mut high] = sums[ROW];
                // In this order: the compiler's, which adds up before it goes on, was a twentieth slower.
                // SAFETY: it reads two words, of which the caller promises that they lie within.
                unsafe {
                    asm!(
                        "vpbroadcastd {a}, dword ptr [{row} + 4*{group}]",
                        "vpbroadcastd {b}, dword ptr [{row} + 4*{group} + 4]",
                        "vpaddw {x}, {a}, {odd_low}",
                        "vpaddw {y}, {b}, {even_low}",
                        "vpmaddwd {x}, {x}, {y}",
                        "vpaddw {a}, {a}, {odd_high}",
                        "vpaddw {b}, {b}, {even_high}",
                        "vpmaddwd {a}, {a}, {b}",
                        "vpaddd {low}, {low}, {x}",
                        "vpaddd {high}, {high}, {a}",
                        row = in(reg) rows[ROW],
                        group = in(reg) group,
                        even_low = in(ymm_reg) even[0],
                        even_high = in(ymm_reg) even[1],
                        odd_low = in(ymm_reg) odd[0],
                        odd_high = in(ymm_reg) odd[1],
                        a = out(ymm_reg) _,
                        b = out(ymm_reg) _,
                        x = out(ymm_reg) _,
                        y = out(ymm_reg) _,
                        low = inout(ymm_reg) low,
                        high = inout(ymm_reg) high,
                        options(pure, readonly, nostack, preserves_flags),
                    );
                }
                sums[ROW] = [low, high];
            }, 0 1 2 3);
            right = right.wrapping_add(2 * factors.right_stride);
        }
        // SAFETY: as above.
        each_row!(@ ROWS, ROW, { unsafe { store(to.wrapping_add(ROW * COLUMNS), sums[ROW]) } }, 0 1 2 3);
    }
    // SAFETY: the caller's promise.
    unsafe {
        match sums.len() {
            1 => of::<1>(factors, place, sums),
            2 => of::<2>(factors, place, sums),
            3 => of::<3>(factors, place, sums),
            _ => of::<4>(factors, place, sums),
        }
    }
}

/// As [`plain::widen`](super::plain::widen).
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn widen(bytes: &[u32; HALF], to: &mut [[u32; HALF]; 2]) {
    let to: *mut u32 = to.as_mut_ptr().cast();
    for at in [0, 8] {
        // SAFETY: eight words are read and written within the arrays.
        unsafe {
            let bytes = _mm256_loadu_si256(bytes.as_ptr().wrapping_add(at).cast());
            let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes));
            let odd = _mm256_srai_epi16::<8>(bytes);
            _mm256_storeu_si256(to.wrapping_add(at).cast(), even);
            _mm256_storeu_si256(to.wrapping_add(HALF + at).cast(), odd);
        }
    }
}
