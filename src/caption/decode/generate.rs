//! One door to all strategies.

use super::beam::{Search, beam_search};
use super::decoder::{Decoder, Without};
use super::greedy::greedy;
use super::sample::{Draw, sample};
use super::sequence::Sequence;
use super::settings::{Settings, Strategy};
use crate::base::{Cancel, Result};

/// Generates texts after the prompts that a decoder holds: for each prompt, in order, as many as
/// the strategy says, best first or in order of drawing.
///
/// `keys` has one number a prompt; sampling draws by it, so that the same prompt with the same key and seed
/// gets the same text in any batch. Greedy and beam search equal transformers' `generate`
/// token for token, as far as the logits are the same numbers.
///
/// # Errors
/// When a setting is out of its range, the decoder fails, or somebody asked to stop.
pub fn generate(
    decoder: &mut dyn Decoder,
    keys: &[u64],
    settings: &Settings,
    cancel: &Cancel,
) -> Result<Vec<Vec<Sequence>>> {
    settings.check()?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let decoder = &mut Without { decoder, tokens: &settings.banned };
    match settings.strategy {
        Strategy::Greedy => greedy(decoder, keys.len(), settings, cancel),
        Strategy::Beams { beams, length_penalty, early_stopping, captions } => {
            let search = Search { beams, length_penalty, early_stopping, captions };
            beam_search(decoder, keys.len(), search, settings, cancel)
        }
        Strategy::Sample { temperature, top_k, top_p, captions, seed } => {
            let draw = Draw { temperature, top_k, top_p, captions, seed };
            sample(decoder, keys, draw, settings, cancel)
        }
    }
}
