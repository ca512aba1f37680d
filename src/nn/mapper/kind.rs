//! A mapping network of whichever kind.

use candle_core::{DType, Device, Result, Tensor};

use super::bert::Bert;
use super::config::{MapperConfig, MapperKind};
use super::mlp::Mlp;
use super::transformer::Transformer;
use crate::nn::gradient::Weight;
use crate::nn::layers::{Dropout, Expected, Form, Init, Linear, Source};
use crate::nn::weights::Weights;

/// A mapping network. Its weights are kept in f32 and train.
#[derive(Debug)]
pub struct Mapper {
    config: MapperConfig,
    inner: Inner,
    weights: Vec<(String, Weight)>,
}

#[derive(Debug)]
enum Inner {
    Mlp(Mlp),
    Transformer(Before, Transformer),
    Bert(Before, Bert),
}

/// Tokens made of the feature, and the constants after them.
#[derive(Debug)]
struct Before {
    linear: Linear,
    constants: Weight,
}

impl Mapper {
    /// A network of seeded random weights, distributed as the originals': `torch.nn.Linear` is
    /// uniform within `±1/√inputs`, constants are normal of 1, BERT's weights normal of 0.02.
    ///
    /// # Errors
    /// When the sizes are impossible or memory runs out.
    pub fn new(config: MapperConfig, seed: u64, device: &Device) -> crate::base::Result<Self> {
        Self::build(config.check()?, Source::random(seed, device, DType::F32, true))
    }

    /// A network out of weights of these sizes, under the names below `clip_project.`.
    ///
    /// # Errors
    /// When a tensor is missing or of another shape.
    pub fn from_weights(
        config: MapperConfig,
        weights: &Weights,
        device: &Device,
    ) -> crate::base::Result<Self> {
        Self::build(config.check()?, Source::file(weights, device, DType::F32, true))
    }

    fn build(config: MapperConfig, mut source: Source<'_>) -> crate::base::Result<Self> {
        let inner = match config.kind {
            MapperKind::Mlp => Inner::Mlp(Mlp::build(&mut source, &config)?),
            MapperKind::Transformer => {
                let before = Before::build(&mut source, &config)?;
                Inner::Transformer(before, Transformer::build(&mut source, &config)?)
            }
            MapperKind::Bert => {
                let before = Before::build(&mut source, &config)?;
                Inner::Bert(before, Bert::build(&mut source, &config)?)
            }
        };
        Ok(Self { config, inner, weights: source.given() })
    }

    /// Its sizes.
    #[must_use]
    pub fn config(&self) -> &MapperConfig {
        &self.config
    }

    /// Every weight, by the originals' name below `clip_project.`.
    #[must_use]
    pub fn weights(&self) -> &[(String, Weight)] {
        &self.weights
    }

    /// Name and shape of every weight of a network of these sizes.
    #[must_use]
    pub fn expected(config: &MapperConfig) -> Expected {
        let before = || {
            let made = config.constant_length * config.gpt_width;
            vec![
                ("linear.weight".to_owned(), vec![made, config.clip_width]),
                ("linear.bias".to_owned(), vec![made]),
                ("prefix_const".to_owned(), vec![config.prefix_length, config.gpt_width]),
            ]
        };
        match config.kind {
            MapperKind::Mlp => Mlp::expected(config),
            MapperKind::Transformer => [before(), Transformer::expected(config)].concat(),
            MapperKind::Bert => [before(), Bert::expected(config)].concat(),
        }
    }

    /// Name and shape of what the original's state dict holds beside them, and nothing reads.
    #[must_use]
    pub fn idle(config: &MapperConfig) -> Expected {
        match config.kind {
            MapperKind::Bert => Bert::idle(config),
            MapperKind::Mlp | MapperKind::Transformer => Vec::new(),
        }
    }

    /// The first tokens of captions.
    ///
    /// # Shapes
    /// `features`: (rows, clip width), f32, or the type to compute in; the result: (rows, prefix
    /// length, GPT-2's width).
    ///
    /// # Errors
    /// When shapes do not fit or the device fails.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        self.forward_dropped(features, None)
    }

    /// As [`forward`](Self::forward), with dropout where the original has it: in `bert` only.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_dropped(
        &self,
        features: &Tensor,
        dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let rows = features.dim(0)?;
        let of = &self.config;
        let shape = (rows, of.prefix_length, of.gpt_width);
        let mixed = match &self.inner {
            Inner::Mlp(mlp) => return mlp.forward(features)?.reshape(shape),
            Inner::Transformer(before, transformer) => {
                transformer.forward(&before.forward(features, of)?, dropout)?
            }
            Inner::Bert(before, bert) => bert.forward(&before.forward(features, of)?, dropout)?,
        };
        mixed.narrow(1, of.constant_length, of.prefix_length)?.contiguous()
    }
}

impl Before {
    fn build(source: &mut Source<'_>, of: &MapperConfig) -> crate::base::Result<Self> {
        let sizes = (of.clip_width, of.constant_length * of.gpt_width);
        let init = Init::linear(of.clip_width);
        let linear = Linear::build(source, "linear", Form::OutputFirst, sizes, Some(init), init)?;
        let shape = [of.prefix_length, of.gpt_width];
        let constants = source.weight("prefix_const", &shape, Init::Normal(1.0))?;
        Ok(Self { linear, constants })
    }

    fn forward(&self, features: &Tensor, of: &MapperConfig) -> Result<Tensor> {
        let rows = features.dim(0)?;
        let made = self.linear.forward(features)?;
        let made = made.reshape((rows, of.constant_length, of.gpt_width))?;
        let constants = self.constants.tensor().to_dtype(made.dtype())?.unsqueeze(0)?;
        let constants = constants.broadcast_as((rows, of.prefix_length, of.gpt_width))?;
        Tensor::cat(&[&made, &constants.contiguous()?], 1)
    }
}
