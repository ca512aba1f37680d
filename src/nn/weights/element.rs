//! Types of stored numbers.

use std::fmt;

/// The type of the numbers of a stored tensor; little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Element {
    /// Bytes a number.
    #[must_use]
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether it has fractions.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// The number that starts `bytes`; `None` where they are too few. 64-bit values are rounded
    /// to the nearest f32, as PyTorch's `.float()` does.
    pub(super) fn read(self, bytes: &[u8]) -> Option<f32> {
        #[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
        #[expect(clippy::cast_precision_loss, reason = "rounding is what is asked for")]
        Some(match self {
            Self::F64 => f64::from_le_bytes(*bytes.first_chunk()?) as f32,
            Self::F32 => f32::from_le_bytes(*bytes.first_chunk()?),
            Self::F16 => half::f16::from_le_bytes(*bytes.first_chunk()?).to_f32(),
            Self::Bf16 => half::bf16::from_le_bytes(*bytes.first_chunk()?).to_f32(),
            Self::I64 => i64::from_le_bytes(*bytes.first_chunk()?) as f32,
            Self::I32 => i32::from_le_bytes(*bytes.first_chunk()?) as f32,
            Self::I16 => f32::from(i16::from_le_bytes(*bytes.first_chunk()?)),
            Self::I8 => f32::from(i8::from_le_bytes(*bytes.first_chunk()?)),
            Self::U8 => f32::from(*bytes.first()?),
            Self::Bool => f32::from(u8::from(*bytes.first()? != 0)),
        })
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
        })
    }
}
