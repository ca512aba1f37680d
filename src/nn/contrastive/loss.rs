//! The symmetric cross entropy of CLIP (Radford et al., 2021, figure 3).

use candle_core::{Device, Result, Tensor, Var};

use super::model::{Pair, TrainableClip};
use crate::nn::gradient::{is_native, node, numbers};

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
        let scale = self.scale.clone();
        node("clip loss", &loss.detach(), &[&self.scale], value, (), move |of_loss, _| {
            let factor = f64::from(of_loss.first().copied().unwrap_or_default());
            let mut store = (&loss * factor)?.backward()?;
            if let Some(of_scale) = store.remove(scale.tensor()) {
                scale.add_numbers(&numbers(&of_scale)?);
            }
            let mut of = |leaf: &Var| match store.remove(leaf.as_tensor()) {
                // What candle made it of is no part of the towers' graphs.
                Some(gradient) => Ok(gradient.detach()),
                None => candle_core::bail!("features without a gradient"),
            };
            let [of_images, of_texts] = &leaves;
            let (of_images, of_texts) = (of(of_images)?, of(of_texts)?);
            // All of a tower that has weights are nodes, which add to their gradients themselves.
            let back = |features: &Tensor, gradient: &Tensor| {
                (features * gradient)?.sum_all()?.backward().map(drop)
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

#[cfg(test)]
mod tests {
    use candle_core::backprop::GradStore;

    use super::*;
    use crate::base::files::read_text_capped;
    use crate::nn::clip::{Activation, ClipConfig, Pooling, hugging_face_config, write_random};
    use crate::nn::weights::Weights;

    /// A small one, and the token that ends its texts.
    fn clip() -> (TrainableClip, u32) {
        let dir = tempfile::tempdir().unwrap();
        let config = ClipConfig {
            size_px: 32,
            patch_px: 8,
            image_width: 24,
            image_layers: 2,
            text_width: 16,
            text_layers: 1,
            context: 8,
            merges: 4,
            width: 12,
            activation: Activation::Gelu,
            head_width: 8,
            ..ClipConfig::default()
        };
        write_random(dir.path(), &config, 5, &["one red ring", "two blue discs"]).unwrap();
        let of = read_text_capped(&dir.path().join("config.json"), 1 << 20).unwrap();
        let weights = Weights::open(&dir.path().join("model.safetensors")).unwrap();
        let of = hugging_face_config(&of).unwrap();
        let Pooling::First(end) = of.text.pooling else { panic!("{:?}", of.text.pooling) };
        (TrainableClip::read(&weights, &of, &Device::Cpu).unwrap(), end)
    }

    /// The gradients of both graphs and of one, of a scaled loss, twice onto each other, and behind a
    /// pass that failed.
    #[test]
    fn towers_apart_have_the_gradients_of_one_graph() {
        let (clip, end) = clip();
        let images: Vec<f32> =
            (0..3 * 3 * 32 * 32).map(|i| f32::from(u16::try_from(i).unwrap()).sin()).collect();
        let texts = [vec![1, 7, 9, end], vec![1, 4, end], vec![1, 9, 9, 5, end]];
        let pair = Pair { images: &images, texts: &texts, shown: &[0, 1, 0] };
        let whole = || {
            let (images, texts) = (clip.images(&images).unwrap(), clip.texts(&texts).unwrap());
            clip.contrast(&images, &texts, pair.shown).unwrap()
        };
        let scaled = |loss: Tensor| (loss * 0.25).unwrap();
        let numbers = |store: &GradStore| -> Vec<(String, Vec<f32>)> {
            let all = clip.parameters().into_iter();
            let of = |gradient: &Tensor| gradient.flatten_all().unwrap().to_vec1().unwrap();
            all.map(|(name, var)| (name, of(store.get(&var).unwrap()))).collect()
        };
        let agree = |ours: &[(String, Vec<f32>)], want: &[(String, Vec<f32>)], times: f32| {
            assert_eq!(ours.len(), want.len());
            for ((name, ours), (_, want)) in ours.iter().zip(want) {
                let most = want.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                for (a, b) in ours.iter().zip(want) {
                    let off = (a - times * b).abs();
                    assert!(off <= 1e-4 * most + 1e-9, "{name}: {a}, not {times} · {b}");
                }
            }
        };
        let loss = clip.loss(&pair).unwrap();
        assert!(
            (loss.to_scalar::<f32>().unwrap() - whole().to_scalar::<f32>().unwrap()).abs() < 1e-6
        );
        let want = numbers(&clip.backward(&scaled(whole())).unwrap());
        assert!(want.iter().all(|(_, of)| of.iter().any(|x| *x != 0.0)), "nothing is compared");
        let loss = scaled(loss);
        let once = clip.backward(&loss).unwrap();
        agree(&numbers(&once), &want, 1.0);
        assert!(clip.backward(&loss).unwrap_err().to_string().contains("before"));
        let again = scaled(clip.loss(&pair).unwrap());
        agree(&numbers(&clip.backward_onto(&again, Some(once)).unwrap()), &want, 2.0);
    }
}
