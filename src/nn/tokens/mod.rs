//! Texts to token ids, as the reference of each layout does it.

mod bytes;
mod clean;
mod codec;
mod gpt2;
mod html;
mod hugging_face;
mod learn;
mod simple;
mod tokenizer;
mod word_piece;

pub use codec::TextCodec;
pub use hugging_face::HuggingFaceTokenizer;
pub use learn::{LearntVocabulary, learn, learn_gpt2};
pub use simple::{SimpleTokenizer, Spelling};
pub use tokenizer::Tokenizer;

pub(crate) use gpt2::gpt2_tokenizer_json;
pub(crate) use hugging_face::clip_tokenizer_json;
