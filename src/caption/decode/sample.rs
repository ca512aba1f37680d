//! Tokens drawn by chance.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::decoder::Decoder;
use super::grow::grow;
use super::scores::Normal;
use super::sequence::Sequence;
use super::settings::Settings;
use super::warp::warp;
use crate::base::{Cancel, Result};

/// What is drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    pub(super) temperature: f64,
    pub(super) top_k: Option<usize>,
    pub(super) top_p: Option<f64>,
    pub(super) captions: usize,
    pub(super) seed: u64,
}

/// Draws `captions` texts of every prompt. Each text has its own random numbers, out of the seed, the
/// prompt's key and its number among the prompt's texts: what else is in the batch changes nothing.
pub(super) fn sample(
    decoder: &mut dyn Decoder,
    keys: &[u64],
    draw: Draw,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<Vec<Vec<Sequence>>> {
    let mut chances: Vec<ChaCha8Rng> = keys
        .iter()
        .flat_map(|key| (0_u64..).take(draw.captions).map(|nth| chance(draw.seed, *key, nth)))
        .collect();
    let next = |which: usize| chances.get_mut(which).map_or(0.0, unit);
    let choose = |row: &[f32], at: f64| {
        let mut scores = row.to_vec();
        warp(&mut scores, draw.temperature, draw.top_k, draw.top_p);
        pick(&scores, at)
    };
    grow(decoder, keys.len(), draw.captions, settings, cancel, next, choose)
}

fn chance(seed: u64, key: u64, nth: u64) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    for (place, part) in bytes.chunks_exact_mut(8).zip([seed, key, nth]) {
        place.copy_from_slice(&part.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

/// At least 0 and below 1, in steps of 2^-53.
#[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
fn unit(chance: &mut ChaCha8Rng) -> f64 {
    (chance.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The token on which `at`, a share of the whole probability, falls.
fn pick(scores: &[f32], at: f64) -> usize {
    let normal = Normal::of(scores);
    let weight = |score: f32| f64::from(normal.log_probability(score).exp());
    let whole: f64 = scores.iter().map(|score| weight(*score)).sum();
    let mut sum = 0.0;
    let mut last = 0;
    for (token, score) in scores.iter().enumerate().filter(|(_, score)| score.is_finite()) {
        sum += weight(*score);
        last = token;
        if sum > at * whole {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_probabilities() {
        let scores = [0.6_f32.ln(), f32::NEG_INFINITY, 0.4_f32.ln()];
        assert_eq!(pick(&scores, 0.0), 0);
        assert_eq!(pick(&scores, 0.59), 0);
        assert_eq!(pick(&scores, 0.61), 2);
        assert_eq!(pick(&scores, 0.999_999_999), 2);
    }

    #[test]
    fn every_text_has_its_own_numbers() {
        let first = |seed, key, nth| unit(&mut chance(seed, key, nth));
        let base = first(1, 2, 3);
        assert!((0.0..1.0).contains(&base));
        assert!((base - first(1, 2, 3)).abs() < f64::EPSILON);
        for other in [first(0, 2, 3), first(1, 0, 3), first(1, 2, 0)] {
            assert!((base - other).abs() > f64::EPSILON);
        }
    }
}
