//! CLIP: parity with PyTorch, with candle-transformers, and of a row with itself in other company.
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

#[path = "clip/alone.rs"]
mod alone;
#[path = "clip/gpu.rs"]
mod gpu;
#[path = "clip/odd_weights.rs"]
mod odd_weights;
#[path = "clip/parity.rs"]
mod parity;
#[path = "clip/plain_tower.rs"]
mod plain_tower;
#[path = "clip/refusals.rs"]
mod refusals;
#[path = "clip/sizes.rs"]
mod sizes;
#[path = "clip/tokens.rs"]
mod tokens;

use std::path::Path;

use clipmill::nn::clip::{ClipConfig, write_random};
use clipmill::plan::model::{DeviceChoice, Dtype, ModelFiles, ModelSpec};

const CAPTIONS: [&str; 6] = [
    "A red circle above a blue square .",
    "two dogs on grass",
    "",
    "Zwei Hunde 🐕🐶 spielen – naïve café",
    "两只狗在草地上奔跑。",
    "the the the the the the the the the the the the the the the the the the the the the the the \
     the the the the the the the the the the the the the the the the the the the the the the the \
     the the the the the the the the the the the the the the the the the the the the the the the \
     the the the the the the the the the the the the the the the the the the the the the the the",
];

/// Where features are compared with the reference's: the processor, or what
/// `CLIPMILL_TEST_DEVICE` says, such as `cuda`.
fn device() -> DeviceChoice {
    let device = std::env::var("CLIPMILL_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    device.parse().unwrap_or_else(|what| panic!("CLIPMILL_TEST_DEVICE is `{device}`: {what}"))
}

fn spec(files: ModelFiles) -> ModelSpec {
    ModelSpec {
        name: "clip".into(),
        files,
        dtype: Dtype::F32,
        device: DeviceChoice::Cpu,
        trained_by: None,
        awaits_training: false,
    }
}

fn random_clip(folder: &Path, config: &ClipConfig) -> ModelSpec {
    write_random(folder, config, 7, &CAPTIONS).unwrap();
    spec(ModelFiles::HuggingFace { folder: folder.to_owned() })
}

/// Images of a pattern, as decode would hand them over.
fn images(rows: usize, side: usize) -> Vec<f32> {
    (0..rows * 3 * side * side)
        .map(|i| {
            let i = u32::try_from(i).unwrap().wrapping_mul(2_654_435_761) >> 8;
            f32::from(u16::try_from(i % 4001).unwrap()) / 1000.0 - 2.0
        })
        .collect()
}

/// The largest difference as a share of the norm, over all rows.
fn largest_difference(ours: &[f32], theirs: &[f32], width: usize) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    ours.chunks(width)
        .zip(theirs.chunks(width))
        .map(|(a, b)| {
            let norm = b.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, f64::max)
                / norm
        })
        .fold(0.0, f64::max)
}
