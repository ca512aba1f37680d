//! Features a second of a model: `cargo bench --bench encode -- FOLDER DTYPE BATCHES SECONDS
//! [DEVICE]`, where the folder is Hugging Face's, batches are a list such as `1,8,32`, and with
//! `texts=FILE` in place of batches the lines of a file are embedded once. The device is `cpu`
//! where none is said.
//!
//! Prints `batch images/s` of the median call after one call to warm up. A call takes images as a
//! run hands them over, as levels in memory, and gives features in memory.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::string_slice,
    reason = "a bench fails by panicking"
)]

use std::hint::black_box;
use std::time::Instant;

use clipmill::embed::{ImageEncoder, TextEncoder};
use clipmill::plan::model::{DeviceChoice, Dtype, ModelFiles, ModelSpec};

/// Pseudo-random levels.
fn levels(count: usize) -> Vec<u8> {
    let mut state = 12_345_u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [folder, dtype, batches, seconds, device @ ..] = args.as_slice() else {
        println!("skipped: expected FOLDER DTYPE BATCHES SECONDS [DEVICE]");
        return;
    };
    let dtype = [Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::Int8]
        .into_iter()
        .find(|of| of.name() == dtype)
        .unwrap();
    let files = ModelFiles::HuggingFace { folder: folder.into() };
    let model = ModelSpec {
        name: "bench".into(),
        files,
        dtype,
        device: device.first().map_or(DeviceChoice::Cpu, |name| name.parse().unwrap()),
        trained_by: None,
        awaits_training: false,
    };
    let seconds: f64 = seconds.parse().unwrap();
    if let Some(file) = batches.strip_prefix("texts=") {
        return texts(&model, file);
    }
    let encoder = ImageEncoder::load(&model).unwrap();
    let side = encoder.preprocessing().size_px as usize;
    for rows in batches.split(',').map(|rows| rows.parse::<usize>().unwrap()) {
        let batch = levels(rows * 3 * side * side);
        encoder.encode_levels(&batch, rows).unwrap();
        let start = Instant::now();
        let mut calls = Vec::new();
        while calls.len() < 3 || start.elapsed().as_secs_f64() < seconds {
            let call = Instant::now();
            black_box(encoder.encode_levels(&batch, rows).unwrap());
            calls.push(call.elapsed().as_secs_f64());
        }
        calls.sort_by(f64::total_cmp);
        println!("{rows} {:.2}", rows as f64 / calls[calls.len() / 2]);
    }
}

fn texts(model: &ModelSpec, file: &str) {
    let encoder = TextEncoder::load(model).unwrap();
    let bytes = clipmill::base::files::read_text_capped(file.as_ref(), 1 << 30).unwrap();
    let lines: Vec<&str> = bytes.lines().collect();
    encoder.encode(&lines[..8.min(lines.len())]).unwrap();
    let start = Instant::now();
    for batch in lines.chunks(256) {
        black_box(encoder.encode(batch).unwrap());
    }
    println!("texts {:.2}", lines.len() as f64 / start.elapsed().as_secs_f64());
}
