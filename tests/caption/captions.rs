//! From features to text, with a random captioner and a vocabulary made from texts.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Device};
use clipmill::base::progress::{Progress, Silent};
use clipmill::base::{Cancel, Kind};
use clipmill::caption::{Generated, Settings, Strategy, generate};
use clipmill::nn::captioner::Captioner;
use clipmill::nn::gpt2::{Gpt2, Gpt2Config, write_random};
use clipmill::nn::mapper::{Mapper, MapperConfig, MapperKind};
use clipmill::nn::tokens::TextCodec;

const TEXTS: &[&str] = &["a red circle left of a blue square", "two green triangles"];

fn model() -> (Captioner, TextCodec) {
    let folder = tempfile::tempdir().unwrap();
    let config =
        r#"{"vocab_size": 300, "n_positions": 24, "n_embd": 16, "n_layer": 2, "n_head": 2}"#;
    let config = Gpt2Config::parse(config).unwrap();
    write_random(folder.path(), &config, 3, TEXTS).unwrap();
    let gpt2 = Gpt2::load(folder.path(), &Device::Cpu, DType::F32, false).unwrap();
    let sizes = MapperConfig::new(MapperKind::Mlp, 8, 4, gpt2.config().width);
    let mapper = Mapper::new(sizes, 5, &Device::Cpu).unwrap();
    let codec = TextCodec::open(folder.path()).unwrap();
    (Captioner { gpt2, mapper, normalize_prefix: false }, codec)
}

fn features(count: u16) -> Vec<Vec<f32>> {
    (0..count).map(|i| (0..8_u16).map(|j| f32::from(i * 7 + j * 3 % 5).sin()).collect()).collect()
}

fn run(features: &[Vec<f32>], settings: &Settings) -> Vec<Vec<Generated>> {
    let (captioner, codec) = model();
    let features: Vec<&[f32]> = features.iter().map(Vec::as_slice).collect();
    generate(&captioner, &codec, &features, settings, &Cancel::new(), &Silent).unwrap()
}

fn texts(of: &[Vec<Generated>]) -> Vec<Vec<&str>> {
    of.iter().map(|of| of.iter().map(|caption| caption.text.as_str()).collect()).collect()
}

#[test]
fn captions_depend_neither_on_batch_nor_on_place() {
    let features = features(7);
    let sampled =
        Strategy::Sample { temperature: 1.0, top_k: Some(50), top_p: None, captions: 2, seed: 9 };
    for strategy in [Strategy::Greedy, sampled] {
        let of =
            |batch_size| Settings { strategy, max_tokens: 10, batch_size, ..Settings::default() };
        let all = run(&features, &of(7));
        assert_eq!(texts(&all), texts(&run(&features, &of(2))));
        let mut turned = features.clone();
        turned.reverse();
        let mut turned = run(&turned, &of(3));
        turned.reverse();
        assert_eq!(texts(&all), texts(&turned));
        assert!(all.iter().flatten().all(|caption| caption.tokens <= 10 && caption.score < 0.0));
    }
}

#[test]
fn what_does_not_fit_the_model_is_said() {
    let (captioner, codec) = model();
    let narrow: &[f32] = &[0.5; 7];
    let of = |features: &[&[f32]], settings: &Settings, cancel: &Cancel| {
        generate(&captioner, &codec, features, settings, cancel, &Silent).unwrap_err()
    };
    let error = of(&[narrow], &Settings::default(), &Cancel::new());
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.what().contains("7 numbers") && error.what().contains("made for 8"), "{error}");
    let wide: &[f32] = &[0.5; 8];
    let long = Settings { max_tokens: 22, ..Settings::default() };
    let error = of(&[wide], &long, &Cancel::new());
    assert_eq!((error.kind(), error.help_text()), (Kind::Usage, Some("take max_tokens = 21")));
    let cancel = Cancel::new();
    cancel.cancel();
    let short = Settings { max_tokens: 21, ..Settings::default() };
    assert_eq!(of(&[wide], &short, &cancel).kind(), Kind::Interrupted);
    let caption = &run(&[wide.to_vec()], &short)[0][0];
    assert!(caption.tokens <= 21);
}

/// What stands for no word is left out of a text, so a caption with it has fewer words than tokens.
#[test]
fn the_unknown_token_of_a_word_piece_vocabulary_is_never_written() {
    let (captioner, _) = model();
    let size = captioner.gpt2.config().vocabulary;
    let codec = |unknown: usize, end: usize| {
        let word = |id: usize| match id {
            _ if id == unknown => "[UNK]".to_owned(),
            _ if id == end => "[SEP]".to_owned(),
            _ => format!("t{id}"),
        };
        let folder = tempfile::tempdir().unwrap();
        let words: Vec<String> = (0..size).map(word).collect();
        std::fs::write(folder.path().join("vocab.txt"), words.join("\n")).unwrap();
        TextCodec::open(folder.path()).unwrap()
    };
    let features = features(5);
    let features: Vec<&[f32]> = features.iter().map(Vec::as_slice).collect();
    let sampled =
        Strategy::Sample { temperature: 1.0, top_k: Some(2), top_p: None, captions: 3, seed: 1 };
    for strategy in [Strategy::Greedy, sampled] {
        // No caption ends: each has as many tokens as there is room for.
        let made = |unknown: usize, end: usize| {
            let banned = vec![u32::try_from(end).unwrap()];
            let ends = vec![u32::MAX];
            let settings =
                Settings { strategy, max_tokens: 6, ends, banned, ..Settings::default() };
            let codec = codec(unknown, end);
            let all = generate(&captioner, &codec, &features, &settings, &Cancel::new(), &Silent)
                .unwrap();
            let texts = all.into_iter().flatten().map(|caption| caption.text);
            texts.map(|text| text.split(' ').map(str::to_owned).collect()).collect()
        };
        let first: Vec<Vec<String>> = made(size - 1, size - 2);
        let unknown: usize = first[0][0].strip_prefix('t').unwrap().parse().unwrap();
        let without: Vec<Vec<String>> = made(unknown, if unknown == 0 { 1 } else { 0 });
        assert!(without.iter().all(|words| words.len() == 6), "{without:?}");
    }
}

#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Progress for Counter {
    fn begin(&self, _task: &str, total: Option<u64>) {
        assert_eq!(total, Some(5));
    }
    fn advance(&self, _task: &str, done: u64) {
        self.0.fetch_add(done, Ordering::Relaxed);
    }
    fn end(&self, _task: &str) {}
    fn note(&self, _line: &str) {}
}

#[test]
fn progress_counts_images() {
    let (captioner, codec) = model();
    let features = features(5);
    let features: Vec<&[f32]> = features.iter().map(Vec::as_slice).collect();
    let settings = Settings { max_tokens: 3, batch_size: 2, ..Settings::default() };
    let counter = Counter::default();
    generate(&captioner, &codec, &features, &settings, &Cancel::new(), &counter).unwrap();
    assert_eq!(counter.0.load(Ordering::Relaxed), 5);
}
