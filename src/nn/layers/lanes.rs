//! Sums over a row in sixteen lanes side by side, so that they become vector instructions, in one
//! order on every processor.
//!
//! Blocks are arrays and not zipped slices: what makes a `Zip` is not marked inline, so that it is
//! a call wherever it is compiled in another codegen unit, and the loop is then not vectorised.

use std::ops::{Add, AddAssign};

pub(super) const LANES: usize = 16;

/// The product of two rows of one length.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut b = b.iter();
    for a in a {
        let Some(b) = b.next() else { break };
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += a[lane] * b[lane];
        }
    }
    let mut rest = 0.0;
    let mut b_rest = b_rest.iter();
    for a in a_rest {
        let Some(b) = b_rest.next() else { break };
        rest += a * b;
    }
    of_lanes(lanes) + rest
}

/// The sum of `of` over a row.
#[inline(always)]
pub(super) fn sum<T>(row: &[f32], of: impl Fn(f32) -> T) -> T
where
    T: Copy + Default + AddAssign + Add<Output = T>,
{
    let mut lanes = [T::default(); LANES];
    let (blocks, last) = row.as_chunks::<LANES>();
    for block in blocks {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += of(block[lane]);
        }
    }
    let mut rest = T::default();
    for x in last {
        rest += of(*x);
    }
    of_lanes(lanes) + rest
}

/// Adds `factor * from` to `to`, which is as long.
#[inline(always)]
pub(super) fn add(to: &mut [f32], from: &[f32], factor: f32) {
    let Some(from) = from.get(..to.len()) else { return };
    for (i, to) in to.iter_mut().enumerate() {
        *to += from[i] * factor;
    }
}

/// The largest, and NaN if one is NaN: what is no number must show.
#[inline(always)]
pub(super) fn most(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (parts, last) = row.as_chunks::<LANES>();
    let mut rest = f32::NEG_INFINITY;
    let mut odd = 0.0_f32;
    for x in last {
        rest = if *x > rest { *x } else { rest };
        odd += if x.is_nan() { *x } else { 0.0 };
    }
    for part in parts {
        for (i, lane) in lanes.iter_mut().enumerate() {
            let x = part[i];
            *lane = if x > *lane { x } else { *lane };
            odd += if x.is_nan() { x } else { 0.0 };
        }
    }
    lanes.into_iter().fold(rest, f32::max) + odd
}

/// The halves onto each other, until one is left.
#[inline(always)]
fn of_lanes<T: Copy + Add<Output = T>>(mut lanes: [T; LANES]) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = lanes[i] + lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_found_wherever_it_stands_and_what_is_no_number_shows() {
        for length in [1_u8, 15, 16, 17, 40] {
            let mut row = vec![f32::NEG_INFINITY; usize::from(length)];
            assert_eq!(most(&row), f32::NEG_INFINITY, "{length}");
            for at in 0..row.len() {
                row[at] = -3.0;
                assert_eq!(most(&row), -3.0, "{at} of {length}");
                row[at] = f32::NAN;
                assert!(most(&row).is_nan(), "{at} of {length}");
                row[at] = f32::NEG_INFINITY;
            }
        }
    }

    #[test]
    fn blocks_and_rests_are_those_of_a_plain_sum() {
        for length in [0_u8, 1, 15, 16, 17, 32, 47, 100] {
            // Small whole numbers: every order of adding gives the same.
            let a: Vec<f32> = (0..length).map(|i| f32::from(i % 7) - 3.0).collect();
            let b: Vec<f32> = (0..length).map(|i| f32::from(i % 5) - 1.0).collect();
            let products: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert_eq!(dot(&a, &b), products, "{length}");
            assert_eq!(sum(&a, |x| x), a.iter().sum::<f32>(), "{length}");
            let squares: f64 = a.iter().map(|x| f64::from(*x).powi(2)).sum();
            assert_eq!(sum(&a, |x| f64::from(x) * f64::from(x)), squares, "{length}");
            let mut to = b.clone();
            add(&mut to, &a, 2.0);
            assert!(to.iter().zip(a.iter().zip(&b)).all(|(to, (a, b))| *to == b + 2.0 * a));
        }
    }
}
