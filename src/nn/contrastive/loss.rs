//! The symmetric cross entropy of CLIP (Radford et al., 2021, figure 3).

use candle_core::{Device, Result, Tensor};

use super::model::{Pair, TrainableClip};

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
        let images = self.images(pair.images)?;
        if images.dim(0)? != rows {
            candle_core::bail!("{rows} captions, {} images", images.dim(0)?);
        }
        let texts = self.texts(pair.texts)?;
        let scale = self.scale.tensor().exp()?.minimum(MOST)?;
        let logits = images.matmul(&texts.t()?)?.broadcast_mul(&scale)?;
        let logits = (logits + twins(pair.shown, images.device())?)?;
        let targets = Tensor::arange(0, u32::try_from(rows).unwrap_or(u32::MAX), images.device())?;
        let of_images = candle_nn::loss::cross_entropy(&logits, &targets)?;
        let of_texts = candle_nn::loss::cross_entropy(&logits.t()?.contiguous()?, &targets)?;
        (of_images + of_texts)? * 0.5
    }
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
