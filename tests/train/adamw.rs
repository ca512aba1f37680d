//! Steps of `torch.optim.AdamW` (`tests/golden/adamw.py`).

use std::path::Path;

use candle_core::{Device, Tensor, Var};
use clipmill::train::adamw::AdamW;
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

#[test]
fn steps_are_those_of_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/adamw/steps.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let names = ["a", "b"];
    let shape = |name: &str| -> Vec<usize> {
        golden["shapes"][name]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap() as usize)
            .collect()
    };
    let weights: Vec<Var> = names
        .iter()
        .map(|name| {
            Var::from_vec(numbers(&golden["begin"][name]), shape(name), &Device::Cpu).unwrap()
        })
        .collect();
    let named = || names.iter().map(|n| (*n).to_owned()).zip(weights.iter().cloned());
    let decay = golden["weight_decay"].as_f64().unwrap();
    let mut optimizer = AdamW::new(named(), decay).unwrap();
    for (number, step) in golden["steps"].as_array().unwrap().iter().enumerate() {
        if number == 11 {
            // A checkpoint in between changes nothing.
            let kept = optimizer.state();
            let get =
                |name: &str| Ok(kept.iter().find(|(known, _)| known == name).unwrap().1.clone());
            optimizer = AdamW::restored(named(), decay, number as u64, get).unwrap();
            assert_eq!(optimizer.steps(), number as u64);
        }
        let mut gradients = Tensor::new(0f32, &Device::Cpu).unwrap().backward().unwrap();
        for (name, weight) in named() {
            let gradient =
                Tensor::from_vec(numbers(&step["gradients"][&name]), weight.shape(), &Device::Cpu);
            gradients.insert(&weight, gradient.unwrap());
        }
        let norm = optimizer.norm(&gradients).unwrap();
        let expected = step["norm"].as_f64().unwrap();
        assert!((norm - expected).abs() < 1e-5 * expected, "{norm} {expected}");
        let rate = step["rate"].as_f64().unwrap();
        optimizer.step(&gradients, rate, norm, golden["clip_norm"].as_f64()).unwrap();
        for (name, weight) in named() {
            let ours = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (ours, theirs) in ours.iter().zip(numbers(&step["weights"][&name])) {
                assert!((ours - theirs).abs() < 2e-6, "step {number}, {name}: {ours} {theirs}");
            }
        }
    }
}
