//! A text that was generated, and one that still grows.

/// A generated text.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// Its tokens, the end token included where it came to one.
    pub tokens: Vec<u32>,
    /// Its log-probability by the model; beam search divides it by the length to the power of its
    /// length penalty, as transformers' `sequences_scores`.
    pub score: f32,
}

/// A row of the decoder that grows.
#[derive(Debug, Clone)]
pub(super) struct Growing {
    /// Which prompt it belongs to.
    pub(super) prompt: usize,
    /// The row of the last scores.
    pub(super) row: usize,
    pub(super) tokens: Vec<u32>,
    pub(super) score: f32,
}
