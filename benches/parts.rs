//! The parts of the main job, each alone: `cargo bench --bench parts [FILTER]`. What is measured is
//! made here: a drawn photo, a CLIP of one block as wide as ViT-B/32's, with random weights.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench fails by panicking"
)]

use std::path::PathBuf;
use std::sync::{LazyLock, Once, OnceLock};

use clipmill::base::Digest;
use clipmill::decode::{
    Limits, Orientation, decode, decode_for, encode_jpeg, preprocess_u8, probe, scale_into,
};
use clipmill::embed::{ImageEncoder, TextEncoder};
use clipmill::flow::{Pixels, Preprocessing};
use clipmill::nn::clip::{ClipConfig, write_random};
use clipmill::plan::model::{DeviceChoice, Dtype, ModelFiles, ModelSpec};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use tempfile::TempDir;

fn main() {
    let folder = TempDir::new().unwrap();
    MODEL.set(folder.path().to_owned()).unwrap();
    divan::main();
}

/// A photo of 500 by 375 pixels as JPEG, with shades, edges and some noise.
static PHOTO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (width, height) = (500_u32, 375_u32);
    let mut state = 1_u32;
    let data = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 28) as u8;
            let edge = if (x / 40 + y / 25) % 3 == 0 { 60 } else { 0 };
            [(x / 4) as u8 + noise, (y / 3) as u8 + edge, ((x + y) / 8) as u8 + edge / 2 + noise]
        })
        .collect();
    encode_jpeg(&Pixels { width_px: width, height_px: height, data }, 85).unwrap()
});

const TEXTS: [&str; 4] = [
    "Two young guys with shaggy hair look at their hands while hanging out in the yard .",
    "A man in a blue shirt is standing on a ladder cleaning a window .",
    "A dog runs .",
    "Several men in hard hats are operating a giant pulley system .",
];

/// Where a CLIP of one block, of ViT-B/32's sizes, is written when it is first asked for.
static MODEL: OnceLock<PathBuf> = OnceLock::new();

fn write_model() -> PathBuf {
    static WRITTEN: Once = Once::new();
    let folder = MODEL.get().unwrap();
    let config = ClipConfig {
        size_px: 224,
        patch_px: 32,
        image_width: 768,
        image_layers: 1,
        text_width: 512,
        text_layers: 1,
        width: 512,
        ..ClipConfig::default()
    };
    WRITTEN.call_once(|| write_random(folder, &config, 1, &TEXTS).unwrap());
    folder.clone()
}

fn model(dtype: Dtype) -> ModelSpec {
    ModelSpec {
        name: "bench".into(),
        files: ModelFiles::HuggingFace { folder: write_model() },
        dtype,
        device: DeviceChoice::Cpu,
        trained_by: None,
        awaits_training: false,
    }
}

#[divan::bench]
fn photo_digest(bencher: Bencher) {
    let bytes = BytesCount::new(PHOTO.len());
    bencher.counter(bytes).bench_local(|| Digest::of(black_box(&PHOTO)));
}

#[divan::bench]
fn photo_header(bencher: Bencher) {
    let limits = Limits::default();
    bencher.bench_local(|| probe(black_box(&PHOTO), &limits).unwrap());
}

/// All of it.
#[divan::bench]
fn photo_decoded(bencher: Bencher) {
    let (bytes, limits) = (BytesCount::new(PHOTO.len()), Limits::default());
    bencher
        .counter(bytes)
        .bench_local(|| decode(black_box(&PHOTO), &limits, Orientation::Ignore).unwrap());
}

/// As much of it as a model of 224 pixels sees.
#[divan::bench]
fn photo_decoded_for_a_model(bencher: Bencher) {
    let (limits, p) = (Limits::default(), [Preprocessing::clip(224)]);
    bencher
        .bench_local(|| decode_for(black_box(&PHOTO), &limits, Orientation::Ignore, &p).unwrap());
}

/// Resized and cropped.
#[divan::bench]
fn photo_resized(bencher: Bencher) {
    let p = Preprocessing::clip(224);
    let pixels = decode(&PHOTO, &Limits::default(), Orientation::Ignore).unwrap();
    bencher.bench_local(|| preprocess_u8(black_box(&pixels), &p));
}

/// Levels to a model's numbers.
#[divan::bench]
fn photo_normalised(bencher: Bencher) {
    let p = Preprocessing::clip(224);
    let pixels = decode(&PHOTO, &Limits::default(), Orientation::Ignore).unwrap();
    let levels = preprocess_u8(&pixels, &p);
    let mut out = vec![0.0; levels.data.len()];
    bencher.bench_local(|| scale_into(black_box(&levels.data), &p.scale(), &mut out).unwrap());
}

fn images(bencher: Bencher, dtype: Dtype, rows: usize) {
    let encoder = ImageEncoder::load(&model(dtype)).unwrap();
    let levels: Vec<u8> = (0..rows * 3 * 224 * 224).map(|i| (i % 251) as u8).collect();
    bencher
        .counter(ItemsCount::new(rows))
        .bench_local(|| encoder.encode_levels(black_box(&levels), rows).unwrap());
}

#[divan::bench(args = [1, 8, 32])]
fn one_block_images_f32(bencher: Bencher, rows: usize) {
    images(bencher, Dtype::F32, rows);
}

#[divan::bench(args = [1, 8, 32])]
fn one_block_images_int8(bencher: Bencher, rows: usize) {
    images(bencher, Dtype::Int8, rows);
}

#[divan::bench(args = [1, 64])]
fn one_block_texts_f32(bencher: Bencher, rows: usize) {
    let encoder = TextEncoder::load(&model(Dtype::F32)).unwrap();
    let texts: Vec<&str> = TEXTS.into_iter().cycle().take(rows).collect();
    bencher
        .counter(ItemsCount::new(rows))
        .bench_local(|| encoder.encode(black_box(&texts)).unwrap());
}

#[divan::bench]
fn tokens_of_64_texts(bencher: Bencher) {
    let encoder = TextEncoder::load(&model(Dtype::F32)).unwrap();
    let texts: Vec<&str> = TEXTS.into_iter().cycle().take(64).collect();
    bencher
        .counter(ItemsCount::new(64_usize))
        .bench_local(|| encoder.token_ids(black_box(&texts)).unwrap());
}
