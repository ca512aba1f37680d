//! Tiles without special instructions: what the others are tested against.

use super::number::Number;
use super::tile::{COLUMNS, Factors, Tile};

/// Multiplies as [`super::multiply::multiply`] says; the factors are long enough.
pub(super) fn multiply(
    number: Number,
    factors: &Factors<'_>,
    rows: usize,
    fused: bool,
    tile: &mut Tile,
) {
    for (r, row) in tile.0.iter_mut().take(rows).enumerate() {
        let left = factors.left.get(r * factors.left_stride..).unwrap_or_default();
        let right = factors.right.chunks(factors.right_stride.max(1));
        let pairs = left.iter().zip(right).take(factors.groups);
        match number {
            Number::F32 => {
                let mut sums = [0.0_f32; COLUMNS];
                for (a, b) in pairs {
                    let a = f32::from_bits(*a);
                    for (sum, b) in sums.iter_mut().zip(b) {
                        let b = f32::from_bits(*b);
                        *sum = if fused { a.mul_add(b, *sum) } else { a * b + *sum };
                    }
                }
                *row = sums.map(f32::to_bits);
            }
            Number::Bf16 => {
                let mut sums = [0.0_f32; COLUMNS];
                let parts =
                    |pair: u32| (f32::from_bits(pair << 16), f32::from_bits(pair & 0xFFFF_0000));
                for (a, b) in pairs {
                    let a = parts(*a);
                    for (sum, b) in sums.iter_mut().zip(b) {
                        let b = parts(*b);
                        *sum += a.1 * b.1;
                        *sum += a.0 * b.0;
                    }
                }
                *row = sums.map(f32::to_bits);
            }
            Number::Int8 => {
                let mut sums = [0_i32; COLUMNS];
                for (a, b) in pairs {
                    let a = a.to_le_bytes();
                    for (sum, b) in sums.iter_mut().zip(b) {
                        for (a, b) in a.iter().zip(b.to_le_bytes()) {
                            *sum += i32::from(*a) * i32::from(b.cast_signed());
                        }
                    }
                }
                *row = sums.map(i32::cast_unsigned);
            }
        }
    }
}
