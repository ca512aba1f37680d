//! Strategies over a model that is a table.

use super::{Decoder, EarlyStopping, Logits, Sequence, Settings, Strategy, generate};
use crate::base::{Cancel, Kind, Result};

const WORDS: usize = 12;
const END: u32 = 0;

/// Scores the next token by the prompt and the last two tokens, by hashing.
#[derive(Debug)]
struct Table {
    prompts: Vec<u64>,
    texts: Vec<(u64, Vec<u32>)>,
}

impl Table {
    fn new(prompts: &[u64]) -> Self {
        Self { prompts: prompts.to_vec(), texts: Vec::new() }
    }

    fn logits(&self) -> Result<Logits> {
        let values = self.texts.iter().flat_map(|(prompt, text)| row(*prompt, text)).collect();
        Logits::new(values, WORDS)
    }
}

fn row(prompt: u64, text: &[u32]) -> Vec<f32> {
    let last = text.iter().rev().take(2).fold(prompt, |sum, t| sum * 31 + u64::from(*t) + 7);
    (0..WORDS as u64)
        .map(|token| {
            let mixed = (last * 97 + token).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            (mixed % 1000) as f32 / 200.0
        })
        .collect()
}

impl Decoder for Table {
    fn start(&mut self) -> Result<Logits> {
        self.texts = self.prompts.iter().map(|prompt| (*prompt, Vec::new())).collect();
        self.logits()
    }

    fn step(&mut self, rows: &[usize], tokens: &[u32]) -> Result<Logits> {
        let text = |(row, token): (&usize, &u32)| {
            let (prompt, mut text) = self.texts[*row].clone();
            text.push(*token);
            (prompt, text)
        };
        self.texts = rows.iter().zip(tokens).map(text).collect();
        self.logits()
    }
}

fn settings(strategy: Strategy, max_tokens: usize) -> Settings {
    Settings { strategy, max_tokens, ends: vec![END], ..Settings::default() }
}

fn run(prompts: &[u64], settings: &Settings) -> Vec<Vec<Sequence>> {
    generate(&mut Table::new(prompts), prompts, settings, &Cancel::new()).unwrap()
}

fn beams(beams: usize, length_penalty: f64, early_stopping: EarlyStopping) -> Strategy {
    Strategy::Beams { beams, length_penalty, early_stopping, captions: beams }
}

fn draws(captions: usize, seed: u64) -> Strategy {
    Strategy::Sample { temperature: 1.3, top_k: Some(6), top_p: Some(0.9), captions, seed }
}

fn log_probability(prompt: u64, text: &[u32]) -> f32 {
    let of = |place: usize| {
        let row = row(prompt, &text[..place]);
        let sum: f32 = row.iter().map(|x| x.exp()).sum();
        row[text[place] as usize] - sum.ln()
    };
    (0..text.len()).map(of).sum()
}

#[test]
fn one_beam_is_greedy() {
    let prompts: Vec<u64> = (0..40).collect();
    let greedy = run(&prompts, &settings(Strategy::Greedy, 9));
    let one = run(&prompts, &settings(beams(1, 0.0, EarlyStopping::Enough), 9));
    let tokens = |all: &[Vec<Sequence>]| -> Vec<Vec<u32>> {
        all.iter().map(|of| of[0].tokens.clone()).collect()
    };
    assert_eq!(tokens(&greedy), tokens(&one));
    assert!(greedy.iter().any(|of| of[0].tokens.len() == 9 && of[0].tokens[8] != END));
    assert!(greedy.iter().any(|of| of[0].tokens.last() == Some(&END)));
}

#[test]
fn scores_are_the_models() {
    for strategy in [Strategy::Greedy, draws(3, 5), beams(4, 0.0, EarlyStopping::Heuristic)] {
        for (prompt, texts) in
            (0_u64..10).zip(run(&(0..10).collect::<Vec<_>>(), &settings(strategy, 6)))
        {
            for text in texts {
                let known = log_probability(prompt, &text.tokens);
                assert!((known - text.score).abs() < 1e-4, "{strategy:?}: {known} {}", text.score);
            }
        }
    }
    let penalised = run(&[3], &settings(beams(4, 2.0, EarlyStopping::Heuristic), 6));
    for text in &penalised[0] {
        let length = text.tokens.len() as f32;
        let known = log_probability(3, &text.tokens) / (length * length);
        assert!((known - text.score).abs() < 1e-4);
    }
}

/// With beams for all that can be said in two tokens, the best of all texts is found.
#[test]
fn enough_beams_find_the_best_text() {
    let wide = settings(beams(6, 0.0, EarlyStopping::Never), 2);
    for prompt in 0..30 {
        let mut all: Vec<Vec<u32>> = vec![vec![END]];
        let words = u32::try_from(WORDS).unwrap();
        let first: Vec<u32> = (1..words).collect();
        all.extend(first.iter().flat_map(|a| (0..words).map(move |b| vec![*a, b])));
        let score = |text: &Vec<u32>| log_probability(prompt, text);
        let best = all.iter().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
        let found = &run(&[prompt], &wide)[0];
        // Its first token may stand below the six; then nobody can find it.
        let heads: Vec<u32> = found.iter().map(|text| text.tokens[0]).collect();
        if heads.contains(&best[0]) {
            assert_eq!(&found[0].tokens, best, "prompt {prompt}");
        }
        assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        assert_eq!(found.len(), 6);
    }
}

#[test]
fn the_batch_changes_nothing() {
    let prompts: Vec<u64> = (0..12).collect();
    let strategies = [
        Strategy::Greedy,
        beams(3, 1.0, EarlyStopping::Heuristic),
        beams(3, 0.6, EarlyStopping::Enough),
        beams(3, 1.5, EarlyStopping::Never),
        draws(4, 11),
    ];
    for strategy in strategies {
        let settings = settings(strategy, 8);
        let together = run(&prompts, &settings);
        for (prompt, of) in prompts.iter().zip(&together) {
            assert_eq!(&run(&[*prompt], &settings)[0], of, "{strategy:?}");
        }
    }
}

#[test]
fn seeds_and_numbers_of_samples() {
    let prompts: Vec<u64> = (0..8).collect();
    let five = run(&prompts, &settings(draws(5, 1), 8));
    assert_eq!(five, run(&prompts, &settings(draws(5, 1), 8)));
    assert_ne!(five, run(&prompts, &settings(draws(5, 2), 8)));
    let two = run(&prompts, &settings(draws(2, 1), 8));
    assert!(two.iter().zip(&five).all(|(two, five)| two[..] == five[..2]), "the first stay");
    assert!(five.iter().any(|of| of.iter().any(|text| text != &of[0])));
}

#[test]
fn what_cannot_be_generated_is_an_error() {
    let cancel = Cancel::new();
    let many = settings(beams(7, 1.0, EarlyStopping::Heuristic), 4);
    let error = generate(&mut Table::new(&[1]), &[1], &many, &cancel).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(generate(&mut Table::new(&[]), &[], &many, &cancel).unwrap().is_empty());
    cancel.cancel();
    let greedy = settings(Strategy::Greedy, 4);
    let error = generate(&mut Table::new(&[1]), &[1], &greedy, &cancel).unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert!(Logits::new(vec![f32::NAN; 2], 2).is_err() && Logits::new(vec![0.0; 3], 2).is_err());
}

/// As `predict.py` of ClipCap-Chinese, which sets `logits[:, unk_id]` to minus infinity before it
/// looks for what may be drawn.
#[test]
fn banned_tokens_are_written_by_no_strategy_and_have_no_part_in_scores() {
    let prompts: Vec<u64> = (0..40).collect();
    let likeliest = |prompt: u64, text: &[u32], banned: &[u32]| {
        let row = row(prompt, text);
        let left = (0..WORDS).filter(|t| !banned.contains(&u32::try_from(*t).unwrap()));
        left.max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a))).unwrap()
    };
    let banned: Vec<u32> = vec![5];
    let hit = prompts.iter().filter(|prompt| likeliest(**prompt, &[], &[]) == 5).count();
    assert!(hit > 0, "it would be written");
    let top =
        |top_k, top_p| Strategy::Sample { temperature: 1.0, top_k, top_p, captions: 4, seed: 3 };
    for strategy in [
        Strategy::Greedy,
        beams(3, 1.0, EarlyStopping::Heuristic),
        top(Some(1), None),
        top(Some(4), None),
        top(None, Some(0.8)),
        top(None, Some(1.0)),
    ] {
        let settings = Settings { banned: banned.clone(), ..settings(strategy, 8) };
        for texts in run(&prompts, &settings) {
            for text in texts {
                assert!(!text.tokens.contains(&5) && text.score.is_finite(), "{strategy:?}");
            }
        }
    }
    let greedy = Settings { banned: banned.clone(), ..settings(Strategy::Greedy, 1) };
    for (prompt, texts) in prompts.iter().zip(run(&prompts, &greedy)) {
        let token = likeliest(*prompt, &[], &banned);
        assert_eq!(texts[0].tokens, [u32::try_from(token).unwrap()]);
        let row = row(*prompt, &[]);
        let sum: f32 = (0..WORDS).filter(|t| *t != 5).map(|t| row[t].exp()).sum();
        assert!((texts[0].score - (row[token] - sum.ln())).abs() < 1e-4);
    }
    // The likeliest of those that are left, where one is kept.
    let one = Settings { banned, ..settings(top(Some(1), None), 8) };
    let greedy = Settings { strategy: Strategy::Greedy, ..one.clone() };
    let firsts = |settings| -> Vec<Vec<u32>> {
        run(&prompts, settings).into_iter().map(|of| of[0].tokens.clone()).collect()
    };
    assert_eq!(firsts(&one), firsts(&greedy));
}

#[test]
fn the_least_temperature_draws_the_likeliest_tokens() {
    let prompts: Vec<u64> = (0..20).collect();
    let cold = Strategy::Sample {
        temperature: crate::plan::captioner::LEAST_TEMPERATURE,
        top_k: None,
        top_p: Some(1.0),
        captions: 1,
        seed: 3,
    };
    let tokens = |strategy| -> Vec<Vec<u32>> {
        let made = run(&prompts, &settings(strategy, 8));
        made.into_iter().map(|of| of[0].tokens.clone()).collect()
    };
    assert_eq!(tokens(cold), tokens(Strategy::Greedy));
}
