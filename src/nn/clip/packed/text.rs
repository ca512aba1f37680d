//! The text tower on the processor.

use super::super::architecture::{Architecture, TextTower};
use super::super::names::Names;
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
        let packer = Packer::new(weights, &names.text, number);
        Ok(Self {
            of: of.text,
            tokens: packer.floats(&packer.names.input)?,
            positions: packer.floats(&packer.names.position)?,
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
        let texts = cut(&self.of, texts)?;
        let rows: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        Ok(self.crew.share(&rows, |group, workspace, share| {
            self.group(texts.get(group).unwrap_or_default(), workspace, share)
        }))
    }

    fn group(&self, texts: &[&[u32]], at: &mut Workspace, share: Share) -> Vec<f32> {
        let width = self.of.transformer.width.max(1);
        at.x.shape(texts.iter().map(|ids| ids.len()).sum(), width);
        // `cut` saw that every token is in the vocabulary, and the table has a row for each: its
        // shape was checked when the weights were opened.
        let tokens = texts.iter().flat_map(|ids| ids.iter().zip(self.positions.chunks(width)));
        for (row, (id, position)) in tokens.enumerate() {
            let token = usize::try_from(*id).ok().and_then(|id| self.tokens.chunks(width).nth(id));
            sum(at.x.row_mut(row), token.unwrap_or_default(), position);
        }
        let (segments, pooled) = segments(texts);
        self.blocks.forward(at, &segments, &pooled, share);
        at.features(texts.len(), self.blocks.outputs())
    }
}

/// Texts up to their pooled tokens: a token sees only those before it.
///
/// # Errors
/// When an id is not in the vocabulary, or a text is longer than the context.
pub(in super::super) fn cut<'a>(of: &TextTower, texts: &'a [Vec<u32>]) -> Result<Vec<&'a [u32]>> {
    let texts: Vec<&[u32]> =
        texts.iter().map(|ids| ids.get(..=of.pooled(ids)).unwrap_or_default()).collect();
    for ids in &texts {
        if ids.is_empty() || ids.len() > of.context {
            return Err(Error::new(
                Kind::Internal,
                format!("a text has {} tokens, expected 1 to {}", ids.len(), of.context),
            ));
        }
        let is_unknown = |id: &&u32| usize::try_from(**id).is_ok_and(|id| id >= of.vocabulary);
        if let Some(id) = ids.iter().find(is_unknown) {
            return Err(Error::new(
                Kind::Internal,
                format!("token {id} is not among the {} of the model", of.vocabulary),
            ));
        }
    }
    Ok(texts)
}

/// Rows of texts that stand one after the other, and their last tokens'.
pub(super) fn segments(texts: &[&[u32]]) -> (Vec<Segment>, Vec<usize>) {
    let mut start = 0;
    let segments = texts.iter().map(|ids| {
        start += ids.len();
        Segment { start: start - ids.len(), len: ids.len() }
    });
    let segments: Vec<Segment> = segments.collect();
    let pooled = segments.iter().map(|segment| segment.start + segment.len - 1).collect();
    (segments, pooled)
}

/// What a token starts from.
pub(super) fn sum(to: &mut [f32], token: &[f32], position: &[f32]) {
    let numbers = token.iter().zip(position);
    to.iter_mut().zip(numbers).for_each(|(to, (token, position))| *to = token + position);
}
