//! Always the likeliest token.

use super::decoder::Decoder;
use super::grow::grow;
use super::scores::argmax;
use super::sequence::Sequence;
use super::settings::Settings;
use crate::base::{Cancel, Result};

pub(super) fn greedy(
    decoder: &mut dyn Decoder,
    prompts: usize,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<Vec<Vec<Sequence>>> {
    grow(decoder, prompts, 1, settings, cancel, |_| (), |row, ()| argmax(row))
}
