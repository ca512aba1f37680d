//! `config.json` of a GPT-2.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::{Error, Kind, Result};
use crate::nn::layers::Curve;
use crate::nn::weights::Weights;

/// Sizes of a GPT-2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gpt2Config {
    /// Token ids it knows.
    pub vocabulary: usize,
    /// Most tokens of a text, prefix included.
    pub positions: usize,
    /// Floats a token.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Floats in the middle of an MLP.
    pub inner: usize,
    /// Added to the variance by layer norms.
    pub epsilon: f64,
    /// Of the MLPs.
    pub curve: Curve,
    /// Whether the head is the token table.
    pub tied: bool,
}

impl Default for Gpt2Config {
    /// GPT-2 small, 124 million weights.
    fn default() -> Self {
        Self {
            vocabulary: 50257,
            positions: 1024,
            width: 768,
            layers: 12,
            heads: 12,
            inner: 3072,
            epsilon: 1e-5,
            curve: Curve::GeluNew,
            tied: true,
        }
    }
}

/// What is left out has the value that transformers' `GPT2Config` gives it.
#[derive(Debug, Deserialize)]
struct File {
    model_type: Option<String>,
    vocab_size: Option<usize>,
    n_positions: Option<usize>,
    n_embd: Option<usize>,
    n_layer: Option<usize>,
    n_head: Option<usize>,
    n_inner: Option<usize>,
    layer_norm_epsilon: Option<f64>,
    activation_function: Option<String>,
    tie_word_embeddings: Option<bool>,
    scale_attn_weights: Option<bool>,
    scale_attn_by_inverse_layer_idx: Option<bool>,
    add_cross_attention: Option<bool>,
}

impl Gpt2Config {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when it is none, of another kind of model, or of a variant of GPT-2 that
    /// clipmill does not have.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |what: String| Error::new(Kind::BadInput, what);
        let file: File = serde_json::from_str(text)
            .map_err(|cause| bad("is no configuration of a GPT-2".into()).caused_by(cause))?;
        if let Some(other) = file.model_type.filter(|kind| kind != "gpt2") {
            return Err(bad(format!(
                "is the configuration of a `{other}`, expected model_type `gpt2`"
            )));
        }
        for (name, value, wanted) in [
            ("scale_attn_weights", file.scale_attn_weights, true),
            ("scale_attn_by_inverse_layer_idx", file.scale_attn_by_inverse_layer_idx, false),
            ("add_cross_attention", file.add_cross_attention, false),
        ] {
            if value.is_some_and(|value| value != wanted) {
                return Err(bad(format!("`{name}` is {}, expected {wanted}", !wanted)));
            }
        }
        let curve = match file.activation_function.as_deref() {
            None | Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Curve::GeluNew,
            Some("gelu") => Curve::Gelu,
            Some("quick_gelu") => Curve::QuickGelu,
            Some("relu") => Curve::Relu,
            Some("tanh") => Curve::Tanh,
            Some(other) => {
                return Err(bad(format!(
                    "activation_function `{other}` is not one of gelu_new, gelu, relu, tanh"
                )));
            }
        };
        let small = Self::default();
        let width = file.n_embd.unwrap_or(small.width);
        Self {
            vocabulary: file.vocab_size.unwrap_or(small.vocabulary),
            positions: file.n_positions.unwrap_or(small.positions),
            width,
            layers: file.n_layer.unwrap_or(small.layers),
            heads: file.n_head.unwrap_or(small.heads),
            inner: file.n_inner.unwrap_or(width.saturating_mul(4)),
            epsilon: file.layer_norm_epsilon.unwrap_or(small.epsilon),
            curve,
            tied: file.tie_word_embeddings.unwrap_or(true),
        }
        .check()
    }

    /// The sizes that tensors of transformers' names say. Heads cannot be seen in weights: as many
    /// as make 64 floats each, as in every published GPT-2.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when they are of no GPT-2.
    pub fn detect(weights: &Weights, tied: bool) -> Result<Self> {
        let sizes = |name: &str| match weights.shape(name) {
            Some([a, b]) => Ok((*a, *b)),
            Some(shape) => Err(format!("its `{name}` is {shape:?}")),
            None => Err(format!("it has no `{name}`")),
        };
        let read = || {
            let (vocabulary, width) = sizes("transformer.wte.weight")?;
            let (positions, _) = sizes("transformer.wpe.weight")?;
            let (_, inner) = sizes("transformer.h.0.mlp.c_fc.weight")?;
            let layers = (0..)
                .take_while(|i| weights.get(&format!("transformer.h.{i}.ln_1.weight")).is_some())
                .count();
            let heads = (width / 64).max(1);
            Ok(Self { vocabulary, positions, width, layers, heads, inner, tied, ..Self::default() })
        };
        read()
            .map_err(|why: String| Error::new(Kind::BadInput, format!("is of no GPT-2: {why}")))?
            .check()
    }

    /// Refuses sizes that no model has, before anything is allocated by them.
    ///
    /// # Errors
    /// [`Kind::BadInput`] naming the size.
    pub fn check(self) -> Result<Self> {
        for (name, size, most) in [
            ("vocabulary", self.vocabulary, 1 << 24),
            ("number of positions", self.positions, 1 << 20),
            ("width", self.width, 1 << 16),
            ("number of layers", self.layers, 1 << 10),
            ("number of heads", self.heads, 1 << 10),
            ("MLP size", self.inner, 1 << 18),
        ] {
            if size == 0 || size > most {
                let what = format!("the {name} of the GPT-2 is {size}, expected 1 to {most}");
                return Err(Error::new(Kind::BadInput, what));
            }
        }
        if !self.width.is_multiple_of(self.heads) {
            let (width, heads) = (self.width, self.heads);
            let what = format!("the GPT-2 is {width} wide, which its {heads} heads do not divide");
            return Err(Error::new(Kind::BadInput, what));
        }
        Ok(self)
    }

    /// As transformers writes it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "vocab_size": self.vocabulary,
            "n_positions": self.positions,
            "n_ctx": self.positions,
            "n_embd": self.width,
            "n_layer": self.layers,
            "n_head": self.heads,
            "n_inner": self.inner,
            "layer_norm_epsilon": self.epsilon,
            "activation_function": match self.curve {
                Curve::GeluNew => "gelu_new",
                Curve::Gelu => "gelu",
                Curve::QuickGelu => "quick_gelu",
                Curve::Relu => "relu",
                Curve::Tanh => "tanh",
            },
            "tie_word_embeddings": self.tied,
            "torch_dtype": "float32",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_that_of_gpt2_small() {
        assert_eq!(Gpt2Config::parse("{}").unwrap(), Gpt2Config::default());
        let config = Gpt2Config::parse(r#"{"n_embd": 64, "n_head": 4, "n_inner": null}"#).unwrap();
        assert_eq!((config.width, config.inner), (64, 256));
    }

    #[test]
    fn it_reads_what_it_writes() {
        let config = Gpt2Config { width: 96, heads: 6, inner: 100, ..Gpt2Config::default() };
        assert_eq!(Gpt2Config::parse(&config.to_json().to_string()).unwrap(), config);
    }

    #[test]
    fn other_models_and_impossible_sizes_are_refused() {
        for (text, part) in [
            (r#"{"model_type": "bert"}"#, "`bert`"),
            (r#"{"n_embd": 64, "n_head": 5}"#, "do not divide"),
            (r#"{"n_layer": 0}"#, "number of layers"),
            (r#"{"scale_attn_by_inverse_layer_idx": true}"#, "inverse"),
            (r#"{"activation_function": "swish"}"#, "swish"),
        ] {
            let error = Gpt2Config::parse(text).unwrap_err();
            assert!(error.what().contains(part), "{error:?}");
        }
    }
}
