//! Scores of captions against references.

use super::bleu::Bleu;
use super::cider::Frequencies;
use super::rouge::rouge_l;
use super::sentence::Sentence;
use super::tokenizer::Tokenizer;
use crate::base::{Error, Kind, Result};

/// One image: what was written about it, and what people wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The image.
    pub image_id: String,
    /// The caption to be scored.
    pub candidate: String,
    /// At least one caption by people.
    pub references: Vec<String>,
}

/// All scores of one caption, or of a corpus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// BLEU-1 to BLEU-4, 0 to 1.
    pub bleu: [f64; 4],
    /// ROUGE-L, 0 to 1.
    pub rouge_l: f64,
    /// CIDEr-D, 0 to 10.
    pub cider: f64,
}

impl Score {
    /// Every number by its column's name: `bleu_1` to `bleu_4`, `rouge_l`, `cider`.
    #[must_use]
    pub fn named(&self) -> [(&'static str, f64); 6] {
        let [one, two, three, four] = self.bleu;
        [
            ("bleu_1", one),
            ("bleu_2", two),
            ("bleu_3", three),
            ("bleu_4", four),
            ("rouge_l", self.rouge_l),
            ("cider", self.cider),
        ]
    }
}

/// One image's scores.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageScore {
    /// The image.
    pub image_id: String,
    /// Its caption's scores.
    pub score: Score,
}

/// The scores of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Of all captions together: BLEU from added counts, the others as means.
    pub corpus: Score,
    /// Of each caption, in the order of the cases.
    pub per_image: Vec<ImageScore>,
}

/// Scores captions with BLEU, ROUGE-L and CIDEr, equal to `pycocoevalcap` on the same words.
///
/// CIDEr weighs words by how many of these cases' references have them, so an image's CIDEr depends
/// on the others; the rest does not. METEOR and SPICE are left out: the reference runs them as
/// Java programs with word lists of their own, which nothing here reproduces exactly.
///
/// # Errors
/// [`Kind::BadInput`] when there are no cases, or one has no reference.
pub fn evaluate(cases: &[Case], tokenizer: Tokenizer) -> Result<Scores> {
    if cases.is_empty() {
        return Err(Error::new(Kind::BadInput, "there are no captions to score")
            .help("look at `split`: has any of its images both a caption and references?"));
    }
    if let Some(case) = cases.iter().find(|case| case.references.is_empty()) {
        return Err(Error::new(Kind::BadInput, "has no reference to score its caption against")
            .at(&case.image_id));
    }
    let candidates: Vec<Sentence> =
        cases.iter().map(|case| tokenizer.sentence(&case.candidate)).collect();
    let references: Vec<Vec<Sentence>> = cases
        .iter()
        .map(|case| case.references.iter().map(|text| tokenizer.sentence(text)).collect())
        .collect();
    Ok(score(cases, &candidates, &references))
}

fn score(cases: &[Case], candidates: &[Sentence], references: &[Vec<Sentence>]) -> Scores {
    let frequencies = Frequencies::of(references.iter().map(Vec::as_slice));
    let mut corpus = Bleu::default();
    let mut per_image = Vec::with_capacity(cases.len());
    let (mut rouge_sum, mut cider_sum, mut count) = (0.0, 0.0, 0.0);
    for ((case, candidate), references) in cases.iter().zip(candidates).zip(references) {
        let score = Score {
            bleu: corpus.add(candidate, references),
            rouge_l: rouge_l(candidate, references),
            cider: frequencies.score(candidate, references),
        };
        rouge_sum += score.rouge_l;
        cider_sum += score.cider;
        count += 1.0;
        per_image.push(ImageScore { image_id: case.image_id.clone(), score });
    }
    let corpus =
        Score { bleu: corpus.corpus(), rouge_l: rouge_sum / count, cider: cider_sum / count };
    Scores { corpus, per_image }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(candidate: &str, references: &[&str]) -> Case {
        Case {
            image_id: "1.jpg".into(),
            candidate: candidate.into(),
            references: references.iter().map(|&text| text.into()).collect(),
        }
    }

    #[test]
    fn nothing_to_score_is_an_error() {
        assert_eq!(evaluate(&[], Tokenizer::Ptb).unwrap_err().kind(), Kind::BadInput);
        let error = evaluate(&[case("a dog", &[])], Tokenizer::Ptb).unwrap_err();
        assert_eq!(error.place(), Some("1.jpg"));
    }

    #[test]
    fn empty_captions_score_nothing_and_break_nothing() {
        let cases = [case("", &["a dog runs"]), case("a dog .", &["", "A dog !"])];
        let scores = evaluate(&cases, Tokenizer::Ptb).unwrap();
        assert!(scores.per_image[0].score.named().iter().all(|(_, value)| value.abs() < 1e-9));
        assert!(scores.per_image[1].score.rouge_l > 0.99);
        assert!(scores.corpus.named().iter().all(|(_, value)| value.is_finite()));
    }
}
