//! A block: `x + attention(norm(x))`, then `x + mlp(norm(x))`.

use candle_core::{Result, Tensor};

use super::cache::Cache;
use super::config::Gpt2Config;
use crate::nn::layers::{
    Curve, Dropout, Form, Init, Linear, Norm, Seen, Source, attention, attention_onto, curve,
};

#[derive(Debug)]
pub(super) struct Block {
    pub(super) norm_1: Norm,
    pub(super) qkv: Linear,
    pub(super) out: Linear,
    pub(super) norm_2: Norm,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) heads: usize,
    pub(super) curve: Curve,
}

impl Block {
    /// Initial weights as transformers' `GPT2PreTrainedModel._init_weights`: normal of 0.02, those
    /// that write into the residual stream of `0.02 / √(2 · layers)`; biases zero.
    pub(super) fn build(
        source: &mut Source<'_>,
        name: &str,
        of: &Gpt2Config,
    ) -> crate::base::Result<Self> {
        #[expect(clippy::cast_precision_loss, reason = "there are few layers")]
        let narrow = Init::Normal(0.02 / (2.0 * of.layers as f32).sqrt());
        let normal = Init::Normal(0.02);
        let w = of.width;
        let mut linear = |part: &str, sizes, init| {
            let name = format!("{name}.{part}");
            Linear::build(source, &name, Form::InputFirst, sizes, Some(Init::Zero), init)
        };
        let qkv = linear("attn.c_attn", (w, 3 * w), normal)?;
        let out = linear("attn.c_proj", (w, w), narrow)?;
        let up = linear("mlp.c_fc", (w, of.inner), normal)?;
        let down = linear("mlp.c_proj", (of.inner, w), narrow)?;
        let mut norm = |part: &str| Norm::build(source, &format!("{name}.{part}"), w, of.epsilon);
        let (norm_1, norm_2) = (norm("ln_1")?, norm("ln_2")?);
        Ok(Self { norm_1, qkv, out, norm_2, up, down, heads: of.heads, curve: of.curve })
    }

    /// # Shapes
    /// `x`: (rows, tokens, width), and so is the result. `cache` is the cache and the layer.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        seen: &Seen,
        cache: Option<(&mut Cache, usize)>,
        mut dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm_1.forward(x)?)?;
        let mixed = match cache {
            None => attention(&qkv, self.heads, seen, dropout.as_deref_mut())?,
            Some((cache, layer)) => self.attention_onto(&qkv, seen, cache, layer)?,
        };
        let mut drop = |x: Tensor| match dropout.as_deref_mut() {
            Some(dropout) => dropout.forward(&x),
            None => Ok(x),
        };
        let x = (x + drop(self.out.forward(&mixed)?)?)?;
        let hidden = curve(&self.up.forward(&self.norm_2.forward(&x)?)?, self.curve)?;
        &x + drop(self.down.forward(&hidden)?)?
    }

    fn attention_onto(
        &self,
        qkv: &Tensor,
        seen: &Seen,
        cache: &mut Cache,
        layer: usize,
    ) -> Result<Tensor> {
        let (rows, tokens, three) = qkv.dims3()?;
        let width = three / 3;
        let filled = cache.len();
        let [keys, values] = cache.tensors(layer)?;
        for (i, kept) in [(1, keys), (2, values)] {
            let new = qkv.narrow(2, i * width, width)?;
            let new = new.reshape((rows, tokens, self.heads, width / self.heads))?;
            kept.slice_set(&new.transpose(1, 2)?.contiguous()?.detach(), 2, filled - tokens)?;
        }
        let queries = qkv.narrow(2, 0, width)?;
        attention_onto(&queries, keys, values, filled, seen)
    }
}
