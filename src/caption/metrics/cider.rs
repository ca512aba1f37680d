//! CIDEr-D (Vedantam et al., 2015), as `CiderScorer` of `pycocoevalcap` computes it: n-grams of 1
//! to 4 words weighted by how few images have them, clipped, with a Gaussian penalty on the
//! difference in length (sigma 6), times 10.

use std::collections::BTreeMap;

use super::sentence::{Counts, LONGEST, Sentence};

const SIGMA: f64 = 6.0;

/// In how many images' references each n-gram stands.
#[derive(Debug)]
pub(super) struct Frequencies<'a> {
    images: BTreeMap<&'a [String], f64>,
    log_images: f64,
}

/// A caption's n-grams weighted, by length.
struct Weighted<'a> {
    grams: [BTreeMap<&'a [String], f64>; LONGEST],
    norms: [f64; LONGEST],
    /// Its pairs of words: what the reference takes for its length.
    length: f64,
}

impl<'a> Frequencies<'a> {
    /// Counts the references of all images.
    pub(super) fn of(images: impl IntoIterator<Item = &'a [Sentence]>) -> Self {
        let mut frequencies = BTreeMap::new();
        let mut count = 0.0;
        for references in images {
            count += 1.0;
            let mut grams: Vec<&[String]> = references
                .iter()
                .flat_map(|r| r.counts().into_iter().flat_map(Counts::into_keys))
                .collect();
            grams.sort_unstable();
            grams.dedup();
            for gram in grams {
                *frequencies.entry(gram).or_insert(0.0) += 1.0;
            }
        }
        Self { images: frequencies, log_images: f64::ln(count) }
    }

    /// The score of one caption; 0 without references.
    pub(super) fn score(&self, candidate: &Sentence, references: &[Sentence]) -> f64 {
        let candidate = self.weigh(candidate);
        let mut sum = 0.0;
        let mut count = 0.0;
        for reference in references {
            sum += similarity(&candidate, &self.weigh(reference)).iter().sum::<f64>();
            count += 1.0;
        }
        if count == 0.0 { 0.0 } else { sum / 4.0 / count * 10.0 }
    }

    fn weigh<'b>(&self, sentence: &'b Sentence) -> Weighted<'b> {
        let counts = sentence.counts();
        let length = counts[1].values().map(|&count| f64::from(count)).sum();
        let grams = counts.map(|counts| {
            counts
                .into_iter()
                .map(|(gram, count)| {
                    let images = self.images.get(gram).copied().unwrap_or(0.0);
                    (gram, f64::from(count) * (self.log_images - f64::ln(f64::max(1.0, images))))
                })
                .collect::<BTreeMap<_, _>>()
        });
        let norms = grams.each_ref().map(|grams| grams.values().map(|w| w * w).sum::<f64>().sqrt());
        Weighted { grams, norms, length }
    }
}

fn similarity(candidate: &Weighted<'_>, reference: &Weighted<'_>) -> [f64; LONGEST] {
    let delta = candidate.length - reference.length;
    let penalty = f64::exp(-(delta * delta) / (2.0 * SIGMA * SIGMA));
    std::array::from_fn(|n| {
        let theirs = &reference.grams[n];
        let dot: f64 = candidate.grams[n]
            .iter()
            .filter_map(|(gram, ours)| theirs.get(gram).map(|theirs| ours.min(*theirs) * theirs))
            .sum();
        let norms = candidate.norms[n] * reference.norms[n];
        penalty * if norms == 0.0 { dot } else { dot / norms }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(text: &str) -> Sentence {
        Sentence::new(text.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn a_rare_caption_repeated_scores_ten() {
        let images = [[sentence("a dog runs on grass")], [sentence("two men in green shirts")]];
        let frequencies = Frequencies::of(images.iter().map(|r| r.as_slice()));
        let score = frequencies.score(&sentence("a dog runs on grass"), &images[0]);
        assert!((score - 10.0).abs() < 1e-9, "{score}");
        assert!(frequencies.score(&sentence("a dog"), &images[1]).abs() < 1e-12);
    }

    #[test]
    fn words_of_every_image_weigh_nothing() {
        let images = [[sentence("a dog")], [sentence("a cat")]];
        let frequencies = Frequencies::of(images.iter().map(|r| r.as_slice()));
        assert!(frequencies.score(&sentence("a"), &images[0]).abs() < 1e-12);
    }
}
