//! Softmax of a row.

use super::math::{exp, fold};

/// Turns scores into weights that sum to one, in place; `row` is whole lines long, of which
/// `seen` numbers count and the others become zero.
#[inline(always)]
pub(super) fn softmax<const FUSED: bool>(row: &mut [f32], seen: usize, scale: f32) {
    let (_, unseen) = row.split_at_mut(seen.min(row.len()));
    unseen.fill(f32::NEG_INFINITY);
    let (lines, _) = row.as_chunks_mut::<16>();
    let mut most = [f32::NEG_INFINITY; 16];
    for line in lines.iter() {
        for (most, x) in most.iter_mut().zip(line) {
            *most = if *x > *most { *x } else { *most };
        }
    }
    let most = fold(most, |a, b| if a > b { a } else { b });
    let mut sums = [0.0_f32; 16];
    for (at, line) in lines.iter_mut().enumerate() {
        for (i, x) in line.iter_mut().enumerate() {
            let e = exp::<FUSED>((*x - most) * scale);
            *x = if at * 16 + i < seen { e } else { 0.0 };
        }
        for (sum, x) in sums.iter_mut().zip(line.iter()) {
            *sum += *x;
        }
    }
    let factor = 1.0 / fold(sums, |a, b| a + b);
    for line in lines {
        line.iter_mut().for_each(|x| *x *= factor);
    }
}
