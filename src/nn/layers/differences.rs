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

mod tests {
    use std::sync::Arc;

    use super::{check, weight};
    use crate::nn::gradient::{Weight, backward, backward_onto, recycle};
    use crate::nn::layers::source::Source;
    use crate::nn::layers::{
        Curve, Dropout, Embedding, Factors, Form, Init, Linear, Norm, Seen, attention,
        attention_onto, curve, entropy as entropy_by,
    };
    use candle_core::{DType, Device, Result, Tensor};

    fn source(seed: u64) -> Source<'static> {
        Source::random(seed, &Device::Cpu, DType::F32, true)
    }

    fn linear(source: &mut Source<'_>, form: Form, bias: bool) -> Linear {
        let bias = bias.then_some(Init::Normal(1.0));
        Linear::build(source, "l", form, (7, 5), bias, Init::Normal(0.5)).unwrap()
    }

    /// Both ways to compute agree: the kernels' in f32, and candle's operators' in f64.
    fn agree(f32_: &Tensor, f64_: &Tensor) {
        let f64_ = f64_.to_dtype(DType::F64).unwrap();
        let off = (f32_.to_dtype(DType::F64).unwrap() - f64_).unwrap().abs().unwrap();
        let off = off.flatten_all().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap();
        assert!(off < 2e-5, "{off}");
    }

    /// Value and gradient of `x`, of both.
    fn both(x: &Weight, f: impl Fn(&Tensor) -> Result<Tensor>) {
        let wide = x.tensor().to_dtype(DType::F64).unwrap();
        let (narrow, wide) = (f(x.tensor()).unwrap(), f(&wide).unwrap());
        agree(&narrow, &wide);
        let of = |out: &Tensor| {
            let loss = out.to_dtype(DType::F64).unwrap().sqr().unwrap().sum_all().unwrap();
            backward(&loss, [x]).unwrap().get(x.tensor()).unwrap().clone()
        };
        agree(&of(&narrow), &of(&wide));
    }

    #[test]
    fn linear_both_ways_round() {
        for (form, bias) in
            [(Form::InputFirst, true), (Form::OutputFirst, true), (Form::OutputFirst, false)]
        {
            let mut source = source(1);
            let layer = linear(&mut source, form, bias);
            let x = weight(2, &[2, 3, 7]);
            let given = source.given();
            let mut weights: Vec<(&str, &Weight)> =
                given.iter().map(|(name, weight)| (name.as_str(), weight)).collect();
            weights.push(("x", &x));
            check(&weights, || layer.forward(x.tensor()));
            both(&x, |x| layer.forward(x));
        }
    }

    #[test]
    fn linear_of_data_trains_and_of_a_strided_argument_too() {
        let mut source = source(3);
        let layer = linear(&mut source, Form::InputFirst, true);
        let given = source.given();
        let data = weight(4, &[7, 6]).tensor().detach().t().unwrap();
        let weights: Vec<(&str, &Weight)> =
            given.iter().map(|(name, weight)| (name.as_str(), weight)).collect();
        check(&weights, || layer.forward(&data));
    }

    #[test]
    fn what_is_frozen_has_no_gradient_and_no_graph() {
        let mut source = Source::random(5, &Device::Cpu, DType::F32, false);
        let layer = linear(&mut source, Form::InputFirst, true);
        let given = source.given();
        let x = weight(6, &[4, 7]);
        let out = layer.forward(x.tensor()).unwrap();
        let all = given.iter().map(|(_, weight)| weight).chain([&x]);
        let store = backward(&out.sqr().unwrap().sum_all().unwrap(), all).unwrap();
        assert!(store.get(x.tensor()).is_some());
        assert_eq!(store.get_ids().count(), 1, "of x alone");
        assert!(!layer.forward(&x.tensor().detach()).unwrap().track_op());
    }

    #[test]
    fn a_weight_used_twice_has_the_sum_and_a_second_pass_begins_anew() {
        let mut source = source(7);
        let layer = linear(&mut source, Form::OutputFirst, true);
        let given = source.given();
        let data = weight(8, &[4, 7]).tensor().detach();
        let all = || given.iter().map(|(_, weight)| weight);
        let loss = || layer.forward(&data).unwrap().sqr().unwrap().sum_all().unwrap();
        let once = backward(&loss(), all()).unwrap();
        let twice = backward(&(loss() + loss()).unwrap(), all()).unwrap();
        for weight in all() {
            let get = |store: &candle_core::backprop::GradStore| {
                store.get(weight.tensor()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            for (a, b) in get(&once).iter().zip(get(&twice)) {
                assert!((2.0 * a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} {b}");
            }
        }
    }

    #[test]
    fn gradients_add_up_where_they_lie_and_their_room_serves_again() {
        let mut source = source(12);
        let layer = linear(&mut source, Form::OutputFirst, true);
        let given = source.given();
        let data = weight(13, &[4, 7]).tensor().detach();
        let all = || given.iter().map(|(_, weight)| weight);
        let loss = || layer.forward(&data).unwrap().sqr().unwrap().sum_all().unwrap();
        let get = |store: &candle_core::backprop::GradStore| -> Vec<Vec<f32>> {
            let of = |weight: &Weight| store.get(weight.tensor()).unwrap().flatten_all().unwrap();
            all().map(|weight| of(weight).to_vec1::<f32>().unwrap()).collect()
        };
        let first = backward(&loss(), all()).unwrap();
        let once = get(&first);
        let both = backward_onto(&loss(), all(), Some(first)).unwrap();
        for (one, two) in once.iter().flatten().zip(get(&both).iter().flatten()) {
            assert!((2.0 * one - two).abs() <= 1e-5 * two.abs().max(1.0), "{one} {two}");
        }
        recycle(both, all());
        assert_eq!(get(&backward(&loss(), all()).unwrap()), once, "nothing of what was there");
    }

    #[test]
    fn a_graph_is_gone_through_once() {
        let mut source = source(9);
        let layer = linear(&mut source, Form::OutputFirst, true);
        let given = source.given();
        let data = weight(10, &[1, 7]).tensor().detach();
        let loss = layer.forward(&data).unwrap().sum_all().unwrap();
        let all = || given.iter().map(|(_, weight)| weight);
        backward(&loss, all()).unwrap();
        let error = backward(&loss, all()).unwrap_err().to_string();
        assert!(error.contains("before"), "{error}");
    }

    #[test]
    fn norm_of_more_rows_than_a_band_and_of_more_lanes() {
        for (rows, width) in [(37, 9), (3, 37)] {
            let mut source = source(11);
            let layer = Norm::build(&mut source, "n", width, 1e-5).unwrap();
            let given = source.given();
            given[0].1.set(weight(12, &[width]).tensor()).unwrap();
            let x = weight(13, &[rows, width]);
            check(&[("scale", &given[0].1), ("shift", &given[1].1), ("x", &x)], || {
                layer.forward(x.tensor())
            });
            both(&x, |x| layer.forward(x));
        }
    }

    #[test]
    fn every_curve() {
        let x = weight(14, &[5, 31]);
        for kind in [Curve::GeluNew, Curve::Gelu, Curve::QuickGelu, Curve::Tanh] {
            check(&[("x", &x)], || curve(x.tensor(), kind));
            both(&x, |x| curve(x, kind));
        }
        both(&x, |x| curve(x, Curve::Relu));
    }

    #[test]
    fn attention_causal_and_not_padded_and_not() {
        let x = weight(15, &[2, 5, 3 * 6]);
        let left = vec![false, false, true, true, true, true, true, true, true, true];
        for (causal, real) in
            [(false, None), (true, None), (false, Some(left.clone())), (true, Some(left))]
        {
            let seen = Seen { causal, real: real.map(Arc::new) };
            check(&[("qkv", &x)], || attention(x.tensor(), 2, &seen, None));
            // A query that sees nothing has zeros here and a mean of what is hidden there; nobody
            // looks at either.
            let kept = |out: Tensor| out.narrow(1, 2, 3);
            both(&x, |x| kept(attention(x, 2, &seen, None)?));
        }
    }

    #[test]
    fn attention_of_heads_of_whole_lanes_and_of_more() {
        let seen = Seen { causal: true, real: None };
        for each in [16, 19, 35] {
            let x = weight(18, &[1, 3, 3 * 2 * each]);
            check(&[("qkv", &x)], || attention(x.tensor(), 2, &seen, None));
            both(&x, |x| attention(x, 2, &seen, None));
        }
    }

    #[test]
    fn attention_over_more_tokens_than_fit_registers() {
        // Three registers: two at once and one, of which the last has a rest.
        let (rows, tokens) = (2, 40);
        let x = weight(27, &[rows, tokens, 3 * 8]);
        let real: Vec<bool> = (0..rows * tokens).map(|i| i % tokens >= 3).collect();
        for (causal, real) in [(false, None), (true, None), (true, Some(real))] {
            let seen = Seen { causal, real: real.map(Arc::new) };
            both(&x, |x| attention(x, 2, &seen, None)?.narrow(1, 3, tokens - 3));
            let drop = || Dropout::new(0.3, 1, 1);
            both(&x, |x| attention(x, 2, &seen, Some(&mut drop()))?.narrow(1, 3, tokens - 3));
        }
    }

    #[test]
    fn padding_may_be_no_number() {
        let x = weight(28, &[2, 5, 3 * 6]).tensor().detach();
        let real = vec![false, false, true, true, true, true, true, true, true, false];
        let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (mut broken, width) = (numbers(&x), 3 * 6);
        for (token, _) in real.iter().enumerate().filter(|(_, real)| !**real) {
            broken[token * width..(token + 1) * width].fill(f32::NAN);
        }
        let broken = Tensor::from_vec(broken, x.shape(), &Device::Cpu).unwrap();
        for causal in [false, true] {
            let seen = Seen { causal, real: Some(Arc::new(real.clone())) };
            let of = |x: &Tensor| numbers(&attention(x, 2, &seen, None).unwrap());
            let pairs = of(&x).into_iter().zip(of(&broken)).enumerate();
            for (i, (sound, broken)) in pairs.filter(|(i, _)| real[i / 6]) {
                assert_eq!(sound, broken, "{i}");
            }
        }
    }

    #[test]
    fn attention_with_dropout() {
        let x = weight(16, &[1, 7, 3 * 4]);
        let seen = Seen { causal: true, real: None };
        let drop = || Dropout::new(0.3, 1, 1);
        check(&[("qkv", &x)], || attention(x.tensor(), 2, &seen, Some(&mut drop())));
        both(&x, |x| attention(x, 2, &seen, Some(&mut drop())));
        check(&[("x", &x)], || drop().forward(x.tensor()));
    }

    #[test]
    fn attention_onto_a_cache_is_the_end_of_the_whole() {
        let qkv = weight(17, &[2, 6, 3 * 8]).tensor().detach();
        let real = vec![false, true, true, true, true, true, true, true, true, true, true, true];
        let seen = Seen { causal: true, real: Some(Arc::new(real)) };
        let whole = attention(&qkv, 2, &seen, None).unwrap();
        let kept = |i: usize| {
            let part = qkv.narrow(2, i * 8, 8).unwrap().reshape((2, 6, 2, 4)).unwrap();
            let part = part.transpose(1, 2).unwrap().contiguous().unwrap();
            let room = Tensor::zeros((2, 2, 9, 4), DType::F32, &Device::Cpu).unwrap();
            room.slice_set(&part, 2, 0).unwrap();
            room
        };
        let (keys, values) = (kept(1), kept(2));
        for tokens in [1, 3, 5] {
            let queries = qkv.narrow(2, 0, 8).unwrap().narrow(1, 6 - tokens, tokens).unwrap();
            let end = whole.narrow(1, 6 - tokens, tokens).unwrap();
            agree(&attention_onto(&queries, &keys, &values, 6, &seen).unwrap(), &end);
            let wide = |x: &Tensor| x.to_dtype(DType::F64).unwrap();
            let composed =
                attention_onto(&wide(&queries), &wide(&keys), &wide(&values), 6, &seen).unwrap();
            agree(&end, &composed);
        }
    }

    #[test]
    fn embedding_adds_up_rows_that_come_again() {
        let mut source = source(18);
        let table = Embedding::build(&mut source, "e", (6, 5), Init::Normal(1.0)).unwrap();
        check(&[("table", table.weight())], || table.forward(&[3, 0, 3, 5, 3]));
        assert!(table.forward(&[6]).unwrap_err().to_string().contains("id 6"));
    }

    fn entropy(hidden: &Tensor, head: &Weight, targets: &[u32]) -> Result<Tensor> {
        entropy_by(hidden, head, targets, Factors::AsTheyLie)
    }

    #[test]
    fn entropy_by_both_arguments() {
        let head = weight(19, &[83, 6]);
        let x = weight(20, &[5, 6]);
        let targets = [82, 0, 7, 7, 41];
        check(&[("hidden", &x), ("head", &head)], || entropy(x.tensor(), &head, &targets));
        both(&x, |x| entropy(x, &head, &targets));
        assert!(entropy(x.tensor(), &head, &[83; 5]).is_err());
        assert!(entropy(x.tensor(), &head, &[1; 4]).is_err());
    }

    #[test]
    fn entropy_of_more_rows_than_a_chunk_and_of_a_scaled_loss() {
        let head = weight(21, &[9, 3]);
        let x = weight(22, &[601, 3]);
        let targets: Vec<u32> = (0..601).map(|i| i % 9).collect();
        let loss = |x: &Tensor| entropy(x, &head, &targets)? * 3.0;
        check(&[("hidden", &x), ("head", &head)], || loss(x.tensor()));
        both(&x, loss);
    }

    #[test]
    fn entropy_by_a_packed_head_is_that_by_the_head() {
        let x = weight(24, &[7, 6]);
        let numbers = weight(25, &[83, 6]).tensor().flatten_all().unwrap().to_vec1().unwrap();
        let head = Weight::new(numbers, (83, 6), DType::F32, &Device::Cpu, false).unwrap();
        let of = |how| -> (f32, Vec<f32>) {
            let loss = entropy_by(x.tensor(), &head, &[82, 0, 7, 7, 41, 1, 2], how).unwrap();
            let gradients = backward(&loss, [&x]).unwrap();
            let of_x = gradients.get(x.tensor()).unwrap().flatten_all().unwrap();
            (loss.to_scalar().unwrap(), of_x.to_vec1().unwrap())
        };
        let ((loss, of_x), (packed, of_packed)) = (of(Factors::AsTheyLie), of(Factors::Packed));
        assert!((loss - packed).abs() < 1e-6, "{loss} {packed}");
        for (a, b) in of_x.iter().zip(&of_packed) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
        let trains = entropy_by(x.tensor(), &weight(26, &[83, 6]), &[1; 7], Factors::Packed);
        assert!(trains.is_err(), "what trains is another matrix at every step");
    }

    #[test]
    fn a_loss_that_is_no_number_shows() {
        let head = weight(23, &[9, 3]);
        let x = Tensor::new(&[[1.0_f32, f32::NAN, 0.0]], &Device::Cpu).unwrap();
        let loss = entropy(&x, &head, &[1]).unwrap().to_scalar::<f32>().unwrap();
        assert!(loss.is_nan());
    }
}
