//! BLEU-1 to BLEU-4 (Papineni et al., 2002), as `BleuScorer` of `pycocoevalcap` computes them.

use super::sentence::{Counts, LONGEST, Sentence};

/// Keeps a caption without n-grams from dividing by zero.
const SMALL: f64 = 1e-9;
/// Makes it score 0 all the same.
const TINY: f64 = 1e-15;

/// What one caption adds to the corpus.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    length: usize,
    reference_length: usize,
    guesses: [usize; LONGEST],
    correct: [u32; LONGEST],
}

/// Adds captions up.
#[derive(Debug, Clone, Default)]
pub(super) struct Bleu {
    sum: Part,
}

impl Bleu {
    /// Scores one caption, and counts it for the corpus.
    pub(super) fn add(&mut self, candidate: &Sentence, references: &[Sentence]) -> [f64; LONGEST] {
        let part = compare(candidate, references);
        self.sum.length += part.length;
        self.sum.reference_length += part.reference_length;
        for n in 0..LONGEST {
            self.sum.guesses[n] += part.guesses[n];
            self.sum.correct[n] += part.correct[n];
        }
        part.scores()
    }

    /// The corpus' scores: counts are added before they are divided.
    pub(super) fn corpus(&self) -> [f64; LONGEST] {
        self.sum.scores()
    }
}

fn compare(candidate: &Sentence, references: &[Sentence]) -> Part {
    let length = candidate.words().len();
    let closest = references
        .iter()
        .map(|reference| reference.words().len())
        .min_by_key(|&reference| (reference.abs_diff(length), reference));
    let of_references: Vec<[Counts<'_>; LONGEST]> =
        references.iter().map(Sentence::counts).collect();
    let most = |n: usize, gram: &[String]| {
        of_references.iter().filter_map(|counts| counts[n].get(gram)).copied().max().unwrap_or(0)
    };
    let counts = candidate.counts();
    Part {
        length,
        reference_length: closest.unwrap_or(0),
        guesses: std::array::from_fn(|n| length.saturating_sub(n)),
        correct: std::array::from_fn(|n| {
            counts[n].iter().map(|(gram, &count)| count.min(most(n, gram))).sum()
        }),
    }
}

impl Part {
    fn scores(&self) -> [f64; LONGEST] {
        let mut product = 1.0;
        let mut out = [0.0; LONGEST];
        let mut root = 0.0;
        for (n, score) in out.iter_mut().enumerate() {
            product *= (f64::from(self.correct[n]) + TINY) / (float(self.guesses[n]) + SMALL);
            root += 1.0;
            *score = f64::powf(product, 1.0 / root);
        }
        let ratio = (float(self.length) + TINY) / (float(self.reference_length) + SMALL);
        if ratio < 1.0 {
            let brevity = f64::exp(1.0 - 1.0 / ratio);
            out.iter_mut().for_each(|score| *score *= brevity);
        }
        out
    }
}

/// Counts of words are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^52")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(text: &str) -> Sentence {
        Sentence::new(text.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn the_same_caption_scores_one() {
        let mut bleu = Bleu::default();
        let text = sentence("a dog runs on grass");
        for score in bleu.add(&text, std::slice::from_ref(&text)) {
            assert!((score - 1.0).abs() < 1e-8, "{score}");
        }
    }

    #[test]
    fn of_two_lengths_equally_close_the_shorter_counts() {
        let candidate = sentence("a b c d");
        let part = compare(&candidate, &[sentence("a b c d e"), sentence("a b c")]);
        assert_eq!(part.reference_length, 3);
    }

    #[test]
    fn repeated_words_count_as_often_as_in_one_reference() {
        let part = compare(&sentence("a a a"), &[sentence("a b"), sentence("a a")]);
        assert_eq!(part.correct, [2, 1, 0, 0]);
    }
}
