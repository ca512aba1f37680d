//! Sizes of a mapping network.

use std::fmt;

use crate::base::{Error, Kind, Result};
use crate::nn::weights::Weights;

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapperKind {
    /// Two layers with tanh between them.
    Mlp,
    /// A pre-norm transformer with ReLU.
    Transformer,
    /// A BERT encoder.
    Bert,
}

impl MapperKind {
    /// Reads its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Mlp, Self::Transformer, Self::Bert].into_iter().find(|kind| kind.to_string() == name)
    }
}

impl fmt::Display for MapperKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mlp => "mlp",
            Self::Transformer => "transformer",
            Self::Bert => "bert",
        })
    }
}

/// Sizes of a mapping network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapperConfig {
    /// Which network.
    pub kind: MapperKind,
    /// Floats of a feature.
    pub clip_width: usize,
    /// Tokens that GPT-2 gets.
    pub prefix_length: usize,
    /// Tokens made of the feature, before the constants: `clip_length` of CLIP_prefix_caption. Not
    /// of an `mlp`. ClipCap-Chinese makes `prefix_length` of them and takes `constant_length`
    /// constants, which must be equal there for its captions to have a place.
    pub constant_length: usize,
    /// Blocks; not of an `mlp`.
    pub layers: usize,
    /// Attention heads; not of an `mlp`.
    pub heads: usize,
    /// Floats a token of GPT-2.
    pub gpt_width: usize,
    /// Floats in the middle of a block's MLP: twice the width in `transformer`, four times in
    /// `bert`; not of an `mlp`.
    pub inner: usize,
    /// Positions of the `bert`.
    pub positions: usize,
    /// Rows of the `bert`'s token table, which nothing looks into but PyTorch's file holds.
    pub vocabulary: usize,
}

impl MapperConfig {
    /// With the originals' sizes: 8 layers and 8 heads, 512 positions and 21,128 tokens for `bert`.
    #[must_use]
    pub fn new(
        kind: MapperKind,
        clip_width: usize,
        prefix_length: usize,
        gpt_width: usize,
    ) -> Self {
        Self {
            kind,
            clip_width,
            prefix_length,
            constant_length: prefix_length,
            layers: 8,
            heads: 8,
            gpt_width,
            inner: match kind {
                MapperKind::Mlp => prefix_length * gpt_width / 2,
                MapperKind::Transformer => 2 * gpt_width,
                MapperKind::Bert => 4 * gpt_width,
            },
            positions: 512,
            vocabulary: 21128,
        }
    }

    /// Floats in the middle of an `mlp`.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.prefix_length * self.gpt_width / 2
    }

    /// Refuses sizes that no network has.
    ///
    /// # Errors
    /// [`Kind::BadInput`] naming the size.
    pub fn check(self) -> Result<Self> {
        for (name, size, most) in [
            ("width of the features", self.clip_width, 1 << 16),
            ("prefix length", self.prefix_length, 1 << 12),
            ("constant length", self.constant_length, 1 << 12),
            ("number of layers", self.layers, 1 << 10),
            ("number of heads", self.heads, 1 << 10),
            ("width of the GPT-2", self.gpt_width, 1 << 16),
            ("MLP size", self.inner, 1 << 28),
        ] {
            if size == 0 || size > most {
                let what = format!("the {name} of the mapper is {size}, expected 1 to {most}");
                return Err(Error::new(Kind::BadInput, what));
            }
        }
        let mixes = self.kind != MapperKind::Mlp;
        if mixes && !self.gpt_width.is_multiple_of(self.heads) {
            let what = format!(
                "the mapper is {} wide, which its {} heads do not divide",
                self.gpt_width, self.heads
            );
            return Err(Error::new(Kind::BadInput, what)
                .help("choose `heads` that divide the width of the GPT-2"));
        }
        let tokens = self.prefix_length + self.constant_length;
        if self.kind == MapperKind::Bert && tokens > self.positions {
            let what = format!("the bert has {} positions for {tokens} tokens", self.positions);
            return Err(Error::new(Kind::BadInput, what));
        }
        Ok(self)
    }

    /// The sizes that the tensors of a checkpoint say, `gpt_width` being known. Heads cannot be
    /// seen in weights: 8, as both projects have them, or as many as `heads` says.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when they are of no mapping network.
    pub fn detect(weights: &Weights, gpt_width: usize, heads: Option<usize>) -> Result<Self> {
        let unlike = |what: &str| {
            Error::new(Kind::BadInput, format!("the mapper in the checkpoint has {what}"))
        };
        let rows = |name: &str| weights.shape(name).and_then(|shape| shape.first().copied());
        let columns = |name: &str| weights.shape(name).and_then(|shape| shape.get(1).copied());
        let width = gpt_width.max(1);
        if let Some(clip_width) = columns("model.0.weight") {
            let out = rows("model.2.weight").ok_or_else(|| unlike("no `model.2.weight`"))?;
            let config = Self::new(MapperKind::Mlp, clip_width, out / width, gpt_width);
            return config.check();
        }
        let (Some(made), Some(clip_width)) = (rows("linear.weight"), columns("linear.weight"))
        else {
            return Err(unlike("neither `model.0.weight` nor `linear.weight`"));
        };
        let prefix_length = rows("prefix_const").ok_or_else(|| unlike("no `prefix_const`"))?;
        let count = |before: &str, after: &str| {
            (0..).take_while(|i| weights.get(&format!("{before}.{i}.{after}")).is_some()).count()
        };
        let bert = weights.get("bert.embeddings.position_embeddings.weight").is_some();
        let kind = if bert { MapperKind::Bert } else { MapperKind::Transformer };
        let mut config = Self::new(kind, clip_width, prefix_length, gpt_width);
        config.constant_length = made / width;
        config.heads = heads.unwrap_or(8);
        if bert {
            config.layers = count("bert.encoder.layer", "output.dense.weight");
            let inner = rows("bert.encoder.layer.0.intermediate.dense.weight");
            config.inner = inner.unwrap_or(config.inner);
            let positions = rows("bert.embeddings.position_embeddings.weight");
            config.positions = positions.unwrap_or(config.positions);
            let vocabulary = rows("bert.embeddings.word_embeddings.weight");
            config.vocabulary = vocabulary.unwrap_or(config.vocabulary);
        } else {
            config.layers = count("transformer.layers", "mlp.fc2.weight");
            let inner = rows("transformer.layers.0.mlp.fc1.weight");
            config.inner = inner.unwrap_or(config.inner);
        }
        config.check()
    }
}
