//! The text tower on a GPU.

use candle_core::{DType, Device, Result, Tensor};

use super::super::architecture::{Architecture, TextTower};
use super::super::names::Names;
use super::super::packed::cut;
use super::blocks::{FusedBlocks, reader};
use crate::nn::fault::candle;
use crate::nn::weights::Weights;

/// A causal text transformer with its projection.
#[derive(Debug)]
pub struct FusedText {
    of: TextTower,
    table: Tensor,
    position: Tensor,
    blocks: FusedBlocks,
}

impl FusedText {
    /// Reads the tower out of weights that [`check`](super::super::names::check) passed. None
    /// where the GPU or the kernels do not have what it needs.
    ///
    /// # Errors
    /// When a tensor cannot be read or placed on the GPU, or the kernels are not compiled.
    pub fn read(
        weights: &Weights,
        names: &Names,
        of: &Architecture,
        dtype: DType,
        device: &Device,
    ) -> crate::base::Result<Option<Self>> {
        let reader = reader(weights, device, dtype);
        let names = &names.text;
        let Some(blocks) = FusedBlocks::read(&reader, names, of.text.transformer, true)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            of: of.text,
            table: reader.tensor(&names.input)?,
            position: reader.added(&names.position)?,
            blocks,
        }))
    }

    /// Features, not normalised.
    ///
    /// A token sees only those before it, so a text ends with its pooled token, and a batch is as
    /// long as its longest text.
    ///
    /// # Shapes
    /// `texts`: token ids, not empty; the result: a feature for each.
    ///
    /// # Errors
    /// When an id is not in the vocabulary, a text is longer than the context, or the GPU fails.
    pub fn forward(&self, texts: &[Vec<u32>]) -> crate::base::Result<Vec<f32>> {
        let texts = cut(&self.of, texts)?;
        self.features(&texts).map_err(candle("cannot embed texts"))
    }

    fn features(&self, texts: &[&[u32]]) -> Result<Vec<f32>> {
        let tokens = texts.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let padded = |ids: &&[u32]| {
            ids.iter().copied().chain(std::iter::repeat(0)).take(tokens).collect::<Vec<_>>()
        };
        let ids: Vec<u32> = texts.iter().flat_map(padded).collect();
        let tables = (&self.table, &self.position);
        let begun = self.blocks.kernels.look_up(&ids, tokens, tables, self.blocks.first())?;
        let mut pooled = Vec::with_capacity(texts.len());
        for (row, ids) in texts.iter().enumerate() {
            match u32::try_from(row * tokens + ids.len() - 1) {
                Ok(at) => pooled.push(at),
                Err(_) => candle_core::bail!("{} texts at once are too many", texts.len()),
            }
        }
        let pooled = Tensor::from_vec(pooled, texts.len(), self.table.device())?;
        let features =
            self.blocks.forward(begun, tokens, |normed| normed.index_select(&pooled, 0))?;
        features.flatten_all()?.to_vec1()
    }
}
