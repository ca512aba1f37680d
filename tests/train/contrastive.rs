//! Contrastive training of a CLIP beside PyTorch's (`tests/golden/train_clip.py`).

use std::path::{Path, PathBuf};

use candle_core::Device;
use clipmill::nn::clip::hugging_face_config;
use clipmill::nn::contrastive::{Pair, TrainableClip};
use clipmill::nn::weights::Weights;
use clipmill::train::adamw::AdamW;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    shown: Vec<usize>,
    rate: f64,
    weight_decay: f64,
    clip_norm: f64,
    losses: Vec<f64>,
    scales: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    tokens: Vec<Vec<u32>>,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn json<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

/// The images as they are, negated and halved, one after the other.
fn images(shown: &[usize]) -> Vec<f32> {
    let bytes = std::fs::read(golden("clip/hf_quick/images.f32")).unwrap();
    let two: Vec<f32> =
        bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect();
    let one = two.len() / 2;
    let of = |image: usize| {
        let factor = [1.0, -1.0, 0.5][image / 2];
        two[image % 2 * one..][..one].iter().map(move |x| x * factor)
    };
    shown.iter().flat_map(|image| of(*image)).collect()
}

fn clip() -> TrainableClip {
    let config = std::fs::read_to_string(golden("clip/hf_quick/config.json")).unwrap();
    let weights = Weights::open(&golden("clip/hf_quick/model.safetensors")).unwrap();
    TrainableClip::read(&weights, &hugging_face_config(&config).unwrap(), &Device::Cpu).unwrap()
}

#[test]
fn losses_and_temperature_are_those_of_pytorch() {
    let golden: Golden = json("train_clip/steps.json");
    let case: Case = json("clip/hf_quick/case.json");
    let images = images(&golden.shown);
    let clip = clip();
    let mut optimizer = AdamW::new(clip.parameters(), golden.weight_decay).unwrap();
    let pair = Pair { images: &images, texts: &case.tokens, shown: &golden.shown };
    assert_eq!(golden.losses.len(), 50);
    assert!(golden.losses[49] < 0.6 * golden.losses[0], "it learns");
    let mut worst = 0.0_f64;
    for (step, (want, want_scale)) in golden.losses.iter().zip(&golden.scales).enumerate() {
        let loss = clip.loss(&pair).unwrap();
        let got = f64::from(loss.to_scalar::<f32>().unwrap());
        worst = worst.max((got / want - 1.0).abs());
        assert!((got / want - 1.0).abs() <= 1e-4, "step {step}: {got} {want}");
        let gradients = clip.backward(&loss).unwrap();
        let norm = optimizer.norm(&gradients).unwrap();
        optimizer.step(&gradients, golden.rate, norm, Some(golden.clip_norm)).unwrap();
        let state = clip.state();
        let scale = &state.iter().find(|(name, _)| name == "logit_scale").unwrap().1;
        let scale = f64::from(scale.to_scalar::<f32>().unwrap());
        assert!((scale / want_scale - 1.0).abs() <= 1e-5, "step {step}: {scale} {want_scale}");
    }
    println!("{worst:.1e} at worst");
}

#[test]
fn captions_of_one_image_are_no_counterexamples() {
    let case: Case = json("clip/hf_quick/case.json");
    let (clip, texts) = (clip(), &case.tokens[..2]);
    let loss = |shown: &[usize]| {
        let images = images(&[0, 0]);
        clip.loss(&Pair { images: &images, texts, shown }).unwrap().to_scalar::<f32>().unwrap()
    };
    // Nothing to tell apart; of two images that look alike no caption can be told.
    assert!(loss(&[4, 4]).abs() < 1e-6);
    assert!(loss(&[4, 5]) > 0.3);
}
