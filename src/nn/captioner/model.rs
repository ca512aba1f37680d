//! The model.

use candle_core::backprop::GradStore;
use candle_core::{D, Result, Tensor, Var};

use crate::nn::gpt2::Gpt2;
use crate::nn::gradient::{Weight, backward_onto, recycle};
use crate::nn::layers::Dropout;
use crate::nn::mapper::Mapper;

/// A mapping network and a GPT-2.
#[derive(Debug)]
pub struct Captioner {
    /// Writes the caption.
    pub gpt2: Gpt2,
    /// Makes its first tokens of an image's feature.
    pub mapper: Mapper,
    /// Whether features are brought to length 1 first.
    pub normalize_prefix: bool,
}

impl Captioner {
    /// Every weight by our name: `gpt2.` and transformers' name, `mapper.` and the name that both
    /// projects have below `clip_project.`. The order is always the same.
    pub fn weights(&self) -> impl Iterator<Item = (String, &Weight)> {
        let gpt2 = self.gpt2.weights().iter().map(|(name, w)| (format!("gpt2.{name}"), w));
        let mapper = self.mapper.weights().iter().map(|(name, w)| (format!("mapper.{name}"), w));
        mapper.chain(gpt2)
    }

    /// The variables of what trains, by our name. Their gradients come from
    /// [`backward`](Self::backward).
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Var)> {
        self.weights().filter_map(|(name, weight)| Some((name, weight.var()?.clone()))).collect()
    }

    /// The gradients of `loss` by every variable of [`parameters`](Self::parameters), one for
    /// each that has a part in it. Use this and not [`Tensor::backward`], which knows only those
    /// of candle's own operators.
    ///
    /// # Errors
    /// When the loss was gone through before, or memory runs out.
    pub fn backward(&self, loss: &Tensor) -> Result<GradStore> {
        self.backward_onto(loss, None)
    }

    /// As [`backward`](Self::backward), added to gradients from `earlier`, where these lie.
    ///
    /// # Errors
    /// As [`backward`](Self::backward).
    pub fn backward_onto(&self, loss: &Tensor, earlier: Option<GradStore>) -> Result<GradStore> {
        let weights: Vec<&Weight> = self.weights().map(|(_, weight)| weight).collect();
        backward_onto(loss, weights, earlier)
    }

    /// Keeps the room of gradients that are of no more use, and that nobody else holds, for those
    /// of the next step.
    pub fn recycle(&self, gradients: GradStore) {
        let weights: Vec<&Weight> = self.weights().map(|(_, weight)| weight).collect();
        recycle(gradients, weights);
    }

    /// The first tokens of captions.
    ///
    /// # Shapes
    /// `features`: (rows, clip width), f32; the result: (rows, prefix length, GPT-2's width).
    ///
    /// # Errors
    /// When shapes do not fit or the device fails.
    pub fn prefix(&self, features: &Tensor) -> Result<Tensor> {
        self.prefix_dropped(features, None)
    }

    pub(super) fn prefix_dropped(
        &self,
        features: &Tensor,
        dropout: Option<&mut Dropout>,
    ) -> Result<Tensor> {
        let features = if self.normalize_prefix {
            features.broadcast_div(&features.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)?
        } else {
            features.clone()
        };
        let features = features.to_dtype(self.gpt2.dtype())?;
        self.mapper.forward_dropped(&features, dropout)
    }
}
