//! Residual blocks with gradients: `x + attention(norm(x))`, then `x + mlp(norm(x))`.

use candle_core::{Result, Tensor};

use crate::nn::clip::{Activation, Transformer};
use crate::nn::layers::{Curve, Form, Init, Linear, Norm, Seen, Source, attention, curve};

/// A stack of blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    seen: Seen,
}

#[derive(Debug)]
struct Block {
    norm_1: Norm,
    queries: Linear,
    keys: Linear,
    values: Linear,
    out: Linear,
    norm_2: Norm,
    up: Linear,
    down: Linear,
    heads: usize,
    curve: Curve,
}

impl Blocks {
    pub(super) fn build(
        source: &mut Source<'_>,
        name: &str,
        of: &Transformer,
        causal: bool,
    ) -> crate::base::Result<Self> {
        let blocks = (0..of.layers)
            .map(|layer| Block::build(source, &format!("{name}.{layer}"), of))
            .collect::<crate::base::Result<_>>()?;
        Ok(Self { blocks, seen: Seen { causal, real: None } })
    }

    /// # Shapes
    /// `x`: (rows, tokens, width), and so is the result.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.blocks.iter().try_fold(x.clone(), |x, block| block.forward(&x, &self.seen))
    }
}

impl Block {
    fn build(source: &mut Source<'_>, name: &str, of: &Transformer) -> crate::base::Result<Self> {
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
        let heads = of.heads;
        Ok(Self { norm_1, queries, keys, values, out, norm_2, up, down, heads, curve })
    }

    fn forward(&self, x: &Tensor, seen: &Seen) -> Result<Tensor> {
        let normed = self.norm_1.forward(x)?;
        let parts = [&self.queries, &self.keys, &self.values];
        let qkv = parts.map(|part| part.forward(&normed));
        let [queries, keys, values] = qkv;
        let qkv = Tensor::cat(&[queries?, keys?, values?], 2)?;
        let mixed = attention(&qkv, self.heads, seen, None)?;
        let x = (x + self.out.forward(&mixed)?)?;
        let hidden = curve(&self.up.forward(&self.norm_2.forward(&x)?)?, self.curve)?;
        &x + self.down.forward(&hidden)?
    }
}
