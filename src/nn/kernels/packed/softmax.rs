//! Softmax of a row.

use super::math::{exp, fold};

/// Turns scores into weights that sum to one, in place; `row` is whole lines long, of which
/// `seen` numbers count and the others become zero.
#[inline(always)]
pub(super) fn softmax<const FUSED: bool>(row: &mut [f32], seen: usize, scale: f32) {
    let seen = seen.min(row.len());
    let (lines, _) = row.as_chunks_mut::<16>();
    let (lines, unseen) = lines.split_at_mut(seen.div_ceil(16).min(lines.len()));
    unseen.as_flattened_mut().fill(0.0);
    // of the last line, what is not seen
    let ended = lines.len() * 16 - seen;
    if let Some(last) = lines.last_mut() {
        last[16 - ended..].fill(f32::NEG_INFINITY);
    }
    let mut most = [f32::NEG_INFINITY; 16];
    for line in lines.iter() {
        for (most, x) in most.iter_mut().zip(line) {
            *most = if *x > *most { *x } else { *most };
        }
    }
    let most = fold(most, |a, b| if a > b { a } else { b });
    for x in lines.as_flattened_mut() {
        *x = exp::<FUSED>((*x - most) * scale);
    }
    if let Some(last) = lines.last_mut() {
        last[16 - ended..].fill(0.0);
    }
    let mut sums = [0.0_f32; 16];
    for line in lines.iter() {
        for (sum, x) in sums.iter_mut().zip(line) {
            *sum += *x;
        }
    }
    let factor = 1.0 / fold(sums, |a, b| a + b);
    for x in lines.as_flattened_mut() {
        *x *= factor;
    }
}
