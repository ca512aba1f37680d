//! The colours of [`super::jpeg_samples`] in the words of x86-64, to the same bits: what compilers
//! make of the formula takes three times as long.
//!
//! No closures and no iterators: what is not inlined is compiled without the vectors.

use std::arch::x86_64::{__m128i, __m256i};

use pulp::x86::V3;

/// Pixels that are computed side by side.
pub(super) const PIXELS: usize = 16;

/// Where the bytes of each channel come in each third of the output; nowhere is the high bit.
const SPREAD: [[[u8; 16]; 3]; 3] = {
    let places = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15_u8];
    let mut all = [[[0x80; 16]; 3]; 3];
    let mut at = 0;
    while at < 3 * PIXELS {
        all[at % 3][at / 16][at % 16] = places[at / 3];
        at += 1;
    }
    all
};

/// YCbCr as interleaved RGB.
#[inline(always)]
pub(super) fn coloured(simd: V3, out: &mut [u8; 3 * PIXELS], [y, cb, cr]: [&[u8; PIXELS]; 3]) {
    let (avx, avx2) = (simd.avx, simd.avx2);
    let y = words(simd, y);
    let zero = avx._mm256_set1_epi16(128);
    let cb = avx2._mm256_sub_epi16(words(simd, cb), zero);
    let cr = avx2._mm256_sub_epi16(words(simd, cr), zero);
    // whole multiples are taken out of factors of 16 fractional bits, so that the rest fit; a half
    // is twice its half where there is room for it
    let two = avx._mm256_set1_epi16(2);
    let red = avx2._mm256_add_epi16(cr, sum(simd, [cr, two], [26_345, 16_384], 0));
    let green = avx2._mm256_sub_epi16(sum(simd, [cb, cr], [-22_554, 18_734], 32_768), cr);
    let blue = sum(simd, [cb, two], [-14_942, 16_384], 0);
    let blue = avx2._mm256_add_epi16(avx2._mm256_add_epi16(cb, cb), blue);
    let channels = [
        bytes(simd, avx2._mm256_add_epi16(y, red)),
        bytes(simd, avx2._mm256_add_epi16(y, green)),
        bytes(simd, avx2._mm256_add_epi16(y, blue)),
    ];
    *out =
        pulp::cast([third(simd, channels, 0), third(simd, channels, 1), third(simd, channels, 2)]);
}

#[inline(always)]
fn words(simd: V3, bytes: &[u8; PIXELS]) -> __m256i {
    simd.avx2._mm256_cvtepu8_epi16(pulp::cast(*bytes))
}

#[inline(always)]
fn bytes(simd: V3, words: __m256i) -> __m128i {
    let low = simd.avx._mm256_castsi256_si128(words);
    let high = simd.avx2._mm256_extracti128_si256::<1>(words);
    simd.sse2._mm_packus_epi16(low, high)
}

/// The whole part of two products and a term, all of 16 fractional bits.
#[inline(always)]
fn sum(simd: V3, [a, b]: [__m256i; 2], factors: [i16; 2], term: i32) -> __m256i {
    let low = halved(simd, simd.avx2._mm256_unpacklo_epi16(a, b), factors, term);
    let high = halved(simd, simd.avx2._mm256_unpackhi_epi16(a, b), factors, term);
    simd.avx2._mm256_packs_epi32(low, high)
}

#[inline(always)]
fn halved(simd: V3, pairs: __m256i, factors: [i16; 2], term: i32) -> __m256i {
    let avx2 = simd.avx2;
    let sums = avx2._mm256_madd_epi16(pairs, pulp::cast([factors; 8]));
    avx2._mm256_srai_epi32::<16>(avx2._mm256_add_epi32(sums, simd.avx._mm256_set1_epi32(term)))
}

#[inline(always)]
fn third(simd: V3, channels: [__m128i; 3], third: usize) -> __m128i {
    let (ssse3, sse) = (simd.ssse3, simd.sse2);
    let red = ssse3._mm_shuffle_epi8(channels[0], pulp::cast(SPREAD[0][third]));
    let green = ssse3._mm_shuffle_epi8(channels[1], pulp::cast(SPREAD[1][third]));
    let blue = ssse3._mm_shuffle_epi8(channels[2], pulp::cast(SPREAD[2][third]));
    sse._mm_or_si128(sse._mm_or_si128(red, green), blue)
}
