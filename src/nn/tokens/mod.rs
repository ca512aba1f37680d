//! Texts to token ids, as the reference of each layout does it.

mod bytes;
mod clean;
mod html;
mod hugging_face;
mod learn;
mod simple;
mod tokenizer;

pub use hugging_face::HuggingFaceTokenizer;
pub use learn::{LearntVocabulary, learn};
pub use simple::{SimpleTokenizer, Spelling};
pub use tokenizer::Tokenizer;

pub(crate) use hugging_face::clip_tokenizer_json;
