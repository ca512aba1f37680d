//! A model's tokenizer, of whichever layout.

use super::{HuggingFaceTokenizer, SimpleTokenizer};

/// Texts to token ids.
#[derive(Debug)]
pub enum Tokenizer {
    /// As transformers' `CLIPTokenizer`.
    HuggingFace(Box<HuggingFaceTokenizer>),
    /// As OpenAI's and open_clip's `SimpleTokenizer`.
    Simple(Box<SimpleTokenizer>),
}

impl Tokenizer {
    /// Start token, the text's tokens, end token; an overlong text is cut so that at most
    /// `context` ids remain, the last of them the end token.
    ///
    /// # Errors
    /// When the tokenizer's own rules fail on the text.
    pub fn ids(&self, text: &str, context: usize) -> crate::base::Result<Vec<u32>> {
        match self {
            Self::HuggingFace(tokenizer) => tokenizer.ids(text, context),
            Self::Simple(tokenizer) => Ok(tokenizer.ids(text, context)),
        }
    }

    /// One more than the highest id.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::HuggingFace(tokenizer) => tokenizer.size(),
            Self::Simple(tokenizer) => tokenizer.size(),
        }
    }

    /// The id that ends every text.
    #[must_use]
    pub fn end(&self) -> u32 {
        match self {
            Self::HuggingFace(tokenizer) => tokenizer.end(),
            Self::Simple(tokenizer) => tokenizer.end(),
        }
    }
}
