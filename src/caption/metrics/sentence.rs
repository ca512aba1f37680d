//! A tokenised caption, and its n-grams.

use std::collections::BTreeMap;

/// Longest n-grams that are counted.
pub(super) const LONGEST: usize = 4;

/// How often each n-gram of one length stands in a caption. Ordered, so that sums of floats
/// always come in the same order.
pub(super) type Counts<'a> = BTreeMap<&'a [String], u32>;

/// A caption cut into words for all metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    tokens: Vec<String>,
    words: Vec<String>,
}

impl Sentence {
    /// A caption of these tokens.
    ///
    /// The reference joins tokens by spaces and cuts the line again: BLEU and CIDEr at whatever
    /// Python's `str.split` takes for a space (U+00A0 too), ROUGE-L at the space alone, which finds one
    /// empty token in a caption without any. Both are kept.
    #[must_use]
    pub fn new(tokens: Vec<String>) -> Self {
        let space = |c: char| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}');
        let cut = |token: &String| {
            token.split(space).filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let words = tokens.iter().flat_map(cut).collect();
        let tokens = if tokens.is_empty() { vec![String::new()] } else { tokens };
        Self { tokens, words }
    }

    /// As ROUGE-L sees it: never empty.
    pub(super) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// As BLEU and CIDEr see it.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// Its n-grams of length 1 to [`LONGEST`].
    pub(super) fn counts(&self) -> [Counts<'_>; LONGEST] {
        std::array::from_fn(|n| {
            let mut counts = Counts::new();
            for gram in self.words.windows(n + 1) {
                *counts.entry(gram).or_default() += 1;
            }
            counts
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_break_space_parts_words_but_not_tokens() {
        let sentence = Sentence::new(vec!["5\u{a0}1/2".into(), "feet".into()]);
        assert_eq!(sentence.tokens().len(), 2);
        assert_eq!(sentence.words(), ["5", "1/2", "feet"]);
        assert_eq!(Sentence::new(Vec::new()).tokens(), [""]);
    }

    #[test]
    fn n_grams_are_counted_by_length() {
        let words = ["a", "b", "a", "b"].map(str::to_owned).to_vec();
        let sentence = Sentence::new(words);
        let counts = sentence.counts();
        assert_eq!(counts.each_ref().map(|c| c.values().sum::<u32>()), [4, 3, 2, 1]);
        assert_eq!(counts[1].values().copied().max(), Some(2));
    }
}
