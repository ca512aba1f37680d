//! How to write captions.

use crate::base::{Error, Kind, Result};
use crate::plan::captioner::LEAST_TEMPERATURE;

/// When beam search is content with the captions it has finished; transformers' `early_stopping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EarlyStopping {
    /// `False`: once the best running beam, at its present length, scores below the worst
    /// finished caption.
    #[default]
    Heuristic,
    /// `True`: once as many captions are finished as there are beams.
    Enough,
    /// `"never"`: once no running beam can come to score better.
    Never,
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Strategy {
    /// Always the likeliest.
    Greedy,
    /// The likeliest captions as wholes, as far as `beams` candidates show.
    Beams {
        /// Candidates that run beside one another.
        beams: usize,
        /// A caption's score is its log-probability over its length to this power.
        length_penalty: f64,
        /// When to be content.
        early_stopping: EarlyStopping,
        /// Captions to give of each image, best first; at most `beams`.
        captions: usize,
    },
    /// By chance, by the model's probabilities.
    Sample {
        /// Scores are divided by it first: below 1 bolder, above 1 more varied.
        temperature: f64,
        /// Keeps the `k` likeliest tokens, and what ties with the last of them.
        top_k: Option<usize>,
        /// Keeps the likeliest tokens that together have this probability.
        top_p: Option<f64>,
        /// Captions to give of each image.
        captions: usize,
        /// Same seed, same captions.
        seed: u64,
    },
}

/// All settings of a caption run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How the next token is chosen.
    pub strategy: Strategy,
    /// Tokens of a caption at most, its end token included.
    pub max_tokens: usize,
    /// Tokens that end a caption; what the vocabulary says where empty.
    pub ends: Vec<u32>,
    /// Tokens that are never written; what the vocabulary says is added.
    pub banned: Vec<u32>,
    /// Images that are captioned at once.
    pub batch_size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            strategy: Strategy::Greedy,
            max_tokens: 30,
            ends: Vec::new(),
            banned: Vec::new(),
            batch_size: 32,
        }
    }
}

impl Settings {
    /// # Errors
    /// [`Kind::Usage`] naming the first setting that is out of its range.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::new(Kind::Usage, what));
        if self.max_tokens == 0 {
            return wrong("max_tokens must be at least 1");
        }
        if self.batch_size == 0 {
            return wrong("batch_size must be at least 1");
        }
        match self.strategy {
            Strategy::Greedy => Ok(()),
            Strategy::Beams { beams, captions, length_penalty, .. } => {
                if beams == 0 || captions == 0 || captions > beams {
                    return wrong("captions of an image must be at least 1 and at most `beams`");
                }
                if !length_penalty.is_finite() {
                    return wrong("length_penalty must be a number");
                }
                Ok(())
            }
            Strategy::Sample { temperature, top_k, top_p, captions, .. } => {
                if !temperature.is_finite() || temperature < LEAST_TEMPERATURE {
                    let what = format!("temperature must be {LEAST_TEMPERATURE} at least");
                    return Err(Error::new(Kind::Usage, what)
                        .help("to always take the likeliest token, leave top_k and top_p out"));
                }
                if top_k == Some(0) {
                    return wrong("top_k must be at least 1");
                }
                if top_p.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
                    return wrong("top_p must be between 0 and 1");
                }
                if captions == 0 {
                    return wrong("samples must be at least 1");
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_said() {
        let with = |strategy| Settings { strategy, ..Settings::default() };
        let beams = |beams, captions| Strategy::Beams {
            beams,
            captions,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::default(),
        };
        let sample = |temperature, top_k, top_p| Strategy::Sample {
            temperature,
            top_k,
            top_p,
            captions: 1,
            seed: 0,
        };
        for bad in [
            beams(0, 1),
            beams(3, 4),
            sample(0.0, None, None),
            sample(1e-39, None, None),
            sample(f64::NAN, None, None),
            sample(1.0, Some(0), None),
            sample(1.0, None, Some(1.5)),
        ] {
            assert_eq!(with(bad).check().unwrap_err().kind(), Kind::Usage, "{bad:?}");
        }
        for good in [
            Strategy::Greedy,
            beams(5, 5),
            sample(0.7, Some(3), Some(0.8)),
            sample(1e-6, None, Some(0.9)),
        ] {
            with(good).check().unwrap();
        }
        assert!(Settings { max_tokens: 0, ..Settings::default() }.check().is_err());
    }
}
