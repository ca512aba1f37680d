//! Beam search, as `generate` of transformers 5 does it (`_beam_search`), token for token.

use super::decoder::{Decoder, Logits};
use super::scores::{Largest, Normal, single};
use super::sequence::{Growing, Sequence};
use super::settings::{EarlyStopping, Settings};
use crate::base::{Cancel, Error, Kind, Result};

/// Pushes a beam that has ended out of the race, as in the reference.
const OUT: f32 = -1.0e9;

/// How beams are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search {
    pub(super) beams: usize,
    pub(super) length_penalty: f64,
    pub(super) early_stopping: EarlyStopping,
    pub(super) captions: usize,
}

/// The beams of one prompt. Prompts never look at one another.
#[derive(Debug)]
struct Race {
    running: Vec<Growing>,
    /// Best first, at most as many as there are beams.
    finished: Vec<Sequence>,
    over: bool,
}

pub(super) fn beam_search(
    decoder: &mut dyn Decoder,
    prompts: usize,
    search: Search,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<Vec<Vec<Sequence>>> {
    let mut logits = decoder.start()?.expect(prompts)?;
    // For every ending token as many beams may end at once, and all shall go on.
    let wanted = search.beams * (1 + settings.ends.len()).max(2);
    let choice = logits.vocabulary().saturating_sub(settings.banned.len());
    if wanted > choice {
        let what =
            format!("{} beams need a vocabulary of {wanted} tokens, it has {choice}", search.beams);
        return Err(Error::new(Kind::Usage, what).help("take fewer `beams`"));
    }
    let mut races: Vec<Race> = (0..prompts)
        .map(|prompt| Race {
            running: vec![Growing { prompt, row: prompt, tokens: Vec::new(), score: 0.0 }],
            finished: Vec::new(),
            over: false,
        })
        .collect();
    loop {
        cancel.check()?;
        for race in races.iter_mut().filter(|race| !race.over) {
            race.advance(&logits, wanted, search, settings);
        }
        let running = || races.iter().filter(|race| !race.over).flat_map(|race| &race.running);
        let rows: Vec<usize> = running().map(|beam| beam.row).collect();
        if rows.is_empty() {
            break;
        }
        let tokens: Vec<u32> = running().filter_map(|beam| beam.tokens.last().copied()).collect();
        logits = decoder.step(&rows, &tokens)?.expect(rows.len())?;
        let running = races.iter_mut().filter(|race| !race.over).flat_map(|race| &mut race.running);
        running.enumerate().for_each(|(row, beam)| beam.row = row);
    }
    let best = |race: Race| race.finished.into_iter().take(search.captions).collect();
    Ok(races.into_iter().map(best).collect())
}

/// A beam and the token it would go on with.
type Step = (usize, u32);

impl Race {
    fn advance(&mut self, logits: &Logits, wanted: usize, search: Search, settings: &Settings) {
        let length = self.running.first().map_or(0, |beam| beam.tokens.len()) + 1;
        let longest = settings.max_tokens;
        let ends = |(_, token): &Step| settings.ends.contains(token) || length >= longest;
        let steps = self.likeliest(logits, wanted);
        let going = steps.iter().filter(|(_, step)| !ends(step)).take(search.beams);
        let running: Vec<Growing> =
            going.filter_map(|(score, step)| self.grown(*score, *step)).collect();
        // Beams below the first `beams` are only there to go on in place of those that end.
        for (score, step) in steps.iter().take(search.beams).filter(|(_, step)| ends(step)) {
            if let Some(text) = self.grown(*score, *step) {
                self.finish(text.tokens, *score / power(length, search.length_penalty), search);
            }
        }
        let best = running.first().map_or(OUT, |beam| beam.score);
        self.running = running;
        self.over = length >= longest || self.decided(best, length, search, settings);
    }

    /// The best continuations of all beams, best first.
    fn likeliest(&self, logits: &Logits, wanted: usize) -> Vec<(f32, Step)> {
        let mut largest = Largest::new(wanted);
        for (place, beam) in self.running.iter().enumerate() {
            let row = logits.row(beam.row);
            let normal = Normal::of(row);
            for (token, logit) in (0_u32..).zip(row) {
                largest.offer(normal.log_probability(*logit) + beam.score, || (place, token));
            }
        }
        largest.into_sorted()
    }

    fn grown(&self, score: f32, (beam, token): Step) -> Option<Growing> {
        let beam = self.running.get(beam)?;
        let mut tokens = beam.tokens.clone();
        tokens.push(token);
        Some(Growing { prompt: beam.prompt, row: beam.row, tokens, score })
    }

    fn finish(&mut self, tokens: Vec<u32>, score: f32, search: Search) {
        let place = self.finished.partition_point(|known| known.score >= score);
        self.finished.insert(place, Sequence { tokens, score });
        self.finished.truncate(search.beams);
    }

    /// Whether no running beam is waited for; `best` is the highest of their scores.
    fn decided(&self, best: f32, length: usize, search: Search, settings: &Settings) -> bool {
        if self.finished.len() < search.beams {
            return false;
        }
        let hopeful = match search.early_stopping {
            EarlyStopping::Enough => return true,
            EarlyStopping::Never if search.length_penalty > 0.0 => settings.max_tokens,
            EarlyStopping::Never | EarlyStopping::Heuristic => length,
        };
        let worst = self.finished.last().map_or(OUT, |known| known.score);
        best / power(hopeful, search.length_penalty) <= worst
    }
}

#[expect(clippy::cast_precision_loss, reason = "a length of a caption is far below 2^52")]
fn power(length: usize, penalty: f64) -> f32 {
    single((length as f64).powf(penalty))
}
