//! Tiles in AVX-512: two registers a row, so fourteen rows leave four registers of thirty-two.
#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::{
    __m512bh, __m512i, _MM_HINT_T1, _mm_castps_si128, _mm_load_ss, _mm_prefetch,
    _mm512_broadcastd_epi32, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cvtne2ps_pbh,
    _mm512_dpbf16_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_permutexvar_epi16, _mm512_setzero_si512, _mm512_storeu_si512,
};
use std::mem::transmute;

use super::tile::{Factors, Sums};

/// Rows of a tile at most.
pub(super) const ROWS: usize = 14;

/// Repeats `body` for rows 0 to `rows`, each with its number as a constant: a loop over sums
/// would keep them in memory where the compiler does not unroll it.
macro_rules! each_row {
    ($rows:ident, $row:ident, $body:block) => {
        each_row!(@ $rows, $row, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $rows:ident, $row:ident, $body:block, $($number:literal)*) => {
        $(if $number < $rows {
            const $row: usize = $number;
            $body
        })*
    };
}

macro_rules! tiles {
    ($(#[$doc:meta])* $name:ident, $features:literal, |$sum:ident, $a:ident, $b:ident| $step:expr) => {
        $(#[$doc])*
        /// With `onto` the products are added to what stands in the sums.
        ///
        /// # Safety
        /// The processor has the instructions, there are sums of 1 to 14 rows, and that many rows
        /// and 32 columns of `groups` groups lie within the factors.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(factors: &Factors<'_>, onto: bool, to: &mut [Sums]) {
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn of<const COUNT: usize>(factors: &Factors<'_>, onto: bool, to: &mut [Sums]) {
                let stride = factors.left_stride;
                let left = factors.left.as_ptr();
                // A pointer for three rows each: more would not fit the general registers.
                let mut at: [*const u32; 5] =
                    std::array::from_fn(|i| left.wrapping_add(3 * i * stride));
                let mut right = factors.right.as_ptr();
                let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
                let to = to.as_mut_ptr();
                if onto {
                    each_row!(COUNT, ROW, {
                        let row = to.wrapping_add(ROW).cast::<u32>();
                        // SAFETY: the caller's promise, and a row of sums is two registers long.
                        sums[ROW] = unsafe {
                            [
                                _mm512_loadu_si512(row.cast()),
                                _mm512_loadu_si512(row.wrapping_add(16).cast()),
                            ]
                        };
                    });
                }
                // Of nothing, what is near anyway: an address that is not mapped is looked for in vain.
                let nothing = factors.ahead.is_empty();
                let mut ahead = if nothing { right } else { factors.ahead.as_ptr() };
                let step = factors.ahead.len().div_ceil(factors.groups.max(1));
                for _ in 0..factors.groups {
                    _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                    ahead = ahead.wrapping_add(step);
                    // SAFETY: the caller's promise.
                    let b: [__m512i; 2] = unsafe {
                        [
                            _mm512_loadu_si512(right.cast()),
                            _mm512_loadu_si512(right.wrapping_add(16).cast()),
                        ]
                    };
                    each_row!(COUNT, ROW, {
                        // Not `*` and `add`, which check their pointers where assertions are
                        // on: a test took three times as long.
                        // SAFETY: the caller's promise.
                        let number =
                            unsafe { _mm_load_ss(at[ROW / 3].wrapping_add(ROW % 3 * stride).cast()) };
                        let $a = _mm512_broadcastd_epi32(_mm_castps_si128(number));
                        let ($sum, $b) = (sums[ROW][0], b[0]);
                        sums[ROW][0] = $step;
                        let ($sum, $b) = (sums[ROW][1], b[1]);
                        sums[ROW][1] = $step;
                    });
                    let [a, b, c, d, e] = at;
                    at = [
                        a.wrapping_add(1),
                        b.wrapping_add(1),
                        c.wrapping_add(1),
                        d.wrapping_add(1),
                        e.wrapping_add(1),
                    ];
                    right = right.wrapping_add(factors.right_stride);
                }
                each_row!(COUNT, ROW, {
                    let row = to.wrapping_add(ROW).cast::<u32>();
                    // SAFETY: as above.
                    unsafe {
                        _mm512_storeu_si512(row.cast(), sums[ROW][0]);
                        _mm512_storeu_si512(row.wrapping_add(16).cast(), sums[ROW][1]);
                    }
                });
            }
            // SAFETY: the caller's promise.
            unsafe {
                match to.len() {
                    1 => of::<1>(factors, onto, to),
                    2 => of::<2>(factors, onto, to),
                    3 => of::<3>(factors, onto, to),
                    4 => of::<4>(factors, onto, to),
                    5 => of::<5>(factors, onto, to),
                    6 => of::<6>(factors, onto, to),
                    7 => of::<7>(factors, onto, to),
                    8 => of::<8>(factors, onto, to),
                    9 => of::<9>(factors, onto, to),
                    10 => of::<10>(factors, onto, to),
                    11 => of::<11>(factors, onto, to),
                    12 => of::<12>(factors, onto, to),
                    13 => of::<13>(factors, onto, to),
                    14 => of::<14>(factors, onto, to),
                    _ => debug_assert!(false, "a tile of {} rows", to.len()),
                }
            }
        }
    };
}

tiles!(
    /// Floats.
    f32,
    "avx512f",
    |sum, a, b| _mm512_castps_si512(_mm512_fmadd_ps(
        _mm512_castsi512_ps(a),
        _mm512_castsi512_ps(b),
        _mm512_castsi512_ps(sum)
    ))
);

tiles!(
    /// Pairs of bfloat16, summed in f32.
    bf16,
    "avx512f,avx512bf16",
    |sum, a, b| {
        // SAFETY: registers of the same width, and every pattern of bits is a value.
        let [a, b] = unsafe { [transmute::<__m512i, __m512bh>(a), transmute::<__m512i, __m512bh>(b)] };
        _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(sum), a, b))
    }
);

tiles!(
    /// Groups of four bytes, the left without sign, summed in i32.
    int8,
    "avx512f,avx512vnni",
    |sum, a, b| _mm512_dpbusd_epi32(sum, a, b)
);

/// Thirty-two numbers, rounded to the nearest bfloat16, as sixteen pairs. Denormal ones are zero.
///
/// # Safety
/// The processor has AVX-512 F and BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
#[inline]
pub(super) unsafe fn pairs(from: &[f32; 32], to: &mut [u32; 16]) {
    // SAFETY: two registers are read and one is written, as long as the arrays; registers of the
    // same width, and every pattern of bits is a value.
    unsafe {
        let (low, high) = (_mm512_loadu_ps(from.as_ptr()), _mm512_loadu_ps(from.as_ptr().add(16)));
        let pairs = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
        _mm512_storeu_si512(to.as_mut_ptr().cast(), pairs);
    }
}

/// As [`pairs`], of a number of `low` and the one at the same place of `high`.
///
/// # Safety
/// The processor has AVX-512 F, BW and BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[inline]
pub(super) unsafe fn braided(low: &[f32; 32], high: &[f32; 32], to: &mut [u32; 32]) {
    const PLACES: [u16; 32] = {
        let mut places = [0; 32];
        let mut i = 0_u16;
        while i < 32 {
            places[i as usize] = i / 2 + i % 2 * 16;
            i += 1;
        }
        places
    };
    // SAFETY: registers are read and written at both halves of the arrays, which they fill;
    // registers of the same width, and every pattern of bits is a value.
    unsafe {
        let places = _mm512_loadu_si512(PLACES.as_ptr().cast());
        for half in [0, 16] {
            let low = _mm512_loadu_ps(low.as_ptr().wrapping_add(half));
            let high = _mm512_loadu_ps(high.as_ptr().wrapping_add(half));
            let pairs = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            let pairs = _mm512_permutexvar_epi16(places, pairs);
            _mm512_storeu_si512(to.as_mut_ptr().wrapping_add(half).cast(), pairs);
        }
    }
}
