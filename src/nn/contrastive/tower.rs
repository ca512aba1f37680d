//! A tower's blocks.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::nn::blocks::{Block, Places, Qkv, is_plain, run_plain};
use crate::nn::clip::{Activation, Transformer};
use crate::nn::gradient::is_native;
use crate::nn::layers::{Curve, Factors, Form, Init, Linear, Norm, Seen, Source, attention};

/// A stack of blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Arc<Vec<Block>>,
    seen: Seen,
}

impl Blocks {
    pub(super) fn build(
        source: &mut Source<'_>,
        name: &str,
        of: &Transformer,
        causal: bool,
    ) -> crate::base::Result<Self> {
        let blocks = (0..of.layers)
            .map(|layer| block(source, &format!("{name}.{layer}"), of))
            .collect::<crate::base::Result<Vec<_>>>()?;
        let seen = Seen { causal, real: None };
        Ok(Self { blocks: Arc::new(blocks), seen })
    }

    /// The states of the tokens `at`: row times tokens plus token.
    ///
    /// # Shapes
    /// `x`: (rows, tokens, width); the result: (named tokens, width).
    pub(super) fn forward(&self, x: &Tensor, at: &[u32]) -> Result<Tensor> {
        let (rows, tokens, width) = x.dims3()?;
        if is_native(x) && is_plain(&self.blocks) {
            let places = Places::new(at, [rows, tokens, width])?;
            // `x` is of weights that train, so the node hangs at it.
            let how = (&[][..], Factors::AsTheyLie);
            return run_plain(
                ("clip blocks", &self.blocks),
                x,
                &self.seen,
                Some(&places),
                None,
                how,
            );
        }
        self.by_layers(x, at)
    }

    fn by_layers(&self, x: &Tensor, at: &[u32]) -> Result<Tensor> {
        let (rows, tokens, width) = x.dims3()?;
        let x = self.blocks.iter().try_fold(x.clone(), |x, block| {
            block.forward(&x, None, |qkv, none| attention(qkv, block.heads, &self.seen, none))
        })?;
        x.reshape((rows * tokens, width))?.index_select(&Tensor::new(at, x.device())?, 0)
    }
}

fn block(source: &mut Source<'_>, name: &str, of: &Transformer) -> crate::base::Result<Block> {
    let w = of.width;
    let mut linear = |part: &str, sizes: (usize, usize)| {
        let name = format!("{name}.{part}");
        // Weights come out of a file; how they begin is the file's.
        Linear::build(source, &name, Form::OutputFirst, sizes, Some(Init::Zero), Init::Zero)
    };
    let queries = linear("self_attn.q_proj", (w, w))?;
    let keys = linear("self_attn.k_proj", (w, w))?;
    let values = linear("self_attn.v_proj", (w, w))?;
    let out = linear("self_attn.out_proj", (w, w))?;
    let up = linear("mlp.fc1", (w, of.hidden))?;
    let down = linear("mlp.fc2", (of.hidden, w))?;
    let mut norm = |part: &str| Norm::build(source, &format!("{name}.{part}"), w, of.epsilon);
    let (norm_1, norm_2) = (norm("layer_norm1")?, norm("layer_norm2")?);
    let curve = match of.activation {
        Activation::QuickGelu => Curve::QuickGelu,
        Activation::Gelu => Curve::Gelu,
        Activation::GeluTanh => Curve::GeluNew,
    };
    let qkv = Qkv::Three(Box::new([queries, keys, values]));
    Ok(Block { norm_1, qkv, out, norm_2, up, down, heads: of.heads, curve })
}

#[cfg(test)]
mod tests {
    use candle_core::backprop::GradStore;
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::nn::gradient::{Weight, backward};

    #[test]
    fn blocks_over_plain_numbers_are_those_of_the_layers() {
        let device = Device::Cpu;
        let numbers = |count: usize, from: usize| -> Vec<f32> {
            (from..from + count).map(|i| f32::from(u16::try_from(i).unwrap()).sin()).collect()
        };
        let x = Var::from_vec(numbers(2 * 5 * 12, 1), (2, 5, 12), &device).unwrap();
        let at = [0_u32, 3, 7];
        let wave = Tensor::from_vec(numbers(3 * 12, 500), (3, 12), &device).unwrap();
        for (activation, causal) in [
            (Activation::QuickGelu, false),
            (Activation::Gelu, true),
            (Activation::GeluTanh, false),
        ] {
            let of = Transformer {
                width: 12,
                heads: 3,
                layers: 2,
                hidden: 20,
                epsilon: 1e-5,
                activation,
            };
            let mut source = Source::random(3, &device, DType::F32, true);
            let blocks = Blocks::build(&mut source, "b", &of, causal).unwrap();
            let weights: Vec<(String, Weight)> = source.given();
            for (number, (_, weight)) in weights.iter().enumerate() {
                // Out of a file, so not zero.
                let shape = weight.tensor().shape();
                let numbers: Vec<f32> = (0..shape.elem_count())
                    .map(|i| f32::from(u16::try_from(7 * i + number).unwrap()).sin() * 0.3)
                    .collect();
                weight.set(&Tensor::from_vec(numbers, shape, &device).unwrap()).unwrap();
            }
            let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let of = |out: Tensor| -> (Vec<f32>, GradStore) {
                let loss = (&out * &wave).unwrap().sum_all().unwrap();
                (numbers(&out), backward(&loss, weights.iter().map(|(_, w)| w)).unwrap())
            };
            let (plain, by_plain) = of(blocks.forward(&x, &at).unwrap());
            let (layers, by_layers) = of(blocks.by_layers(&x, &at).unwrap());
            let agree = |a: &[f32], b: &[f32], what: &str| {
                assert_eq!(a.len(), b.len(), "{what}");
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{what}: {a} {b}");
                }
            };
            agree(&plain, &layers, "value");
            let all = weights.iter().map(|(name, weight)| (name.as_str(), weight.tensor()));
            for (name, tensor) in all.chain([("x", x.as_tensor())]) {
                let of = |store: &GradStore| numbers(store.get(tensor).unwrap());
                agree(&of(&by_plain), &of(&by_layers), name);
            }
        }
    }
}
