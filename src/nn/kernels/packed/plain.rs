//! Tiles without special instructions: what the others are tested against.

use super::number::Number;
use super::tile::{Factors, Place, Sums};

/// Multiplies `COUNT` columns, whose sums begin at `place`; the factors are long enough.
pub(super) fn multiply<const COUNT: usize>(
    number: Number,
    factors: &Factors<'_>,
    fused: bool,
    place: Place,
    sums: &mut [Sums],
) {
    for (r, row) in sums.iter_mut().enumerate() {
        let left = factors.left.get(r * factors.left_stride..).unwrap_or_default();
        let right = factors.right.chunks(factors.right_stride.max(1));
        let pairs = left.iter().zip(right).take(factors.groups);
        let Some(row) = row.get_mut(place.column..).and_then(<[u32]>::first_chunk_mut::<COUNT>)
        else {
            continue;
        };
        if !place.onto {
            row.fill(0);
        }
        let mut floats = row.map(f32::from_bits);
        let mut wholes = row.map(u32::cast_signed);
        match number {
            Number::F32 => {
                for (a, b) in pairs {
                    let a = f32::from_bits(*a);
                    for (sum, b) in floats.iter_mut().zip(b) {
                        let b = f32::from_bits(*b);
                        *sum = if fused { a.mul_add(b, *sum) } else { a * b + *sum };
                    }
                }
                *row = floats.map(f32::to_bits);
            }
            Number::Bf16 => {
                let parts =
                    |pair: u32| (f32::from_bits(pair << 16), f32::from_bits(pair & 0xFFFF_0000));
                for (a, b) in pairs {
                    let a = parts(*a);
                    for (sum, b) in floats.iter_mut().zip(b) {
                        let b = parts(*b);
                        *sum += a.1 * b.1;
                        *sum += a.0 * b.0;
                    }
                }
                *row = floats.map(f32::to_bits);
            }
            Number::Int8 => {
                for (a, b) in pairs {
                    let a = a.to_le_bytes();
                    for (sum, b) in wholes.iter_mut().zip(b) {
                        for (a, b) in a.iter().zip(b.to_le_bytes()) {
                            *sum += i32::from(*a) * i32::from(b.cast_signed());
                        }
                    }
                }
                *row = wholes.map(i32::cast_unsigned);
            }
            Number::Int16 => {
                let mut pairs = pairs.map(|(a, b)| (words(*a), b));
                while let (Some(even), Some(odd)) = (pairs.next(), pairs.next()) {
                    for ((sum, w_even), w_odd) in wholes.iter_mut().zip(even.1).zip(odd.1) {
                        let (w_even, w_odd) = (words(*w_even), words(*w_odd));
                        for i in 0..2 {
                            let factors = [
                                even.0[i].wrapping_add(w_odd[i]),
                                odd.0[i].wrapping_add(w_even[i]),
                            ];
                            let [x, y] = factors.map(i32::from);
                            *sum = sum.wrapping_add(x * y);
                        }
                    }
                }
                *row = wholes.map(i32::cast_unsigned);
            }
        }
    }
}

/// The two numbers of sixteen bits in a group.
#[expect(clippy::cast_possible_truncation, reason = "halves of a word")]
fn words(group: u32) -> [i16; 2] {
    [group as i16, (group >> 16) as i16]
}

/// Four bytes of each column as two groups: the first and the third, the others.
pub(super) fn widen<const COUNT: usize>(bytes: &[u32; COUNT], to: &mut [[u32; COUNT]; 2]) {
    for (i, word) in bytes.iter().enumerate() {
        let [a, b, c, d] =
            word.to_le_bytes().map(|byte| u32::from(i16::from(byte.cast_signed()).cast_unsigned()));
        to[0][i] = a | c << 16;
        to[1][i] = b | d << 16;
    }
}
