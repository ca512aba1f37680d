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
}

impl Number {
    /// Inputs in four bytes.
    pub(super) fn in_a_group(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => 4,
        }
    }
}
