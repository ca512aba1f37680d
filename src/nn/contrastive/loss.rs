//! The symmetric cross entropy of CLIP (Radford et al., 2021, figure 3).

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var};

use super::model::{Pair, TrainableClip};
use crate::nn::gradient::{Weight, is_native, node, numbers};

/// Similarities are multiplied by 100 at most, as in CLIP's training.
const MOST: f64 = 100.0;

/// Added to what is no counterexample, so that it has no part in a softmax.
const NEVER: f32 = -1e30;

impl TrainableClip {
    /// The mean of two cross entropies: of each image among the captions, and of each caption
    /// among the images, at the learned temperature.
    ///
    /// # Shapes
    /// The result: a single f32.
    ///
    /// # Errors
    /// When images, captions and their numbers differ, or the device fails.
    pub fn loss(&self, pair: &Pair<'_>) -> Result<Tensor> {
        let rows = pair.texts.len();
        if pair.shown.len() != rows || rows == 0 {
            candle_core::bail!("{rows} captions, {} images", pair.shown.len());
        }
        let (images, texts) = self.both(|| self.images(pair.images), || self.texts(pair.texts));
        let (images, texts) = (images?, texts?);
        if images.dim(0)? != rows {
            candle_core::bail!("{rows} captions, {} images", images.dim(0)?);
        }
        if is_native(&images) && self.scale.trains() {
            self.apart(images, texts, pair.shown)
        } else {
            self.contrast(&images, &texts, pair.shown)
        }
    }

    /// Both towers at once, on the processor: where one has little to share out, the other has work.
    fn both<A: Send, B: Send>(
        &self,
        one: impl FnOnce() -> A + Send,
        other: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        if self.device.is_cpu() { rayon::join(one, other) } else { (one(), other()) }
    }

    /// The loss of features, as one node: what is behind it is a graph for each tower, which share
    /// no weight and are gone through at once.
    fn apart(&self, images: Tensor, texts: Tensor, shown: &[usize]) -> Result<Tensor> {
        let leaf = |features: &Tensor| Var::from_tensor(&features.detach());
        let leaves = [leaf(&images)?, leaf(&texts)?];
        let [of_images, of_texts] = &leaves;
        let loss = self.contrast(of_images.as_tensor(), of_texts.as_tensor(), shown)?;
        let value = vec![loss.to_scalar::<f32>()?];
        let weights: Vec<Weight> = self.weights.iter().map(|(_, weight)| weight.clone()).collect();
        let scale = self.scale.clone();
        node("clip loss", &loss.detach(), &[&self.scale], value, (), move |of_loss, _| {
            let factor = f64::from(of_loss.first().copied().unwrap_or_default());
            let mut store = (&loss * factor)?.backward()?;
            take(&mut store, [&scale])?;
            let mut of = |leaf: &Var| match store.remove(leaf.as_tensor()) {
                Some(gradient) => Ok(gradient),
                None => candle_core::bail!("features without a gradient"),
            };
            let [of_images, of_texts] = &leaves;
            let (of_images, of_texts) = (of(of_images)?, of(of_texts)?);
            let back = |features: &Tensor, gradient: &Tensor| {
                take(&mut (features * gradient)?.sum_all()?.backward()?, &weights)
            };
            let (one, other) =
                rayon::join(|| back(&images, &of_images), || back(&texts, &of_texts));
            one.and(other).map(|()| None)
        })
    }

    /// # Shapes
    /// `images`, `texts`: (rows, width), of an L2 norm of one; the result: a single number.
    fn contrast(&self, images: &Tensor, texts: &Tensor, shown: &[usize]) -> Result<Tensor> {
        let rows = shown.len();
        let scale = self.scale.tensor().exp()?.minimum(MOST)?;
        let logits = images.matmul(&texts.t()?)?.broadcast_mul(&scale)?;
        let logits = (logits + twins(shown, images.device())?)?;
        let targets = Tensor::arange(0, u32::try_from(rows).unwrap_or(u32::MAX), images.device())?;
        let of_images = candle_nn::loss::cross_entropy(&logits, &targets)?;
        let of_texts = candle_nn::loss::cross_entropy(&logits.t()?.contiguous()?, &targets)?;
        (of_images + of_texts)? * 0.5
    }
}

/// Adds what candle's own operators found to the gradients of weights.
fn take<'a>(store: &mut GradStore, weights: impl IntoIterator<Item = &'a Weight>) -> Result<()> {
    for weight in weights {
        if let Some(gradient) = store.remove(weight.tensor()) {
            weight.add_numbers(&numbers(&gradient.contiguous()?)?);
        }
    }
    Ok(())
}

/// Takes an image's other captions out of its counterexamples.
fn twins(shown: &[usize], device: &Device) -> Result<Tensor> {
    let rows = shown.len();
    let mut bias = vec![0.0_f32; rows * rows];
    for (i, row) in bias.chunks_exact_mut(rows).enumerate() {
        for (j, (x, image)) in row.iter_mut().zip(shown).enumerate() {
            if i != j && shown.get(i) == Some(image) {
                *x = NEVER;
            }
        }
    }
    Tensor::from_vec(bias, (rows, rows), device)
}
