//! Texts that grow a token at a time, each on its own.

use super::decoder::{Decoder, Logits};
use super::scores::Normal;
use super::sequence::{Growing, Sequence};
use super::settings::Settings;
use crate::base::{Cancel, Result};

/// Grows `copies` texts of every prompt; `choose` gives the next token, told which text it is for.
/// Finished texts leave the batch.
pub(super) fn grow(
    decoder: &mut dyn Decoder,
    prompts: usize,
    copies: usize,
    settings: &Settings,
    cancel: &Cancel,
    mut choose: impl FnMut(usize, &Logits, &Growing) -> usize,
) -> Result<Vec<Vec<Sequence>>> {
    let mut out: Vec<Vec<Option<Sequence>>> = vec![vec![None; copies]; prompts];
    let mut texts: Vec<(usize, Growing)> = (0..prompts * copies)
        .map(|text| {
            let prompt = text / copies;
            (text, Growing { prompt, row: prompt, tokens: Vec::new(), score: 0.0 })
        })
        .collect();
    let mut logits = decoder.start()?.expect(prompts)?;
    loop {
        cancel.check()?;
        let mut left = Vec::with_capacity(texts.len());
        for (which, mut text) in texts {
            let chosen = choose(which, &logits, &text);
            let row = logits.row(text.row);
            let logit = row.get(chosen).copied().unwrap_or(f32::NEG_INFINITY);
            text.score += Normal::of(row).log_probability(logit);
            let token = u32::try_from(chosen).unwrap_or(u32::MAX);
            text.tokens.push(token);
            if settings.ends.contains(&token) || text.tokens.len() >= settings.max_tokens {
                let place = out.get_mut(text.prompt).and_then(|c| c.get_mut(which % copies));
                if let Some(place) = place {
                    *place = Some(Sequence { tokens: text.tokens, score: text.score });
                }
            } else {
                left.push((which, text));
            }
        }
        texts = left;
        if texts.is_empty() {
            return Ok(out.into_iter().map(|of| of.into_iter().flatten().collect()).collect());
        }
        let rows: Vec<usize> = texts.iter().map(|(_, text)| text.row).collect();
        let tokens: Vec<u32> =
            texts.iter().filter_map(|(_, text)| text.tokens.last().copied()).collect();
        logits = decoder.step(&rows, &tokens)?.expect(texts.len())?;
        texts.iter_mut().enumerate().for_each(|(row, (_, text))| text.row = row);
    }
}
