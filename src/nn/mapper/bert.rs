//! The encoder of transformers' `BertModel` (`modeling_bert.py`) over vectors instead of tokens:
//! positions and the first token type are added, norms come after attention and MLP. Its token
//! table and its pooler have no part in it.

use candle_core::{Result, Tensor};

use super::config::MapperConfig;
use crate::nn::layers::{
    Curve, Dropout, Embedding, Expected, Form, Init, Linear, Norm, Seen, Source, attention, curve,
};

/// `layer_norm_eps` of every BERT.
const EPSILON: f64 = 1e-12;

#[derive(Debug)]
pub(super) struct Bert {
    positions: Embedding,
    kinds: Embedding,
    norm: Norm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    qkv: [Linear; 3],
    out: Linear,
    norm_1: Norm,
    up: Linear,
    down: Linear,
    norm_2: Norm,
    heads: usize,
}

impl Bert {
    /// Initial weights as `BertPreTrainedModel._init_weights`: normal of 0.02, biases zero.
    pub(super) fn build(source: &mut Source<'_>, of: &MapperConfig) -> crate::base::Result<Self> {
        let w = of.gpt_width;
        let mut table = |part: &str, rows| {
            let name = format!("bert.embeddings.{part}");
            Embedding::build(source, &name, (rows, w), Init::Normal(0.02))
        };
        let positions = table("position_embeddings", of.positions)?;
        let kinds = table("token_type_embeddings", 2)?;
        let norm = Norm::build(source, "bert.embeddings.LayerNorm", w, EPSILON)?;
        let layers = (0..of.layers)
            .map(|layer| Layer::build(source, &format!("bert.encoder.layer.{layer}"), of))
            .collect::<crate::base::Result<_>>()?;
        Ok(Self { positions, kinds, norm, layers })
    }

    pub(super) fn expected(of: &MapperConfig) -> Expected {
        let (w, inner) = (of.gpt_width, of.inner);
        let mut out = vec![
            ("bert.embeddings.position_embeddings.weight".to_owned(), vec![of.positions, w]),
            ("bert.embeddings.token_type_embeddings.weight".to_owned(), vec![2, w]),
            ("bert.embeddings.LayerNorm.weight".to_owned(), vec![w]),
            ("bert.embeddings.LayerNorm.bias".to_owned(), vec![w]),
        ];
        for layer in 0..of.layers {
            for (part, rows, columns) in [
                ("attention.self.query", w, Some(w)),
                ("attention.self.key", w, Some(w)),
                ("attention.self.value", w, Some(w)),
                ("attention.output.dense", w, Some(w)),
                ("attention.output.LayerNorm", w, None),
                ("intermediate.dense", inner, Some(w)),
                ("output.dense", w, Some(inner)),
                ("output.LayerNorm", w, None),
            ] {
                let name = format!("bert.encoder.layer.{layer}.{part}");
                let shape = [rows].into_iter().chain(columns).collect();
                out.push((format!("{name}.weight"), shape));
                out.push((format!("{name}.bias"), vec![rows]));
            }
        }
        out
    }

    /// Tensors of the original's state dict that have no part in the output, with their shapes.
    pub(super) fn idle(of: &MapperConfig) -> Expected {
        let w = of.gpt_width;
        vec![
            ("bert.embeddings.word_embeddings.weight".to_owned(), vec![of.vocabulary, w]),
            ("bert.pooler.dense.weight".to_owned(), vec![w, w]),
            ("bert.pooler.dense.bias".to_owned(), vec![w]),
        ]
    }

    pub(super) fn forward(&self, x: &Tensor, mut dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let (rows, tokens, width) = x.dims3()?;
        let ids: Vec<u32> = (0..rows).flat_map(|_| (0..).take(tokens)).collect();
        let shape = (rows, tokens, width);
        let kinds = self.kinds.forward(&vec![0; ids.len()])?.to_dtype(x.dtype())?;
        let positions = self.positions.forward(&ids)?.to_dtype(x.dtype())?;
        let x = ((x + kinds.reshape(shape)?)? + positions.reshape(shape)?)?;
        let mut x = self.norm.forward(&x)?;
        if let Some(dropout) = dropout.as_deref_mut() {
            x = dropout.forward(&x)?;
        }
        for layer in &self.layers {
            x = layer.forward(&x, dropout.as_deref_mut())?;
        }
        Ok(x)
    }
}

impl Layer {
    fn build(source: &mut Source<'_>, name: &str, of: &MapperConfig) -> crate::base::Result<Self> {
        let (w, inner) = (of.gpt_width, of.inner);
        let mut linear = |part: &str, sizes| {
            let (form, init) = (Form::OutputFirst, Init::Normal(0.02));
            Linear::build(source, &format!("{name}.{part}"), form, sizes, Some(Init::Zero), init)
        };
        let qkv = [
            linear("attention.self.query", (w, w))?,
            linear("attention.self.key", (w, w))?,
            linear("attention.self.value", (w, w))?,
        ];
        let out = linear("attention.output.dense", (w, w))?;
        let up = linear("intermediate.dense", (w, inner))?;
        let down = linear("output.dense", (inner, w))?;
        let mut norm = |part: &str| Norm::build(source, &format!("{name}.{part}"), w, EPSILON);
        let norm_1 = norm("attention.output.LayerNorm")?;
        let norm_2 = norm("output.LayerNorm")?;
        Ok(Self { qkv, out, norm_1, up, down, norm_2, heads: of.heads })
    }

    fn forward(&self, x: &Tensor, mut dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let qkv = self.qkv.iter().map(|linear| linear.forward(x)).collect::<Result<Vec<_>>>()?;
        let qkv = Tensor::cat(&qkv, x.rank() - 1)?;
        let mixed = attention(&qkv, self.heads, &Seen::default(), dropout.as_deref_mut())?;
        let mut drop = |x: Tensor| match dropout.as_deref_mut() {
            Some(dropout) => dropout.forward(&x),
            None => Ok(x),
        };
        let x = self.norm_1.forward(&(x + drop(self.out.forward(&mixed)?)?)?)?;
        let hidden = curve(&self.up.forward(&x)?, Curve::Gelu)?;
        self.norm_2.forward(&(&x + drop(self.down.forward(&hidden)?)?)?)
    }
}
