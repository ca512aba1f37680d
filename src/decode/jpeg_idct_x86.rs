//! [`super::jpeg_idct_plain`] in the words of x86-64, to the same bits: what compilers make of the
//! formula takes several times as long. Pairs of products are one instruction, as in libjpeg-turbo's
//! `jidctint-sse2.asm`.
//!
//! No closures and no iterators: what is not inlined is compiled without the vectors.

use std::arch::x86_64::__m128i;

use pulp::x86::V3;

use super::jpeg_idct_plain::{
    F_0_298, F_0_390, F_0_541, F_0_765, F_0_899, F_1_175, F_1_501, F_1_847, F_1_961, F_2_053,
    F_2_562, F_3_072,
};

/// Eight rows of eight numbers of 16 bits.
type Rows = [__m128i; 8];
/// Eight numbers of 32 bits: the lower and the upper four.
type Wide = [__m128i; 2];

/// Samples of a block, row by row.
#[inline(always)]
pub(super) fn idct(simd: V3, block: &[i16; 64], quant: &[i16; 64]) -> [[u8; 8]; 8] {
    let mut rows: Rows = pulp::cast(*block);
    let quant: Rows = pulp::cast(*quant);
    for y in 0..8 {
        rows[y] = simd.sse2._mm_mullo_epi16(rows[y], quant[y]);
    }
    let columns = transposed(simd, pass::<11>(simd, rows));
    samples(simd, pass::<18>(simd, columns))
}

/// One pass over the first index, all eight lanes side by side.
#[inline(always)]
fn pass<const SHIFT: i32>(simd: V3, rows: Rows) -> Rows {
    let sse = simd.sse2;
    let pair = by_16(simd, rows[2], rows[6]);
    let t3 = products(simd, pair, [F_0_541 + F_0_765, F_0_541]);
    let t2 = products(simd, pair, [F_0_541, F_0_541 - F_1_847]);
    let t0 = scaled::<SHIFT>(simd, sse._mm_add_epi16(rows[0], rows[4]));
    let t1 = scaled::<SHIFT>(simd, sse._mm_sub_epi16(rows[0], rows[4]));
    let even0 = plus(simd, t0, t3);
    let even1 = plus(simd, t1, t2);
    let even2 = less(simd, t1, t2);
    let even3 = less(simd, t0, t3);

    let z3 = sse._mm_add_epi16(rows[3], rows[7]);
    let z4 = sse._mm_add_epi16(rows[1], rows[5]);
    let pair = by_16(simd, z3, z4);
    let z3 = products(simd, pair, [F_1_175 - F_1_961, F_1_175]);
    let z4 = products(simd, pair, [F_1_175, F_1_175 - F_0_390]);
    let outer = by_16(simd, rows[7], rows[1]);
    let inner = by_16(simd, rows[5], rows[3]);
    let odd0 = plus(simd, products(simd, outer, [-F_0_899, F_1_501 - F_0_899]), z4);
    let odd1 = plus(simd, products(simd, inner, [-F_2_562, F_3_072 - F_2_562]), z3);
    let odd2 = plus(simd, products(simd, inner, [F_2_053 - F_2_562, -F_2_562]), z4);
    let odd3 = plus(simd, products(simd, outer, [F_0_298 - F_0_899, -F_0_899]), z3);
    [
        packed::<SHIFT>(simd, plus(simd, even0, odd0)),
        packed::<SHIFT>(simd, plus(simd, even1, odd1)),
        packed::<SHIFT>(simd, plus(simd, even2, odd2)),
        packed::<SHIFT>(simd, plus(simd, even3, odd3)),
        packed::<SHIFT>(simd, less(simd, even3, odd3)),
        packed::<SHIFT>(simd, less(simd, even2, odd2)),
        packed::<SHIFT>(simd, less(simd, even1, odd1)),
        packed::<SHIFT>(simd, less(simd, even0, odd0)),
    ]
}

/// Numbers with 13 fractional bits, and half of the last bit that is kept.
#[inline(always)]
fn scaled<const SHIFT: i32>(simd: V3, numbers: __m128i) -> Wide {
    let sse = simd.sse2;
    let [low, high] = by_16(simd, sse._mm_setzero_si128(), numbers);
    let half = sse._mm_set1_epi32(1 << (SHIFT - 1));
    plus(simd, [sse._mm_srai_epi32::<3>(low), sse._mm_srai_epi32::<3>(high)], [half, half])
}

/// The sums of both numbers of each pair, times their factors.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "sums of a few constants fit 16 bits")]
fn products(simd: V3, pairs: Wide, factors: [i32; 2]) -> Wide {
    let factors = pulp::cast([[factors[0] as i16, factors[1] as i16]; 4]);
    [simd.sse2._mm_madd_epi16(pairs[0], factors), simd.sse2._mm_madd_epi16(pairs[1], factors)]
}

#[inline(always)]
fn plus(simd: V3, a: Wide, b: Wide) -> Wide {
    [simd.sse2._mm_add_epi32(a[0], b[0]), simd.sse2._mm_add_epi32(a[1], b[1])]
}

#[inline(always)]
fn less(simd: V3, a: Wide, b: Wide) -> Wide {
    [simd.sse2._mm_sub_epi32(a[0], b[0]), simd.sse2._mm_sub_epi32(a[1], b[1])]
}

#[inline(always)]
fn packed<const SHIFT: i32>(simd: V3, numbers: Wide) -> __m128i {
    let sse = simd.sse2;
    let low = sse._mm_srai_epi32::<SHIFT>(numbers[0]);
    let high = sse._mm_srai_epi32::<SHIFT>(numbers[1]);
    sse._mm_packs_epi32(low, high)
}

/// Numbers of two rows in turn: the lower halves, and the upper ones.
#[inline(always)]
fn by_16(simd: V3, a: __m128i, b: __m128i) -> Wide {
    [simd.sse2._mm_unpacklo_epi16(a, b), simd.sse2._mm_unpackhi_epi16(a, b)]
}

/// As [`by_16`], two numbers at a time.
#[inline(always)]
fn by_32(simd: V3, a: __m128i, b: __m128i) -> Wide {
    [simd.sse2._mm_unpacklo_epi32(a, b), simd.sse2._mm_unpackhi_epi32(a, b)]
}

/// As [`by_16`], four numbers at a time.
#[inline(always)]
fn by_64(simd: V3, a: __m128i, b: __m128i) -> Wide {
    [simd.sse2._mm_unpacklo_epi64(a, b), simd.sse2._mm_unpackhi_epi64(a, b)]
}

#[inline(always)]
fn transposed(simd: V3, rows: Rows) -> Rows {
    // two rows, four rows, eight rows side by side
    let [a, b] = by_16(simd, rows[0], rows[1]);
    let [c, d] = by_16(simd, rows[2], rows[3]);
    let [e, f] = by_16(simd, rows[4], rows[5]);
    let [g, h] = by_16(simd, rows[6], rows[7]);
    let [a, c] = by_32(simd, a, c);
    let [b, d] = by_32(simd, b, d);
    let [e, g] = by_32(simd, e, g);
    let [f, h] = by_32(simd, f, h);
    let [r0, r1] = by_64(simd, a, e);
    let [r2, r3] = by_64(simd, c, g);
    let [r4, r5] = by_64(simd, b, f);
    let [r6, r7] = by_64(simd, d, h);
    [r0, r1, r2, r3, r4, r5, r6, r7]
}

/// Columns of values around zero, as rows of levels.
#[inline(always)]
fn samples(simd: V3, columns: Rows) -> [[u8; 8]; 8] {
    let sse = simd.sse2;
    // columns 0 and 4, 1 and 5, 2 and 6, 3 and 7, saturated to bytes
    let a = levels(simd, columns[0], columns[4]);
    let b = levels(simd, columns[1], columns[5]);
    let c = levels(simd, columns[2], columns[6]);
    let d = levels(simd, columns[3], columns[7]);
    // two columns, four columns, eight columns side by side
    let (ab, ef) = (sse._mm_unpacklo_epi8(a, b), sse._mm_unpackhi_epi8(a, b));
    let (cd, gh) = (sse._mm_unpacklo_epi8(c, d), sse._mm_unpackhi_epi8(c, d));
    let [left0, left4] = by_16(simd, ab, cd);
    let [right0, right4] = by_16(simd, ef, gh);
    let [y0, y2] = by_32(simd, left0, right0);
    let [y4, y6] = by_32(simd, left4, right4);
    pulp::cast([y0, y2, y4, y6])
}

#[inline(always)]
fn levels(simd: V3, a: __m128i, b: __m128i) -> __m128i {
    let sse = simd.sse2;
    sse._mm_xor_si128(sse._mm_packs_epi16(a, b), sse._mm_set1_epi8(i8::MIN))
}
