//! Texts that grow a token at a time, each on its own.

use rayon::prelude::*;

use super::decoder::Decoder;
use super::scores::Normal;
use super::sequence::{Growing, Sequence};
use super::settings::Settings;
use crate::base::{Cancel, Result};

/// Grows `copies` texts of every prompt. `draw` is asked in the order of the texts, by their number;
/// `choose` makes a token of what it gave, on all cores. Finished texts leave the batch.
pub(super) fn grow<D: Copy + Send + Sync>(
    decoder: &mut dyn Decoder,
    prompts: usize,
    copies: usize,
    settings: &Settings,
    cancel: &Cancel,
    mut draw: impl FnMut(usize) -> D,
    choose: impl Fn(&[f32], D) -> usize + Sync,
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
        let drawn: Vec<(usize, D)> =
            texts.iter().map(|(which, text)| (text.row, draw(*which))).collect();
        let chosen: Vec<(usize, f32)> = drawn
            .into_par_iter()
            .map(|(row, drawn)| {
                let row = logits.row(row);
                let chosen = choose(row, drawn);
                let logit = row.get(chosen).copied().unwrap_or(f32::NEG_INFINITY);
                (chosen, Normal::of(row).log_probability(logit))
            })
            .collect();
        let mut left = Vec::with_capacity(texts.len());
        for ((which, mut text), (chosen, score)) in texts.into_iter().zip(chosen) {
            text.score += score;
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
