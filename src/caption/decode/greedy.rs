//! Always the likeliest token.

use super::decoder::{Decoder, Logits};
use super::grow::grow;
use super::scores::argmax;
use super::sequence::{Growing, Sequence};
use super::settings::Settings;
use crate::base::{Cancel, Result};

pub(super) fn greedy(
    decoder: &mut dyn Decoder,
    prompts: usize,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<Vec<Vec<Sequence>>> {
    grow(decoder, prompts, 1, settings, cancel, |_: usize, logits: &Logits, text: &Growing| {
        argmax(logits.row(text.row))
    })
}
