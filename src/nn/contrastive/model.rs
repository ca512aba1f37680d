//! Both towers, their projections, and the temperature.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};

use super::tokens::{patches, placed};
use super::tower::Blocks;
use crate::nn::clip::{Architecture, Pooling};
use crate::nn::gradient::{Weight, backward, backward_onto, recycle};
use crate::nn::layers::{Embedding, Form, Init, Linear, Norm, Source};
use crate::nn::weights::Weights;

/// A CLIP that trains. Its weights are f32.
#[derive(Debug)]
pub struct TrainableClip {
    of: Architecture,
    pub(super) device: Device,
    patch: Linear,
    class: Weight,
    places: Weight,
    pre: Norm,
    image_blocks: Blocks,
    image_post: Norm,
    image_out: Linear,
    tokens: Embedding,
    positions: Weight,
    text_blocks: Blocks,
    text_post: Norm,
    text_out: Linear,
    /// Logarithm of what similarities are multiplied by.
    pub(super) scale: Weight,
    weights: Vec<(String, Weight)>,
}

/// Images and captions that belong together, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Prepared images, each 3 × size × size numbers, channels first.
    pub images: &'a [f32],
    /// Token ids of each caption, start and end included, at most as many as the context.
    pub texts: &'a [Vec<u32>],
    /// Which image each row shows: two rows of one image are no counterexamples of each other.
    pub shown: &'a [usize],
}

impl TrainableClip {
    /// Takes the weights of a Hugging Face CLIP of this architecture; they were checked before.
    ///
    /// # Errors
    /// When a tensor is missing or of another shape, or the device has no memory for it.
    pub fn read(
        weights: &Weights,
        of: &Architecture,
        device: &Device,
    ) -> crate::base::Result<Self> {
        let mut source = Source::file(weights, device, DType::F32, true);
        let place = crate::nn::fault::candle("cannot lay out a CLIP");
        let (image, text) = (of.vision.transformer, of.text.transformer);
        let grid = of.vision.grid();
        let side = of.vision.patch_px;
        let zero = Init::Zero;
        let at = "vision_model.embeddings";
        let kernel = source.weight(
            &format!("{at}.patch_embedding.weight"),
            &[image.width, 3, side, side],
            zero,
        )?;
        let patch = Linear::tied(&kernel).map_err(place)?;
        let class = source.weight(&format!("{at}.class_embedding"), &[image.width], zero)?;
        let places = source.weight(
            &format!("{at}.position_embedding.weight"),
            &[grid * grid + 1, image.width],
            zero,
        )?;
        // sic
        let pre =
            Norm::build(&mut source, "vision_model.pre_layrnorm", image.width, image.epsilon)?;
        let image_blocks =
            Blocks::build(&mut source, "vision_model.encoder.layers", &image, false)?;
        let image_post =
            Norm::build(&mut source, "vision_model.post_layernorm", image.width, image.epsilon)?;
        let mut project = |name: &str, width| {
            let sizes = (width, of.width);
            Linear::build(&mut source, name, Form::OutputFirst, sizes, None, zero)
        };
        let image_out = project("visual_projection", image.width)?;
        let text_out = project("text_projection", text.width)?;
        let at = "text_model.embeddings";
        let sizes = (of.text.vocabulary, text.width);
        let tokens = Embedding::build(&mut source, &format!("{at}.token_embedding"), sizes, zero)?;
        let positions = source.weight(
            &format!("{at}.position_embedding.weight"),
            &[of.text.context, text.width],
            zero,
        )?;
        let text_blocks = Blocks::build(&mut source, "text_model.encoder.layers", &text, true)?;
        let text_post =
            Norm::build(&mut source, "text_model.final_layer_norm", text.width, text.epsilon)?;
        let scale = source.weight("logit_scale", &[], zero)?;
        Ok(Self {
            of: *of,
            device: device.clone(),
            patch,
            class,
            places,
            pre,
            image_blocks,
            image_post,
            image_out,
            tokens,
            positions,
            text_blocks,
            text_post,
            text_out,
            scale,
            weights: source.given(),
        })
    }

    /// The variables, by transformers' names, in an order that never changes.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Var)> {
        let trained = self.weights.iter();
        trained.filter_map(|(name, w)| Some((name.clone(), w.var()?.clone()))).collect()
    }

    /// Every weight, by transformers' names.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.weights.iter().map(|(name, w)| (name.clone(), w.tensor().detach())).collect()
    }

    /// The gradients of a loss, added to those from `earlier`, where these lie.
    ///
    /// # Errors
    /// When the loss was gone through before, or memory runs out.
    pub fn backward_onto(&self, loss: &Tensor, earlier: Option<GradStore>) -> Result<GradStore> {
        backward_onto(loss, self.weights.iter().map(|(_, weight)| weight), earlier)
    }

    /// Keeps the room of gradients that are of no more use, and that nobody else holds, for those
    /// of the next step.
    pub fn recycle(&self, gradients: GradStore) {
        recycle(gradients, self.weights.iter().map(|(_, weight)| weight));
    }

    /// The gradients of a loss.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn backward(&self, loss: &Tensor) -> Result<GradStore> {
        backward(loss, self.weights.iter().map(|(_, weight)| weight))
    }

    /// Features of images, of an L2 norm of one.
    ///
    /// # Shapes
    /// `images`: rows of 3 × size × size numbers; the result: (rows, width).
    ///
    /// # Errors
    /// When the numbers do not fill whole images, or the device fails.
    pub fn images(&self, images: &[f32]) -> Result<Tensor> {
        let size = self.of.vision.size_px;
        let rows = images.len().checked_div(3 * size * size).unwrap_or(0);
        let patches = self.patch.forward(&patches(images, &self.of.vision, &self.device)?)?;
        let tokens = patches.dim(1)? + 1;
        let x = placed(&patches, Some(&self.class), &self.places)?;
        let class: Vec<u32> = (0..rows).map(|row| token_number(row * tokens)).collect();
        let x = self.image_blocks.forward(&self.pre.forward(&x)?, &class)?;
        unit(&self.image_out.forward(&self.image_post.forward(&x)?)?)
    }

    /// Features of texts, of an L2 norm of one.
    ///
    /// # Shapes
    /// `texts`: token ids, not empty; the result: (texts, width).
    ///
    /// # Errors
    /// When an id is not in the vocabulary, a text is too long, or the device fails.
    pub fn texts(&self, texts: &[Vec<u32>]) -> Result<Tensor> {
        let last: Vec<usize> = texts.iter().map(|ids| self.pooled(ids)).collect();
        // A token sees only those before it: nothing behind the pooled one is computed.
        let longest = last.iter().max().map_or(0, |last| last + 1);
        if longest > self.of.text.context {
            candle_core::bail!("a text has {longest} tokens, more than {}", self.of.text.context);
        }
        let mut ids = Vec::with_capacity(texts.len() * longest);
        for text in texts {
            ids.extend(text.iter().copied().chain(std::iter::repeat(0)).take(longest));
        }
        let width = self.of.text.transformer.width;
        let x = self.tokens.forward(&ids)?.reshape((texts.len(), longest, width))?;
        let at: Vec<u32> =
            last.iter().enumerate().map(|(row, last)| token_number(row * longest + last)).collect();
        let x = self.text_blocks.forward(&placed(&x, None, &self.positions)?, &at)?;
        unit(&self.text_out.forward(&self.text_post.forward(&x)?)?)
    }

    fn pooled(&self, ids: &[u32]) -> usize {
        let wanted = match self.of.text.pooling {
            Pooling::First(id) => Some(id),
            Pooling::HighestId => ids.iter().max().copied(),
        };
        ids.iter().position(|id| Some(*id) == wanted).unwrap_or(0)
    }
}

/// A token's number among those of all rows; one that is too large is none.
fn token_number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Every row divided by its L2 norm.
fn unit(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&x.sqr()?.sum_keepdim(1)?.sqrt()?)
}
