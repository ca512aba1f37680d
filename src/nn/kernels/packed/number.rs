//! Numeric types of products.

/// What a product computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::nn) enum Number {
    /// f32.
    #[default]
    F32,
    /// Both factors rounded to bfloat16, summed in f32.
    Bf16,
    /// Weights of eight bits with a scale for each output, -127 to 127, activations of eight bits with a
    /// scale and a zero for each row, summed exactly: of up to 66,000 inputs sums fit i32.
    Int8,
    /// The activations of [`Self::Int8`] for a level that multiplies no bytes: each less its zero,
    /// in sixteen bits. Of every four the first and the third are a group, and the others: two
    /// shifts bring the weights' bytes into that order. Sums are Winograd's, with half the products:
    /// with a prime for the number at the same place of the other group, `(a + w') * (a' + w)` is
    /// `a w + a' w'`, and more that depends on the row or the column alone, `a a'` and `w w'`, which is
    /// known before and taken off when a sum is finished (S. Winograd, A New Algorithm for Inner
    /// Product, IEEE Transactions on Computers C-17, 1968). A factor is 382 at most and fits sixteen
    /// bits; a sum may wrap, and is right again when that is taken off.
    Int16,
}

impl Number {
    /// Whether rows of it end in two words of their own: a scale, and a whole number
    /// ([`reduce`](super::reduce::reduce)).
    pub(super) fn has_scale(self) -> bool {
        matches!(self, Self::Int8 | Self::Int16)
    }

    /// Inputs in four bytes.
    pub(in crate::nn) fn in_a_group(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 | Self::Int16 => 2,
            Self::Int8 => 4,
        }
    }

    /// Words that `count` inputs take.
    pub(super) fn groups(self, count: usize) -> usize {
        match self {
            // four bytes of weights stand against two words
            Self::Int16 => 2 * count.div_ceil(4),
            _ => count.div_ceil(self.in_a_group()),
        }
    }
}

/// The nearest bfloat16, ties to even.
#[inline(always)]
pub(super) fn bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        // Rounding up would carry into exponent and sign.
        return (bits >> 16) as u16 | 0x40;
    }
    (bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}
