//! Captions of 30 tokens by a GPT-2 small and an mlp mapper, greedily, of one image and of 32 at
//! once: `cargo bench --bench caption`, and benches/peers/caption.py for transformers.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement fails by panicking and prints what it found"
)]

use std::hint::black_box;
use std::time::Instant;

use candle_core::{DType, Device};
use clipmill::base::Cancel;
use clipmill::caption::decode::generate;
use clipmill::caption::{EarlyStopping, ModelDecoder, Settings, Strategy};
use clipmill::nn::captioner::Captioner;
use clipmill::nn::gpt2::{Gpt2, Gpt2Config};
use clipmill::nn::mapper::{Mapper, MapperConfig, MapperKind};

const CLIP_WIDTH: usize = 512;
const TOKENS: usize = 30;

/// Median seconds of three rounds after a first one.
fn median(mut round: impl FnMut()) -> f64 {
    round();
    let mut seconds: Vec<f64> = (0..3)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[1]
}

fn main() {
    let gpt2 = Gpt2::random(&Gpt2Config::default(), 1, &Device::Cpu, DType::F32, false).unwrap();
    let sizes = MapperConfig::new(MapperKind::Mlp, CLIP_WIDTH, 10, gpt2.config().width);
    let mapper = Mapper::new(sizes, 2, &Device::Cpu).unwrap();
    let captioner = Captioner { gpt2, mapper, normalize_prefix: false };
    let features: Vec<Vec<f32>> = (0..32)
        .map(|image| (0..CLIP_WIDTH).map(|i| ((image * 31 + i) as f32).sin()).collect())
        .collect();
    let seconds = |images: usize, strategy: Strategy| {
        let features: Vec<&[f32]> = features.iter().take(images).map(Vec::as_slice).collect();
        let keys: Vec<u64> = vec![0; images];
        // No token ends a text, so that all have as many.
        let settings = Settings { strategy, max_tokens: TOKENS, ..Settings::default() };
        median(|| {
            let mut decoder = ModelDecoder::new(&captioner, &features, TOKENS).unwrap();
            let texts = generate(&mut decoder, &keys, &settings, &Cancel::new()).unwrap();
            assert!(texts.iter().all(|of| of[0].tokens.len() == TOKENS));
            black_box(texts);
        })
    };
    let beams = Strategy::Beams {
        beams: 5,
        length_penalty: 1.0,
        early_stopping: EarlyStopping::Heuristic,
        captions: 1,
    };
    let one = seconds(1, Strategy::Greedy);
    let many = seconds(32, Strategy::Greedy);
    let beam = seconds(1, beams);
    println!("greedy, 1 image    {one:6.2} s  {:6.2} images/s", 1.0 / one);
    println!("greedy, 32 images  {many:6.2} s  {:6.2} images/s", 32.0 / many);
    println!("5 beams, 1 image   {beam:6.2} s  {:6.2} images/s", 1.0 / beam);
    println!("32 at once         {:6.1} times the images/s of one", 32.0 * one / many);
}
