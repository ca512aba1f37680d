//! Scores of captions: BLEU, ROUGE-L and CIDEr, on the words of English or Chinese.

mod bleu;
mod cider;
mod evaluate;
pub mod ptb;
mod rouge;
mod sentence;
mod tokenizer;

pub use evaluate::{Case, ImageScore, Score, Scores, evaluate};
pub use sentence::Sentence;
pub use tokenizer::Tokenizer;
