//! `TransformerMapper` of CLIP_prefix_caption, its `TransformerLayer` to the letter: norms before
//! attention and MLP, queries and keys-values without bias, ReLU, no final norm.

use candle_core::{Result, Tensor};

use super::config::MapperConfig;
use crate::nn::layers::{
    Curve, Dropout, Expected, Form, Init, Linear, Norm, Seen, Source, attention, curve,
};

#[derive(Debug)]
pub(super) struct Transformer {
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    norm_1: Norm,
    queries: Linear,
    keys_values: Linear,
    project: Linear,
    norm_2: Norm,
    up: Linear,
    down: Linear,
    heads: usize,
}

impl Transformer {
    pub(super) fn build(source: &mut Source<'_>, of: &MapperConfig) -> crate::base::Result<Self> {
        let layers = (0..of.layers)
            .map(|layer| Layer::build(source, &format!("transformer.layers.{layer}"), of))
            .collect::<crate::base::Result<_>>()?;
        Ok(Self { layers })
    }

    pub(super) fn expected(of: &MapperConfig) -> Expected {
        let (w, inner) = (of.gpt_width, of.inner);
        let mut out = Vec::new();
        for layer in 0..of.layers {
            for (part, shape) in [
                ("norm1.weight", vec![w]),
                ("norm1.bias", vec![w]),
                ("attn.to_queries.weight", vec![w, w]),
                ("attn.to_keys_values.weight", vec![2 * w, w]),
                ("attn.project.weight", vec![w, w]),
                ("attn.project.bias", vec![w]),
                ("norm2.weight", vec![w]),
                ("norm2.bias", vec![w]),
                ("mlp.fc1.weight", vec![inner, w]),
                ("mlp.fc1.bias", vec![inner]),
                ("mlp.fc2.weight", vec![w, inner]),
                ("mlp.fc2.bias", vec![w]),
            ] {
                out.push((format!("transformer.layers.{layer}.{part}"), shape));
            }
        }
        out
    }

    pub(super) fn forward(&self, x: &Tensor, _: Option<&mut Dropout>) -> Result<Tensor> {
        // The original's dropout is zero and cannot be set.
        self.layers.iter().try_fold(x.clone(), |x, layer| layer.forward(&x))
    }
}

impl Layer {
    fn build(source: &mut Source<'_>, name: &str, of: &MapperConfig) -> crate::base::Result<Self> {
        let w = of.gpt_width;
        let mut linear = |part: &str, sizes: (usize, usize), bias: bool| {
            let init = Init::linear(sizes.0);
            let name = format!("{name}.{part}");
            Linear::build(source, &name, Form::OutputFirst, sizes, bias.then_some(init), init)
        };
        let queries = linear("attn.to_queries", (w, w), false)?;
        let keys_values = linear("attn.to_keys_values", (w, 2 * w), false)?;
        let project = linear("attn.project", (w, w), true)?;
        let up = linear("mlp.fc1", (w, of.inner), true)?;
        let down = linear("mlp.fc2", (of.inner, w), true)?;
        // `torch.nn.LayerNorm`'s own epsilon
        let mut norm = |part: &str| Norm::build(source, &format!("{name}.{part}"), w, 1e-5);
        let (norm_1, norm_2) = (norm("norm1")?, norm("norm2")?);
        Ok(Self { norm_1, queries, keys_values, project, norm_2, up, down, heads: of.heads })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normed = self.norm_1.forward(x)?;
        let last = x.rank() - 1;
        let qkv = [self.queries.forward(&normed)?, self.keys_values.forward(&normed)?];
        let qkv = Tensor::cat(&qkv, last)?;
        let mixed = attention(&qkv, self.heads, &Seen::default(), None)?;
        let x = (x + self.project.forward(&mixed)?)?;
        let hidden = curve(&self.up.forward(&self.norm_2.forward(&x)?)?, Curve::Relu)?;
        &x + self.down.forward(&hidden)?
    }
}
