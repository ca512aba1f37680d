//! A block as GPT-2 has it: how its weights begin, and how it goes on from a cache.

use candle_core::{Result, Tensor};

use super::cache::{Cache, Room};
use super::config::Gpt2Config;
use crate::nn::blocks::{Block, Qkv};
use crate::nn::layers::{
    Dropout, Factors, Form, Init, Linear, Norm, Onto, Seen, Source, attend_onto, attention,
    attention_onto, curve_run,
};

impl Block {
    /// Initial weights as transformers' `GPT2PreTrainedModel._init_weights`: normal of 0.02, those
    /// that write into the residual stream of `0.02 / √(2 · layers)`; biases zero.
    pub(super) fn build_gpt2(
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
        let qkv = Qkv::One(linear("attn.c_attn", (w, 3 * w), normal)?);
        let out = linear("attn.c_proj", (w, w), narrow)?;
        let up = linear("mlp.c_fc", (w, of.inner), normal)?;
        let down = linear("mlp.c_proj", (of.inner, w), narrow)?;
        let mut norm = |part: &str| Norm::build(source, &format!("{name}.{part}"), w, of.epsilon);
        let (norm_1, norm_2) = (norm("ln_1")?, norm("ln_2")?);
        Ok(Self { norm_1, qkv, out, norm_2, up, down, heads: of.heads, curve: of.curve })
    }

    /// `cache` is the cache and the layer; without one the tokens are all there are.
    ///
    /// # Shapes
    /// `x`: (rows, tokens, width), and so is the result.
    pub(super) fn by_layers(
        &self,
        x: &Tensor,
        seen: &Seen,
        cache: Option<(&mut Cache, usize)>,
        dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        self.forward(x, dropout, |qkv, dropout| match cache {
            None => attention(qkv, self.heads, seen, dropout),
            Some((cache, layer)) => self.attention_onto(qkv, seen, cache, layer),
        })
    }

    /// As [`by_layers`](Self::by_layers) with a cache, of plain numbers: `x` becomes the value.
    pub(super) fn run_onto(
        &self,
        x: &mut [f32],
        sizes: [usize; 3],
        seen: &Seen,
        room: &mut Room,
        (capacity, filled): (usize, usize),
    ) -> Result<()> {
        let (width, how) = (sizes[2], Factors::AsTheyLie);
        let mut normed = vec![0.0; x.len()];
        self.norm_1.run(x, &mut normed)?;
        let mut qkv = vec![0.0; 3 * x.len()];
        self.qkv.run(&normed, &mut qkv, how)?;
        let of = Onto { sizes, heads: self.heads, capacity, filled };
        room.write(&qkv, of);
        let mut mixed = vec![0.0; x.len()];
        attend_onto((&qkv, 3 * width), (&room.keys, &room.values), of, seen, &mut mixed);
        self.out.run(&mixed, x, true, how)?;
        self.norm_2.run(x, &mut normed)?;
        let mut up = vec![0.0; self.inner(x.len(), sizes)];
        self.up.run(&normed, &mut up, false, how)?;
        let mut hidden = vec![0.0; up.len()];
        curve_run(self.curve, &up, &mut hidden);
        self.down.run(&hidden, x, true, how)
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
