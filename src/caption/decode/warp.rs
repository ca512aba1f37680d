//! Which tokens may be drawn: temperature, then top-k, then top-p, as transformers' warpers.

use super::scores::{Normal, single};

/// Divides scores by the temperature and takes away, by minus infinity, every token that top-k
/// or top-p do not keep. The kept sets are those of `TemperatureLogitsWarper`, `TopKLogitsWarper` and
/// `TopPLogitsWarper`, in this order: top-k keeps what ties with its last; top-p takes the least
/// likely tokens away while they sum up to `1 - p` at most, and always keeps one. (Which of
/// exactly equal scores top-p takes first is undefined there; here those of lower id.)
pub fn warp(scores: &mut [f32], temperature: f64, top_k: Option<usize>, top_p: Option<f64>) {
    // The reference leaves 1.0 out, which is the same.
    let temperature = single(temperature);
    scores.iter_mut().for_each(|score| *score /= temperature);
    if let Some(k) = top_k {
        keep_k(scores, k);
    }
    if let Some(p) = top_p.filter(|p| *p < 1.0) {
        keep_p(scores, p);
    }
}

fn keep_k(scores: &mut [f32], k: usize) {
    if k >= scores.len() {
        return;
    }
    let mut sorted = scores.to_vec();
    let (_, last, _) = sorted.select_nth_unstable_by(k.max(1) - 1, |a, b| b.total_cmp(a));
    let last = *last;
    take_away(scores, |score| score < last);
}

fn keep_p(scores: &mut [f32], p: f64) {
    // one number of score and place each, which sort several times as fast as places by scores
    let mut order: Vec<u64> =
        (0_u64..).zip(&*scores).map(|(place, score)| (ordered(*score) << 32) | place).collect();
    order.sort_unstable();
    let order: Vec<usize> = order
        .into_iter()
        .filter_map(|key| usize::try_from(key & u64::from(u32::MAX)).ok())
        .collect();
    let at = |place: usize| scores.get(place).copied().unwrap_or(f32::NEG_INFINITY);
    let normal = Normal::of(scores);
    let (least, mut sum) = (single(1.0 - p), 0.0_f64);
    let mut away = 0;
    for place in &order {
        sum += f64::from(normal.log_probability(at(*place)).exp());
        if single(sum) > least || away + 1 == order.len() {
            break;
        }
        away += 1;
    }
    for place in order.into_iter().take(away) {
        if let Some(score) = scores.get_mut(place) {
            *score = f32::NEG_INFINITY;
        }
    }
}

/// A number of 32 bits that is in the order of `f32::total_cmp`.
fn ordered(score: f32) -> u64 {
    let bits = score.to_bits();
    u64::from(if score.is_sign_negative() { !bits } else { bits | 1 << 31 })
}

fn take_away(scores: &mut [f32], which: impl Fn(f32) -> bool) {
    for score in scores.iter_mut().filter(|score| which(**score)) {
        *score = f32::NEG_INFINITY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(scores: &[f32], top_k: Option<usize>, top_p: Option<f64>) -> Vec<usize> {
        let mut scores = scores.to_vec();
        warp(&mut scores, 1.0, top_k, top_p);
        (0..scores.len()).filter(|place| scores[*place].is_finite()).collect()
    }

    #[test]
    fn top_k_keeps_what_ties_with_its_last() {
        assert_eq!(kept(&[1.0, 3.0, 2.0, 2.0], Some(2), None), [1, 2, 3]);
        assert_eq!(kept(&[1.0, 3.0, 2.0, 2.0], Some(9), None), [0, 1, 2, 3]);
    }

    #[test]
    fn top_p_keeps_the_token_that_crosses_and_never_none() {
        let scores = [0.5_f32, 0.3, 0.15, 0.05].map(f32::ln);
        assert_eq!(kept(&scores, None, Some(0.7)), [0, 1]);
        assert_eq!(kept(&scores, None, Some(0.81)), [0, 1, 2]);
        assert_eq!(kept(&scores, None, Some(0.0)), [0]);
        assert_eq!(kept(&scores, None, Some(1.0)), [0, 1, 2, 3]);
    }

    #[test]
    fn numbers_are_in_the_order_of_their_scores() {
        let all = [f32::NEG_INFINITY, -3.5, -1e-40, -0.0, 0.0, 1e-40, 2.0, f32::MAX, f32::INFINITY];
        assert!(all.windows(2).all(|pair| ordered(pair[0]) < ordered(pair[1])));
    }
}
