//! ROUGE-L (Lin, 2004), as `pycocoevalcap` computes it: the best precision and the best recall of
//! all references, with beta 1.2.

use super::sentence::Sentence;

const BETA: f64 = 1.2;

/// The score of one caption; 0 without references.
pub(super) fn rouge_l(candidate: &Sentence, references: &[Sentence]) -> f64 {
    let (mut precision, mut recall) = (0.0_f64, 0.0_f64);
    for reference in references {
        let common = longest_common(candidate.tokens(), reference.tokens());
        precision = precision.max(share(common, candidate.tokens().len()));
        recall = recall.max(share(common, reference.tokens().len()));
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
}

#[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^52")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Length of the longest common subsequence, with one row of the table at a time.
fn longest_common(one: &[String], other: &[String]) -> usize {
    let mut row = vec![0_usize; other.len() + 1];
    for word in one {
        let mut diagonal = 0;
        let mut left = 0;
        for (place, theirs) in row.iter_mut().skip(1).zip(other) {
            let above = *place;
            *place = if word == theirs { diagonal + 1 } else { above.max(left) };
            (diagonal, left) = (above, *place);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn subsequences_may_have_gaps() {
        assert_eq!(longest_common(&words("a b c d e"), &words("x a c y e")), 3);
        assert_eq!(longest_common(&words("b a"), &words("a b")), 1);
        assert_eq!(longest_common(&[], &words("a")), 0);
    }

    #[test]
    fn precision_and_recall_may_come_from_different_references() {
        let candidate = Sentence::new(words("a b c d"));
        let references = [Sentence::new(words("a b c d e f g h")), Sentence::new(words("a b"))];
        assert!((rouge_l(&candidate, &references) - 1.0).abs() < 1e-12);
        assert!(rouge_l(&candidate, &[]).abs() < 1e-12);
    }
}
