//! The accurate integer IDCT, bit for bit as libjpeg-turbo's SIMD code (`jidctint`): 16-bit
//! products and sums that wrap, and saturation where it packs.

use super::jpeg_idct_plain::{self, sample};

/// Samples of a block, row by row.
#[inline(always)]
pub(super) fn idct(block: &[i16; 64], quant: &[i16; 64], has_ac: bool) -> [[u8; 8]; 8] {
    if !has_ac {
        // as both passes give it, but the first only shifts
        let dc = block[0].wrapping_mul(quant[0]).wrapping_shl(2);
        let level = ((i32::from(dc) << 13) + (1 << 17)) >> 18;
        let level = i16::try_from(level).unwrap_or_default();
        return [[sample(level); 8]; 8];
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return super::jpeg_idct_x86::idct(simd, block, quant);
    }
    jpeg_idct_plain::idct(block, quant)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wide::wide;
    use super::*;

    proptest! {
        /// Numbers of all sizes, most of them small: sums wrap and saturate in some.
        #[test]
        fn blocks_are_those_of_the_formula(
            block in prop::array::uniform(prop_oneof![
                4 => Just(0_i16),
                4 => -64..64_i16,
                1 => any::<i16>(),
            ]),
            quant in prop::array::uniform(prop_oneof![8 => 1..256_i16, 1 => any::<i16>()]),
        ) {
            let best = wide(#[inline(always)] || idct(&block, &quant, true));
            prop_assert_eq!(best, jpeg_idct_plain::idct(&block, &quant));
        }
    }
}
