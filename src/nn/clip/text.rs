//! The text tower.

use candle_core::{DType, Device, Result, Tensor};

use super::architecture::{Architecture, TextTower};
use super::block::{Blocks, norm, project};
use super::names::{Affine, Names, Reader};
use crate::nn::weights::Weights;

/// A causal text transformer with its projection.
#[derive(Debug)]
pub struct TextModel {
    of: TextTower,
    tokens: Tensor,
    position: Tensor,
    blocks: Blocks,
    post: Affine,
    projection: Tensor,
}

/// Attention's product over fewer tokens takes another path through the processor's matrix
/// product, which adds in another order.
const FEWEST_TOKENS: usize = 4;

impl TextModel {
    /// Reads the tower out of weights that [`check`](super::names::check) passed.
    ///
    /// # Errors
    /// When a tensor cannot be read or placed on the device.
    pub fn read(
        weights: &Weights,
        names: &Names,
        of: &Architecture,
        dtype: DType,
        device: &Device,
    ) -> crate::base::Result<Self> {
        let reader = Reader { weights, device, dtype, added: dtype };
        let names = &names.text;
        Ok(Self {
            of: of.text,
            tokens: reader.tensor(&names.input)?,
            position: reader.added(&names.position)?,
            blocks: Blocks::read(&reader, names, of.text.transformer, true)?,
            post: reader.norm(&names.post_norm)?,
            projection: reader.projection(names)?,
        })
    }

    /// Features, not normalised.
    ///
    /// A token sees only those before it, so every text is cut after its pooled token and the
    /// batch is as long as its longest text, not as the context: the numbers are the same.
    ///
    /// # Shapes
    /// `texts`: token ids, each text at most as long as the context and not empty; the result:
    /// (texts, width), f32.
    ///
    /// # Errors
    /// When an id is not in the vocabulary, a text is too long, or the device fails.
    pub fn forward(&self, texts: &[Vec<u32>]) -> Result<Tensor> {
        let pooled: Vec<usize> = texts.iter().map(|ids| self.of.pooled(ids)).collect();
        let longest = pooled.iter().max().map_or(0, |last| last + 1);
        let longest = longest.max(FEWEST_TOKENS.min(self.of.context));
        if longest > self.of.context {
            candle_core::bail!("a text has {longest} tokens, more than {}", self.of.context);
        }
        let mut ids = Vec::with_capacity(texts.len() * longest);
        for text in texts {
            ids.extend(text.iter().copied().chain(std::iter::repeat(0)).take(longest));
        }
        let device = self.tokens.device();
        let ids = Tensor::from_vec(ids, texts.len() * longest, device)?;
        let x = self.tokens.index_select(&ids, 0)?.reshape((texts.len(), longest, ()))?;
        let x = x.broadcast_add(&self.position.narrow(0, 0, longest)?)?;
        let x = self.blocks.forward(&x)?;
        let rows: Vec<Tensor> = pooled
            .iter()
            .enumerate()
            .map(|(row, token)| x.narrow(0, row, 1)?.narrow(1, *token, 1)?.squeeze(1))
            .collect::<Result<_>>()?;
        let x = norm(&Tensor::cat(&rows, 0)?, &self.post, self.of.transformer.epsilon)?;
        project(&x, &self.projection)?.to_dtype(DType::F32)
    }
}
