//! The text tower on the processor.

use super::super::architecture::{Architecture, TextTower};
use super::super::names::{Names, Reader};
use super::blocks::{PackedBlocks, Packer, Workspace};
use super::crew::Crew;
use crate::base::{Error, Kind, Result};
use crate::nn::kernels::{Number, Segment, Share};
use crate::nn::weights::Weights;

/// A causal text transformer with its projection, its weights packed.
#[derive(Debug)]
pub struct PackedText {
    of: TextTower,
    tokens: Vec<f32>,
    positions: Vec<f32>,
    blocks: PackedBlocks,
    crew: Crew,
}

impl PackedText {
    pub(in crate::nn) fn pack(
        weights: &Weights,
        names: &Names,
        of: &Architecture,
        number: Number,
    ) -> Result<Self> {
        let names = &names.text;
        let reader =
            Reader { weights, device: &candle_core::Device::Cpu, dtype: candle_core::DType::F32 };
        let packer = Packer { reader, names, number };
        Ok(Self {
            of: of.text,
            tokens: packer.floats(&names.input)?,
            positions: packer.floats(&names.position)?,
            blocks: PackedBlocks::pack(&packer, of.text.transformer, true)?,
            crew: Crew::default(),
        })
    }

    /// Features, not normalised. A row's numbers do not depend on the other rows.
    ///
    /// A token sees only those before it, so a text ends with its pooled token, and texts stand
    /// one after the other without a token between them: none is padded.
    ///
    /// # Shapes
    /// `texts`: token ids, not empty; the result: a feature for each.
    ///
    /// # Errors
    /// When an id is not in the vocabulary, or a text is longer than the context.
    pub fn forward(&self, texts: &[Vec<u32>]) -> Result<Vec<f32>> {
        let texts: Vec<&[u32]> =
            texts.iter().map(|ids| ids.get(..=self.of.pooled(ids)).unwrap_or_default()).collect();
        for ids in &texts {
            if ids.is_empty() || ids.len() > self.of.context {
                return Err(Error::new(
                    Kind::Internal,
                    format!("a text has {} tokens, expected 1 to {}", ids.len(), self.of.context),
                ));
            }
            if let Some(id) = ids.iter().find(|id| self.embedding(**id).is_none()) {
                return Err(Error::new(
                    Kind::Internal,
                    format!("token {id} is not among the {} of the model", self.of.vocabulary),
                ));
            }
        }
        let rows: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        Ok(self.crew.share(&rows, |group, workspace, share| {
            self.group(texts.get(group).unwrap_or_default(), workspace, share)
        }))
    }

    fn embedding(&self, id: u32) -> Option<&[f32]> {
        let (id, width) = (usize::try_from(id).ok()?, self.of.transformer.width);
        self.tokens.get(id.checked_mul(width)?..id.checked_add(1)?.checked_mul(width)?)
    }

    fn group(&self, texts: &[&[u32]], at: &mut Workspace, share: Share) -> Vec<f32> {
        let width = self.of.transformer.width;
        let mut segments = Vec::with_capacity(texts.len());
        let mut start = 0;
        for ids in texts {
            segments.push(Segment { start, len: ids.len() });
            start += ids.len();
        }
        at.x.shape(start, width);
        let mut row = 0;
        for ids in texts {
            for (id, position) in ids.iter().zip(self.positions.chunks(width.max(1))) {
                let numbers = self.embedding(*id).unwrap_or_default().iter().zip(position);
                let to = at.x.row_mut(row).iter_mut().zip(numbers);
                to.for_each(|(to, (token, position))| *to = token + position);
                row += 1;
            }
        }
        let pooled: Vec<usize> =
            segments.iter().map(|segment| segment.start + segment.len - 1).collect();
        self.blocks.forward(at, &segments, &pooled, share);
        let outputs = self.blocks.outputs();
        (0..texts.len())
            .flat_map(|row| at.features.row(row).iter().take(outputs).copied())
            .collect()
    }
}
