//! [`super::jpeg_idct`] in the words of x86-64, to the same bits: what compilers make of the formula
//! takes five times as long. Pairs of products are one instruction, as in libjpeg-turbo's
//! `jidctint-sse2.asm`.

use std::arch::x86_64::__m128i;

use pulp::x86::V3;

use super::jpeg_idct::{
    F_0_298, F_0_390, F_0_541, F_0_765, F_0_899, F_1_175, F_1_501, F_1_847, F_1_961, F_2_053,
    F_2_562, F_3_072,
};

/// Eight numbers of 16 bits a row.
type Rows = [__m128i; 8];
/// Eight numbers of 32 bits: the lower and the upper four.
type Wide = [__m128i; 2];

/// Factors of the first and of the second of two numbers that lie side by side.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "sums of a few constants fit 16 bits")]
fn factors(first: i32, second: i32) -> __m128i {
    pulp::cast([[first as i16, second as i16]; 4])
}

/// One pass over the first index, all eight lanes side by side.
#[inline(always)]
fn pass<const SHIFT: i32>(simd: V3, rows: Rows) -> Rows {
    let sse = simd.sse2;
    let both = |a, b| [sse._mm_unpacklo_epi16(a, b), sse._mm_unpackhi_epi16(a, b)];
    let products = |pairs: Wide, by| pairs.map(|pair| sse._mm_madd_epi16(pair, by));
    let plus = |a: Wide, b: Wide| [sse._mm_add_epi32(a[0], b[0]), sse._mm_add_epi32(a[1], b[1])];
    let less = |a: Wide, b: Wide| [sse._mm_sub_epi32(a[0], b[0]), sse._mm_sub_epi32(a[1], b[1])];
    // 13 fractional bits, and half of the last bit that is kept
    let half = [sse._mm_set1_epi32(1 << (SHIFT - 1)); 2];
    let scaled = |v| {
        let upper = both(sse._mm_setzero_si128(), v);
        plus(upper.map(|v| sse._mm_srai_epi32::<3>(v)), half)
    };

    let pair = both(rows[2], rows[6]);
    let t3 = products(pair, factors(F_0_541 + F_0_765, F_0_541));
    let t2 = products(pair, factors(F_0_541, F_0_541 - F_1_847));
    let t0 = scaled(sse._mm_add_epi16(rows[0], rows[4]));
    let t1 = scaled(sse._mm_sub_epi16(rows[0], rows[4]));
    let even = [plus(t0, t3), plus(t1, t2), less(t1, t2), less(t0, t3)];

    let pair = both(sse._mm_add_epi16(rows[3], rows[7]), sse._mm_add_epi16(rows[1], rows[5]));
    let z3 = products(pair, factors(F_1_175 - F_1_961, F_1_175));
    let z4 = products(pair, factors(F_1_175, F_1_175 - F_0_390));
    let outer = both(rows[7], rows[1]);
    let inner = both(rows[5], rows[3]);
    let odd = [
        plus(products(outer, factors(-F_0_899, F_1_501 - F_0_899)), z4),
        plus(products(inner, factors(-F_2_562, F_3_072 - F_2_562)), z3),
        plus(products(inner, factors(F_2_053 - F_2_562, -F_2_562)), z4),
        plus(products(outer, factors(F_0_298 - F_0_899, -F_0_899)), z3),
    ];

    let packed = |v: Wide| {
        let [low, high] = v.map(|v| sse._mm_srai_epi32::<SHIFT>(v));
        sse._mm_packs_epi32(low, high)
    };
    let sum = |i: usize| packed(plus(even[i], odd[i]));
    let difference = |i: usize| packed(less(even[i], odd[i]));
    [sum(0), sum(1), sum(2), sum(3), difference(3), difference(2), difference(1), difference(0)]
}

#[inline(always)]
fn transposed(simd: V3, rows: Rows) -> Rows {
    let sse = simd.sse2;
    let by_16 = |a, b| [sse._mm_unpacklo_epi16(a, b), sse._mm_unpackhi_epi16(a, b)];
    let by_32 = |a, b| [sse._mm_unpacklo_epi32(a, b), sse._mm_unpackhi_epi32(a, b)];
    let by_64 = |a, b| [sse._mm_unpacklo_epi64(a, b), sse._mm_unpackhi_epi64(a, b)];
    // two rows, four rows, eight rows side by side
    let [a, b] = by_16(rows[0], rows[1]);
    let [c, d] = by_16(rows[2], rows[3]);
    let [e, f] = by_16(rows[4], rows[5]);
    let [g, h] = by_16(rows[6], rows[7]);
    let [[a, c], [b, d]] = [by_32(a, c), by_32(b, d)];
    let [[e, g], [f, h]] = [by_32(e, g), by_32(f, h)];
    let [[r0, r1], [r2, r3]] = [by_64(a, e), by_64(c, g)];
    let [[r4, r5], [r6, r7]] = [by_64(b, f), by_64(d, h)];
    [r0, r1, r2, r3, r4, r5, r6, r7]
}

/// Samples of a block, row by row.
#[inline(always)]
pub(super) fn idct(simd: V3, block: &[i16; 64], quant: &[i16; 64]) -> [[u8; 8]; 8] {
    let sse = simd.sse2;
    let (block, quant): (&[[i16; 8]; 8], &[[i16; 8]; 8]) =
        (pulp::bytemuck::cast_ref(block), pulp::bytemuck::cast_ref(quant));
    let rows =
        std::array::from_fn(|y| sse._mm_mullo_epi16(pulp::cast(block[y]), pulp::cast(quant[y])));
    let columns = transposed(simd, pass::<11>(simd, rows));
    let columns = pass::<18>(simd, columns);
    // around zero, saturated to bytes; then as levels
    let bytes = |a: usize| {
        let pair = sse._mm_packs_epi16(columns[a], columns[a + 4]);
        sse._mm_xor_si128(pair, sse._mm_set1_epi8(i8::MIN))
    };
    let [a, b, c, d] = [bytes(0), bytes(1), bytes(2), bytes(3)];
    // columns 0 and 1, 2 and 3, 4 and 5, 6 and 7 side by side; four columns; all
    let (e, g) = (sse._mm_unpacklo_epi8(a, b), sse._mm_unpackhi_epi8(a, b));
    let (f, h) = (sse._mm_unpacklo_epi8(c, d), sse._mm_unpackhi_epi8(c, d));
    let (a, b) = (sse._mm_unpacklo_epi16(e, f), sse._mm_unpackhi_epi16(e, f));
    let (c, d) = (sse._mm_unpacklo_epi16(g, h), sse._mm_unpackhi_epi16(g, h));
    pulp::cast([
        sse._mm_unpacklo_epi32(a, c),
        sse._mm_unpackhi_epi32(a, c),
        sse._mm_unpacklo_epi32(b, d),
        sse._mm_unpackhi_epi32(b, d),
    ])
}
