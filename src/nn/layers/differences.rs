//! Gradients against central differences.

use candle_core::{Result, Tensor};

use crate::nn::gradient::{Weight, backward};
use crate::nn::layers::source::{Init, Source};
use candle_core::{DType, Device};

/// A weight of seeded normal numbers that trains: also what a layer is tried on.
pub(super) fn weight(seed: u64, shape: &[usize]) -> Weight {
    Source::random(seed, &Device::Cpu, DType::F32, true)
        .weight("x", shape, Init::Normal(1.0))
        .unwrap()
}

/// Compares the gradients of `sum(f() * wave)` by some weights with `(f(w + h) - f(w - h)) / 2h`,
/// for up to 40 numbers of each, evenly spread.
pub(super) fn check(weights: &[(&str, &Weight)], f: impl Fn() -> Result<Tensor>) {
    let value = || {
        let out = f().unwrap();
        let count = out.elem_count();
        let wave: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37 + 0.2).sin()).collect();
        let wave = Tensor::from_vec(wave, count, &Device::Cpu).unwrap();
        (out.flatten_all().unwrap() * wave).unwrap().sum_all().unwrap()
    };
    let grads = backward(&value(), weights.iter().map(|(_, weight)| *weight)).unwrap();
    for (name, weight) in weights {
        let grad = grads.get(weight.tensor()).unwrap_or_else(|| panic!("{name} has no gradient"));
        assert_eq!(grad.dims(), weight.tensor().dims(), "{name}");
        let grad = grad.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let numbers = weight.tensor().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let step = 1e-2_f32;
        let largest = grad.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
        assert!(largest > 0.0, "{name}: a gradient of zeros shows nothing");
        for i in (0..numbers.len()).step_by(numbers.len().div_ceil(40)) {
            let at = |x: f32| {
                let mut moved = numbers.clone();
                moved[i] = x;
                let shape = weight.tensor().shape();
                weight.set(&Tensor::from_vec(moved, shape, &Device::Cpu).unwrap()).unwrap();
                f64::from(value().to_scalar::<f32>().unwrap())
            };
            let want = (at(numbers[i] + step) - at(numbers[i] - step)) / f64::from(2.0 * step);
            at(numbers[i]);
            let off = (f64::from(grad[i]) - want).abs();
            assert!(off < 4e-3 * f64::from(largest).max(0.25), "{name}[{i}]: {} {want}", grad[i]);
        }
    }
}
