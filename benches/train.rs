//! Steps of training a captioner of a GPT-2 small and an mlp mapper, 10 + 20 tokens, or a CLIP, with
//! texts of 20 tokens: `cargo bench --bench train -- FOLDER fine-tune|frozen|clip [DEVICE DTYPE ROWS]`, and
//! benches/peers/train.py for PyTorch. Without the last three on the processor, in f32, of 8 rows.
//!
//! FOLDER is a GPT-2 or a CLIP as transformers writes it. Prints the median step in seconds, tokens of
//! captions a second, and the most memory that the process had resident, in MB (`host` beside a GPU).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a measurement fails by panicking and prints what it found"
)]

use std::path::Path;
use std::time::Instant;

use candle_core::{Device, Tensor};
use clipmill::base::files::read_text_capped;
use clipmill::nn::captioner::{Batch, Captioner};
use clipmill::nn::clip::hugging_face_config;
use clipmill::nn::contrastive::{Pair, TrainableClip};
use clipmill::nn::device;
use clipmill::nn::gpt2::Gpt2;
use clipmill::nn::mapper::{Mapper, MapperConfig, MapperKind};
use clipmill::nn::weights::Weights;
use clipmill::plan::model::{DeviceChoice, Dtype};
use clipmill::train::adamw::AdamW;

const TOKENS: usize = 20;
const CLIP_WIDTH: usize = 512;

fn peak_mb() -> f64 {
    let status = read_text_capped("/proc/self/status".as_ref(), 1 << 20).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (folder, mode, device, dtype, rows) = match args.as_slice() {
        [folder, mode] => (folder, *mode, "cpu", "f32", 8),
        [folder, mode, device, dtype, rows] => {
            (folder, *mode, *device, *dtype, rows.parse().unwrap())
        }
        _ => {
            println!("skipped: expected FOLDER fine-tune|frozen|clip [DEVICE DTYPE ROWS]");
            return;
        }
    };
    let device = device::open(device.parse::<DeviceChoice>().unwrap()).unwrap().device;
    let dtype = [Dtype::F32, Dtype::Bf16].into_iter().find(|of| of.name() == dtype).unwrap();
    let dtype = device::training_dtype(dtype, &device).unwrap();
    let steps = if device.is_cpu() { 8 } else { 40 };
    if mode == "clip" {
        return told(clip(folder.as_ref(), &device, rows, steps), rows, &device);
    }
    let gpt2 = Gpt2::load(folder.as_ref(), &device, dtype, mode == "fine-tune").unwrap();
    let sizes = MapperConfig::new(MapperKind::Mlp, CLIP_WIDTH, 10, gpt2.config().width);
    let vocabulary = gpt2.config().vocabulary;
    let mapper = Mapper::new(sizes, 2, &device).unwrap();
    let captioner = Captioner { gpt2, mapper, normalize_prefix: false };
    let mut optimizer = AdamW::new(captioner.parameters(), 0.01).unwrap();
    let mut seconds = Vec::new();
    for step in 0..steps {
        let features: Vec<f32> =
            (0..rows * CLIP_WIDTH).map(|i| ((step * 31 + i) as f32).sin()).collect();
        let features = Tensor::from_vec(features, (rows, CLIP_WIDTH), &device).unwrap();
        let token = |row, at| ((step * 7919 + row * 331 + at * 17) % vocabulary) as u32;
        let captions: Vec<Vec<u32>> =
            (0..rows).map(|row| (0..TOKENS).map(|at| token(row, at)).collect()).collect();
        let captions: Vec<&[u32]> = captions.iter().map(Vec::as_slice).collect();
        let begun = Instant::now();
        let batch = Batch::new(&features, &captions, 0, &device).unwrap();
        let loss = captioner.loss(&batch, None).unwrap();
        let gradients = captioner.backward(&loss).unwrap();
        let norm = optimizer.norm(&gradients).unwrap();
        optimizer.step(&gradients, 2e-5, norm, None).unwrap();
        captioner.recycle(gradients);
        device.synchronize().unwrap();
        assert!(loss.to_scalar::<f32>().unwrap().is_finite());
        seconds.push(begun.elapsed().as_secs_f64());
    }
    told(seconds, rows, &device);
}

/// Seconds of each step of training a CLIP.
fn clip(folder: &Path, device: &Device, rows: usize, steps: usize) -> Vec<f64> {
    let config = read_text_capped(&folder.join("config.json"), 1 << 20).unwrap();
    let of = hugging_face_config(&config).unwrap();
    let weights = Weights::open(&folder.join("model.safetensors")).unwrap();
    let clip = TrainableClip::read(&weights, &of, device).unwrap();
    let mut optimizer = AdamW::new(clip.parameters(), 0.01).unwrap();
    let shown: Vec<usize> = (0..rows).collect();
    let numbers = rows * 3 * of.vision.size_px.pow(2);
    let step = |step: usize| {
        let images: Vec<f32> = (0..numbers).map(|i| ((step * 31 + i) as f32).sin()).collect();
        // The last has the highest id: it ends the text.
        let last = of.text.vocabulary - 1;
        let token = |row, at| if at + 1 == TOKENS { last } else { (row * 331 + at * 17) % last };
        let text = |row| (0..TOKENS).map(|at| token(step * 7919 + row, at) as u32).collect();
        let texts: Vec<Vec<u32>> = (0..rows).map(text).collect();
        let begun = Instant::now();
        let loss = clip.loss(&Pair { images: &images, texts: &texts, shown: &shown }).unwrap();
        let gradients = clip.backward_onto(&loss, None).unwrap();
        let norm = optimizer.norm(&gradients).unwrap();
        optimizer.step(&gradients, 1e-5, norm, None).unwrap();
        clip.recycle(gradients);
        device.synchronize().unwrap();
        assert!(loss.to_scalar::<f32>().unwrap().is_finite());
        begun.elapsed().as_secs_f64()
    };
    (0..steps).map(step).collect()
}

fn told(mut seconds: Vec<f64>, rows: usize, device: &Device) {
    // The first makes what the others find.
    let steps = &mut seconds[1..];
    steps.sort_by(f64::total_cmp);
    let step = steps[steps.len() / 2];
    println!("step {step:.4}");
    println!("tokens {:.0}", (rows * TOKENS) as f64 / step);
    let of_what = if device.is_cpu() { "peak" } else { "host" };
    println!("{of_what} {:.0}", peak_mb());
}
