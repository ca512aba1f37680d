//! GPT-2's logits, and what the mappers make, beside PyTorch's.

use candle_core::{DType, Tensor};
use clipmill::nn::gpt2::Gpt2;
use clipmill::nn::weights::Weights;

use crate::{case, device, golden, gpt2, off, tensor};

fn logits(gpt2: &Gpt2, ids: &Tensor, mask: Option<&Tensor>) -> Tensor {
    let embeds = gpt2.embed(ids).unwrap();
    gpt2.logits(&gpt2.hidden(&embeds, mask, None).unwrap()).unwrap()
}

/// Differences where there is no padding.
fn off_where(a: &Tensor, b: &Tensor, mask: &Tensor) -> f32 {
    let mask = mask.unsqueeze(2).unwrap().broadcast_as(a.shape()).unwrap();
    off(&(a * &mask).unwrap(), &(b * &mask).unwrap())
}

#[test]
fn logits_are_pytorchs_whole_and_padded_on_either_side() {
    let file = Weights::open(&golden("logits.safetensors")).unwrap();
    let ids = tensor(&file, "ids").to_dtype(DType::U32).unwrap();
    // Also with weights that train: the numbers must not depend on it.
    for gpt2 in [gpt2(false), gpt2(true)] {
        let whole = off(&logits(&gpt2, &ids, None), &tensor(&file, "logits_whole"));
        assert!(whole <= 1e-4, "whole: {whole}");
        for side in ["right", "left"] {
            let mask = tensor(&file, side);
            let want = tensor(&file, &format!("logits_{side}"));
            let off = off_where(&logits(&gpt2, &ids, Some(&mask)), &want, &mask);
            assert!(off <= 1e-4, "{side}: {off}");
        }
    }
}

#[test]
fn candles_operators_in_f64_give_them_too() {
    let file = Weights::open(&golden("logits.safetensors")).unwrap();
    let ids = tensor(&file, "ids").to_dtype(DType::U32).unwrap();
    let gpt2 = Gpt2::load(&golden("gpt2"), &device(), DType::F64, false).unwrap();
    let off = off(&logits(&gpt2, &ids, None), &tensor(&file, "logits_whole"));
    assert!(off <= 1e-4, "{off}");
}

#[test]
fn a_sum_of_losses_is_that_of_logits() {
    let file = Weights::open(&golden("logits.safetensors")).unwrap();
    let ids = tensor(&file, "ids").to_dtype(DType::U32).unwrap();
    let gpt2 = gpt2(false);
    let hidden = gpt2.hidden(&gpt2.embed(&ids).unwrap(), None, None).unwrap();
    let hidden = hidden.narrow(1, 0, 8).unwrap().reshape((24, ())).unwrap();
    let targets = ids.narrow(1, 1, 8).unwrap().flatten_all().unwrap();
    let ours = gpt2.loss(&hidden, &targets).unwrap().to_scalar::<f32>().unwrap();
    let logits = tensor(&file, "logits_whole").narrow(1, 0, 8).unwrap();
    let logits = logits.reshape((24, ())).unwrap();
    let theirs = candle_nn::loss::cross_entropy(&logits, &targets).unwrap();
    assert!((ours - theirs.to_scalar::<f32>().unwrap()).abs() < 1e-5);
}

#[test]
fn every_mapper_is_pytorchs() {
    for kind in ["mlp", "transformer", "bert"] {
        let (captioner, case) = case(kind);
        let file = Weights::open(&golden(&format!("mapped_{kind}.safetensors"))).unwrap();
        let mapped = captioner.prefix(&case.batches[0].features()).unwrap();
        assert_eq!(mapped.dims(), [3, case.prefix_length, 32]);
        let off = off(&mapped, &tensor(&file, "mapped"));
        assert!(off <= 1e-4, "{kind}: {off}");
    }
}

#[test]
fn features_of_any_length_give_one_prefix_where_they_are_normalised() {
    let (mut captioner, case) = case("mlp");
    captioner.normalize_prefix = true;
    let features = case.batches[0].features();
    let longer = (&features * 7.0).unwrap();
    let mapped = |x: &Tensor| captioner.prefix(x).unwrap();
    assert!(off(&mapped(&features), &mapped(&longer)) < 1e-5);
    let norm = features.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap();
    let unit = features.broadcast_div(&norm).unwrap();
    let by_hand = captioner.mapper.forward(&unit).unwrap();
    assert!(off(&mapped(&features), &by_hand) < 1e-6);
}
