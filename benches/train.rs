//! Steps of training a captioner of a GPT-2 small and an mlp mapper, batch 8, 10 + 20 tokens, f32:
//! `cargo bench --bench train -- FOLDER fine-tune|frozen`, and benches/peers/train.py for PyTorch.
//!
//! FOLDER is a GPT-2 as transformers writes it. Prints the median step in seconds, and the most
//! memory that the process had resident, in MB.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a measurement fails by panicking and prints what it found"
)]

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use clipmill::base::files::read_text_capped;
use clipmill::nn::captioner::{Batch, Captioner};
use clipmill::nn::gpt2::Gpt2;
use clipmill::nn::mapper::{Mapper, MapperConfig, MapperKind};
use clipmill::train::adamw::AdamW;

const ROWS: usize = 8;
const TOKENS: usize = 20;
const CLIP_WIDTH: usize = 512;
const STEPS: usize = 8;

fn peak_mb() -> f64 {
    let status = read_text_capped("/proc/self/status".as_ref(), 1 << 20).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [folder, mode] = args.as_slice() else {
        println!("skipped: expected FOLDER fine-tune|frozen");
        return;
    };
    let device = Device::Cpu;
    let gpt2 = Gpt2::load(folder.as_ref(), &device, DType::F32, mode == "fine-tune").unwrap();
    let sizes = MapperConfig::new(MapperKind::Mlp, CLIP_WIDTH, 10, gpt2.config().width);
    let vocabulary = gpt2.config().vocabulary;
    let mapper = Mapper::new(sizes, 2, &device).unwrap();
    let captioner = Captioner { gpt2, mapper, normalize_prefix: false };
    let mut optimizer = AdamW::new(captioner.parameters(), 0.01).unwrap();
    let mut seconds = Vec::new();
    for step in 0..STEPS {
        let features: Vec<f32> =
            (0..ROWS * CLIP_WIDTH).map(|i| ((step * 31 + i) as f32).sin()).collect();
        let features = Tensor::from_vec(features, (ROWS, CLIP_WIDTH), &device).unwrap();
        let token = |row, at| ((step * 7919 + row * 331 + at * 17) % vocabulary) as u32;
        let captions: Vec<Vec<u32>> =
            (0..ROWS).map(|row| (0..TOKENS).map(|at| token(row, at)).collect()).collect();
        let captions: Vec<&[u32]> = captions.iter().map(Vec::as_slice).collect();
        let begun = Instant::now();
        let batch = Batch::new(&features, &captions, 0, &device).unwrap();
        let loss = captioner.loss(&batch, None).unwrap();
        let gradients = captioner.backward(&loss).unwrap();
        let norm = optimizer.norm(&gradients).unwrap();
        optimizer.step(&gradients, 2e-5, norm, None).unwrap();
        captioner.recycle(gradients);
        assert!(loss.to_scalar::<f32>().unwrap().is_finite());
        seconds.push(begun.elapsed().as_secs_f64());
    }
    // The first makes what the others find.
    let steps = &mut seconds[1..];
    steps.sort_by(f64::total_cmp);
    println!("step {:.3}", steps[steps.len() / 2]);
    println!("peak {:.0}", peak_mb());
}
