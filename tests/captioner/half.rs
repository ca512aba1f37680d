//! Training that computes in half precision, with weights and optimiser in f32.
//!
//! Candle multiplies bf16 on a GPU only: on the processor it goes through this house's own products,
//! and f16 through the operators that a GPU has.

use candle_core::{DType, Device};
use clipmill::nn::captioner::{Batch, Captioner};
use clipmill::plan::model::Dtype;
use clipmill::train::adamw::AdamW;

use crate::{case, checkpoint, gpt2};

/// Losses of ten steps over one batch.
fn losses(dtype: DType, device: &Device) -> Vec<f32> {
    let (_, case) = case("mlp");
    let config = *gpt2(false).config();
    let placed = (device, dtype, true);
    let captioner =
        Captioner::from_checkpoint(&checkpoint("mlp"), Some(&config), None, placed).unwrap();
    let parameters = captioner.parameters();
    assert!(parameters.iter().all(|(_, var)| var.dtype() == DType::F32), "master weights");
    let mut optimizer = AdamW::new(parameters, 0.01).unwrap();
    let examples = &case.batches[0];
    let captions: Vec<&[u32]> = examples.tokens.iter().map(Vec::as_slice).collect();
    let batch = Batch::new(&examples.features(), &captions, 0, device).unwrap();
    (0..10)
        .map(|_| {
            let loss = captioner.loss(&batch, None).unwrap();
            let gradients = captioner.backward(&loss).unwrap();
            let norm = optimizer.norm(&gradients).unwrap();
            optimizer.step(&gradients, 1e-3, norm, Some(1.0)).unwrap();
            captioner.recycle(gradients);
            loss.to_scalar::<f32>().unwrap()
        })
        .collect()
}

/// Compares the losses with those in f32; how many of them differ.
fn near(dtype: DType, device: &Device, tolerance: f32) -> usize {
    let (half, whole) = (losses(dtype, device), losses(DType::F32, &Device::Cpu));
    assert!(half[9] < 0.95 * half[0], "{half:?}");
    for (half, whole) in half.iter().zip(&whole) {
        assert!((half / whole - 1.0).abs() < tolerance, "{half} {whole}");
    }
    half.iter().zip(&whole).filter(|(half, whole)| half != whole).count()
}

#[test]
fn steps_in_f16_lower_the_loss_and_stay_near_those_in_f32() {
    assert!(near(DType::F16, &Device::Cpu, 5e-3) > 5);
}

#[test]
fn steps_in_bf16_do_so_on_the_processor() {
    match clipmill::nn::device::training_dtype(Dtype::Bf16, &Device::Cpu) {
        Ok(dtype) => {
            let differ = near(dtype, &Device::Cpu, 2e-3);
            assert!(differ > 5, "{differ} of ten losses: nothing was rounded");
        }
        Err(error) => eprintln!("skipped: {error}"),
    }
}

#[test]
fn steps_in_bf16_do_so_on_a_gpu() {
    match Device::new_cuda(0) {
        Ok(device) => assert!(near(DType::BF16, &device, 3e-2) > 5),
        Err(error) => eprintln!("skipped: no GPU ({error})"),
    }
}
