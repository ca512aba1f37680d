//! Texts out of a language model: greedy, beam search, sampling.

mod beam;
mod decoder;
mod generate;
mod greedy;
mod grow;
mod sample;
mod scores;
mod sequence;
mod settings;
mod warp;

#[cfg(test)]
mod tests;

pub use decoder::{Decoder, Logits};
pub use generate::generate;
pub use sequence::Sequence;
pub use settings::{EarlyStopping, Settings, Strategy};
pub use warp::warp;
