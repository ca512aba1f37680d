//! What every strategy needs of a language model.

use crate::base::{Error, Kind, Result};

/// A language model that goes on from several texts at once and remembers what it has read.
pub trait Decoder {
    /// Reads the prompts, and scores what comes next: one row a prompt, in their order. Called once,
    /// before any [`step`](Self::step).
    ///
    /// # Errors
    /// When the model or its device fails.
    fn start(&mut self) -> Result<Logits>;

    /// Reads one more token of each text. Row `i` becomes what row `rows[i]` was, and then reads
    /// `tokens[i]`: rows may be dropped, repeated and moved. Gives the scores of what comes next in
    /// the new order.
    ///
    /// # Errors
    /// When the model or its device fails.
    fn step(&mut self, rows: &[usize], tokens: &[u32]) -> Result<Logits>;
}

/// A language model that never writes some of its tokens: every strategy chooses among the others, and
/// scores are those of a model that has only them.
pub(super) struct Without<'d> {
    pub(super) decoder: &'d mut dyn Decoder,
    pub(super) tokens: &'d [u32],
}

impl Decoder for Without<'_> {
    fn start(&mut self) -> Result<Logits> {
        Ok(self.decoder.start()?.without(self.tokens))
    }

    fn step(&mut self, rows: &[usize], tokens: &[u32]) -> Result<Logits> {
        Ok(self.decoder.step(rows, tokens)?.without(self.tokens))
    }
}

/// Unnormalised log-probabilities of the next token.
///
/// # Shapes
/// (rows, vocabulary), row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    values: Vec<f32>,
    vocabulary: usize,
}

impl Logits {
    /// Scores of `values.len() / vocabulary` rows.
    ///
    /// # Errors
    /// [`Kind::Internal`] when they do not come out even or one is NaN: the model's weights are
    /// damaged.
    pub fn new(values: Vec<f32>, vocabulary: usize) -> Result<Self> {
        if vocabulary == 0 || !values.len().is_multiple_of(vocabulary) {
            return Err(Error::new(
                Kind::Internal,
                format!("{} scores for a vocabulary of {vocabulary}", values.len()),
            ));
        }
        if values.iter().any(|value| value.is_nan()) {
            return Err(Error::new(Kind::BadInput, "the captioner's scores are not numbers").help(
                "its training went wrong or its weights are damaged: take another checkpoint",
            ));
        }
        Ok(Self { values, vocabulary })
    }

    /// How many texts.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.vocabulary
    }

    /// How many tokens there are to choose from.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The scores of one text; empty if there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        let start = row * self.vocabulary;
        self.values.get(start..start + self.vocabulary).unwrap_or_default()
    }

    /// The same with no chance for these tokens.
    pub(super) fn without(mut self, tokens: &[u32]) -> Self {
        let places: Vec<usize> = tokens.iter().filter_map(|t| usize::try_from(*t).ok()).collect();
        if !places.is_empty() {
            for row in self.values.chunks_exact_mut(self.vocabulary) {
                for place in &places {
                    if let Some(score) = row.get_mut(*place) {
                        *score = f32::NEG_INFINITY;
                    }
                }
            }
        }
        self
    }

    /// As many rows as were asked for, or the model is at fault.
    pub(super) fn expect(self, rows: usize) -> Result<Self> {
        if self.rows() == rows {
            return Ok(self);
        }
        let what = format!("the model scored {} texts of {rows}", self.rows());
        Err(Error::new(Kind::Internal, what))
    }
}
