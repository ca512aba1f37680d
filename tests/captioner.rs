//! Captioners: GPT-2 and mapping networks against PyTorch, checkpoints of both projects, and
//! the vocabularies that GPT-2s come with.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

#[path = "captioner/cache.rs"]
mod cache;
#[path = "captioner/checkpoints.rs"]
mod checkpoints;
#[path = "captioner/codec.rs"]
mod codec;
#[path = "captioner/dropout.rs"]
mod dropout;
#[path = "captioner/files.rs"]
mod files;
#[path = "captioner/half.rs"]
mod half;
#[path = "captioner/logits.rs"]
mod logits;
#[path = "captioner/steps.rs"]
mod steps;

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use clipmill::nn::captioner::Captioner;
use clipmill::nn::gpt2::Gpt2;
use clipmill::nn::weights::Weights;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/captioner").join(name)
}

/// Where numbers are compared with PyTorch's: the processor, or what `CLIPMILL_TEST_DEVICE` says,
/// such as `cuda`.
fn device() -> Device {
    let name = std::env::var("CLIPMILL_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    let choice = name.parse().unwrap_or_else(|what| panic!("CLIPMILL_TEST_DEVICE: {what}"));
    clipmill::nn::device::open(choice).unwrap().device
}

fn gpt2(trainable: bool) -> Gpt2 {
    Gpt2::load(&golden("gpt2"), &device(), DType::F32, trainable).unwrap()
}

fn tensor(weights: &Weights, name: &str) -> Tensor {
    weights.tensor(name, DType::F32, &device()).unwrap()
}

/// One checkpoint of those that the golden script saved, and what it wrote of it.
fn case(kind: &str) -> (Captioner, Case) {
    let text = std::fs::read_to_string(golden(&format!("steps_{kind}.json"))).unwrap();
    let case: Case = serde_json::from_str(&text).unwrap();
    let weights = checkpoint(kind);
    let config = *gpt2(false).config();
    let placed = (&device(), DType::F32, !case.freeze);
    let captioner = Captioner::from_checkpoint(&weights, Some(&config), None, placed).unwrap();
    (captioner, case)
}

fn checkpoint(kind: &str) -> Weights {
    let name = if kind == "bert" { "safetensors" } else { "pt" };
    Weights::open(&golden(&format!("steps_{kind}.{name}"))).unwrap()
}

#[derive(Debug, serde::Deserialize)]
struct Case {
    mapper: String,
    freeze: bool,
    prefix_length: usize,
    clip_width: usize,
    constant_length: Option<usize>,
    layers: Option<usize>,
    weight_decay: f64,
    betas: [f64; 2],
    epsilon: f64,
    learning_rates: Vec<f64>,
    losses: Vec<f64>,
    batches: Vec<Examples>,
    greedy: Vec<Vec<u32>>,
}

#[derive(Debug, serde::Deserialize)]
struct Examples {
    features: Vec<Vec<f32>>,
    tokens: Vec<Vec<u32>>,
}

impl Examples {
    fn features(&self) -> Tensor {
        Tensor::new(self.features.clone(), &device()).unwrap()
    }
}

/// The largest difference.
fn off(a: &Tensor, b: &Tensor) -> f32 {
    let a = a.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
    let b = b.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
    (a - b).unwrap().abs().unwrap().max(0).unwrap().to_scalar().unwrap()
}
