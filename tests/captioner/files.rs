//! The forms that files of GPT-2 have had.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use clipmill::nn::gpt2::Gpt2;

use crate::off;

fn files(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gpt2_files").join(name)
}

/// The form `name` gives transformers' logits, and has or has not a head of its own.
fn check(name: &str, tied: bool) {
    let text = std::fs::read_to_string(files("logits.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let ids: Vec<Vec<u32>> = serde_json::from_value(golden["ids"].clone()).unwrap();
    let want: Vec<Vec<f32>> = serde_json::from_value(golden["last"][name].clone()).unwrap();
    let ids = Tensor::new(ids, &Device::Cpu).unwrap();
    let want = Tensor::new(want, &Device::Cpu).unwrap();
    for trainable in [false, true] {
        let gpt2 = Gpt2::load(&files(name), &Device::Cpu, DType::F32, trainable).unwrap();
        assert_eq!(gpt2.config().tied, tied, "{name}");
        let heads = gpt2.weights().iter().filter(|(name, _)| name == "lm_head.weight").count();
        assert_eq!(heads, usize::from(!tied), "{name}");
        let hidden = gpt2.hidden(&gpt2.embed(&ids).unwrap(), None, None).unwrap();
        let last = hidden.narrow(1, 6, 1).unwrap().squeeze(1).unwrap().contiguous().unwrap();
        let off = off(&gpt2.logits(&last).unwrap(), &want);
        assert!(off <= 1e-4, "{name}: {off}");
    }
}

#[test]
fn a_head_of_its_own_is_taken() {
    check("untied", false);
}

#[test]
fn names_may_lack_their_prefix() {
    check("bare", true);
}

#[test]
fn the_container_before_1_6_is_read_and_masks_in_it_are_left() {
    check("legacy", true);
}

#[test]
fn all_of_that_at_once() {
    check("legacy_bare_untied", false);
}

#[test]
fn a_head_of_its_own_trains_apart_from_the_token_table() {
    let gpt2 = Gpt2::load(&files("untied"), &Device::Cpu, DType::F32, true).unwrap();
    let ids = Tensor::new(&[[3_u32, 14, 15]], &Device::Cpu).unwrap();
    let hidden = gpt2.hidden(&gpt2.embed(&ids).unwrap(), None, None).unwrap();
    let targets = Tensor::new(&[14_u32, 15, 9], &Device::Cpu).unwrap();
    let loss = gpt2.loss(&hidden.squeeze(0).unwrap(), &targets).unwrap();
    let weights = gpt2.weights();
    let grads = clipmill::nn::gradient::backward(&loss, weights.iter().map(|(_, w)| w)).unwrap();
    let of = |name: &str| {
        let (_, weight) = weights.iter().find(|(of, _)| of == name).unwrap();
        grads.get(weight.tensor()).unwrap().to_vec2::<f32>().unwrap()
    };
    let (table, head) = (of("transformer.wte.weight"), of("lm_head.weight"));
    let moves = |rows: &[Vec<f32>], id: usize| rows[id].iter().any(|g| *g != 0.0);
    // Only what was read has a gradient in the table; in the head every token has one.
    assert!(moves(&table, 3) && !moves(&table, 9));
    assert!((0..31).all(|id| moves(&head, id)));
}
