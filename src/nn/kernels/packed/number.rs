//! Numeric types of products.

/// What a product computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::nn) enum Number {
    /// f32.
    #[default]
    F32,
    /// Both factors rounded to bfloat16, summed in f32.
    Bf16,
    /// Weights of eight bits with a scale for each output, activations of eight bits with a
    /// scale and a zero for each row, summed exactly.
    Int8,
    /// The activations of [`Self::Int8`] for a level that multiplies no bytes: each less its zero,
    /// in sixteen bits. Of every four the first and the third are a group, and the others: two
    /// shifts bring the weights' bytes into that order.
    Int16,
}

impl Number {
    /// Whether rows of it end in their scale and zero.
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
