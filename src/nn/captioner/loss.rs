//! The loss of captions, given their images.

use candle_core::{Device, Result, Tensor};

use super::model::Captioner;
use crate::nn::layers::Dropout;

/// Captions and their images' features.
#[derive(Debug, Clone)]
pub struct Batch {
    /// (rows, clip width), f32.
    pub features: Tensor,
    /// (rows, longest caption), u32; what is beyond a caption's length is not looked at, but must
    /// be in the vocabulary.
    pub tokens: Tensor,
    /// Tokens of each caption, its end token included.
    pub lengths: Vec<usize>,
}

impl Batch {
    /// Puts captions of different lengths together, filled up with `padding`.
    ///
    /// # Errors
    /// When there are not as many features as captions, or the device fails.
    pub fn new(
        features: &Tensor,
        captions: &[&[u32]],
        padding: u32,
        device: &Device,
    ) -> Result<Self> {
        let longest = captions.iter().map(|caption| caption.len()).max().unwrap_or(0);
        if features.dim(0)? != captions.len() {
            candle_core::bail!("{} features, {} captions", features.dim(0)?, captions.len());
        }
        let mut tokens = Vec::with_capacity(captions.len() * longest);
        for caption in captions {
            tokens.extend(caption.iter().copied().chain(std::iter::repeat(padding)).take(longest));
        }
        Ok(Self {
            features: features.to_device(device)?,
            tokens: Tensor::from_vec(tokens, (captions.len(), longest), device)?,
            lengths: captions.iter().map(|caption| caption.len()).collect(),
        })
    }

    /// Tokens that count in the loss: all of them but padding.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lengths.iter().sum()
    }
}

impl Captioner {
    /// The mean cross entropy of a batch's caption tokens, each predicted from the image and the
    /// tokens before it. Padding neither counts nor is seen; the head, and the last block behind its
    /// attention, are computed for the positions that predict a token and no others.
    ///
    /// With dropout in the mapper, and in a GPT-2 that trains: a frozen one is in `eval()` in both
    /// projects.
    ///
    /// # Shapes
    /// The result: a single f32.
    ///
    /// # Errors
    /// When shapes do not fit, the batch has no tokens, or the device fails.
    pub fn loss(&self, batch: &Batch, mut dropout: Option<&mut Dropout>) -> Result<Tensor> {
        let (rows, longest) = batch.tokens.dims2()?;
        if batch.lengths.len() != rows || batch.lengths.iter().any(|length| *length > longest) {
            candle_core::bail!("lengths {:?} of tokens {rows}, {longest}", batch.lengths);
        }
        let prefix = self.prefix_dropped(&batch.features, dropout.as_deref_mut())?;
        let before = prefix.dim(1)?;
        // The last token of the longest caption predicts nothing, so it is not computed on.
        let seen = longest.saturating_sub(1);
        let embeds = if seen == 0 {
            prefix
        } else {
            let tokens = self.gpt2.embed(&batch.tokens.narrow(1, 0, seen)?)?;
            Tensor::cat(&[&prefix, &tokens], 1)?
        };
        let all = before + seen;
        let (mut at, mut targets) = (Vec::new(), Vec::new());
        for (row, length) in batch.lengths.iter().enumerate() {
            for token in 0..*length {
                at.push(u32::try_from(row * all + before + token - 1).unwrap_or(u32::MAX));
                targets.push(u32::try_from(row * longest + token).unwrap_or(u32::MAX));
            }
        }
        // Padding is on the right and attention looks to the left: no mask is needed.
        let dropout = dropout.filter(|_| self.gpt2.trains());
        let hidden = self.gpt2.hidden_at(&embeds, &at, dropout)?;
        let targets = Tensor::new(targets, hidden.device())?;
        let targets = batch.tokens.flatten_all()?.index_select(&targets, 0)?;
        self.gpt2.loss(&hidden, &targets)
    }
}
