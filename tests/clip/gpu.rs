//! A GPU beside the processor, over sizes of every kind: heads that fill a tile and that do not,
//! fewer tokens than one tile and more than four, and sizes that the kernels leave to candle.

use clipmill::embed::{ImageEncoder, TextEncoder};
use clipmill::flow::Vectors;
use clipmill::nn::clip::{Activation, ClipConfig};
use clipmill::plan::model::{DeviceChoice, Dtype, ModelSpec};

use super::{CAPTIONS, device, largest_difference, random_clip};

/// (side, patch, width, head, activation)
const SIZES: [(usize, usize, usize, usize, Activation); 9] = [
    (64, 16, 128, 64, Activation::QuickGelu),
    (56, 8, 128, 64, Activation::Gelu),
    (112, 8, 64, 32, Activation::GeluTanh),
    (96, 6, 128, 64, Activation::QuickGelu),
    (96, 6, 160, 80, Activation::Gelu),
    (56, 8, 176, 88, Activation::QuickGelu),
    (112, 8, 208, 104, Activation::Gelu),
    (64, 8, 256, 128, Activation::QuickGelu),
    (32, 8, 60, 20, Activation::QuickGelu),
];

fn levels(count: usize) -> Vec<u8> {
    let of = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
    (0..count).map(|i| of(u32::try_from(i).unwrap())).collect()
}

fn features(model: &ModelSpec, rows: usize) -> [Vectors; 2] {
    let images = ImageEncoder::load(model).unwrap();
    let side = images.preprocessing().size_px as usize;
    let images = images.encode_levels(&levels(rows * side * side * 3), rows).unwrap();
    let texts = TextEncoder::load(model).unwrap();
    [images, texts.encode(&CAPTIONS).unwrap()]
}

#[test]
fn a_gpu_gives_what_the_processor_gives() {
    if device() == DeviceChoice::Cpu {
        println!("skipped: CLIPMILL_TEST_DEVICE names no GPU");
        return;
    }
    for (number, (size_px, patch_px, width, head_width, activation)) in SIZES.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let config = ClipConfig {
            size_px: *size_px,
            patch_px: *patch_px,
            image_width: *width,
            image_layers: 2,
            text_width: *width,
            text_layers: 2,
            merges: 60,
            head_width: *head_width,
            activation: *activation,
            ..ClipConfig::default()
        };
        let model = random_clip(folder.path(), &config);
        // More than go up at once, of the smallest.
        let rows = if number == 0 { 300 } else { 3 };
        let on_processor = features(&model, rows);
        for (dtype, tolerance) in [(Dtype::F32, 1e-4), (Dtype::F16, 1e-2), (Dtype::Bf16, 6e-2)] {
            let model = ModelSpec { dtype, device: device(), ..model.clone() };
            for (ours, theirs) in features(&model, rows).iter().zip(&on_processor) {
                let off = largest_difference(&ours.data, &theirs.data, theirs.width);
                assert!(off < tolerance, "{config:?}, {dtype:?}: off by {off} of the norm");
            }
        }
    }
}
