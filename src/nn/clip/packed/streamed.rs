//! The image tower on the processor in little memory: a block at a time.

use super::super::architecture::{Architecture, VisionTower};
use super::super::images::Images;
use super::super::names::Names;
use super::blocks::{Block, End, How, Workspace};
use super::vision::{Begin, packer, segments};
use crate::base::Result;
use crate::nn::kernels::{Grid, Number, Share};
use crate::nn::weights::Weights;

/// Rows that go through a block at once: more would only need more memory.
const ROWS: usize = 1024;

/// An image tower in f32 whose weights stay in their file: each block is packed when a batch has
/// come to it, and dropped when the batch has passed. For few images beside another model: a
/// batch costs a reading of all weights.
#[derive(Debug)]
pub struct StreamedVision {
    weights: Weights,
    names: Names,
    of: VisionTower,
}

impl StreamedVision {
    pub(in crate::nn) fn new(weights: Weights, names: Names, of: &Architecture) -> Self {
        Self { weights, names, of: of.vision }
    }

    /// The features that [`PackedVision`](super::PackedVision) gives in f32, to the bit.
    ///
    /// # Shapes
    /// As there.
    ///
    /// # Errors
    /// When a tensor cannot be read.
    pub fn forward(&self, images: Images<'_>) -> Result<Vec<f32>> {
        let of = &self.of;
        let packer = packer(&self.weights, &self.names, Number::F32);
        let how = How::new(of.transformer, false, Number::F32);
        let share = Share::All;
        let each = 3 * of.size_px * of.size_px;
        let at_once = (ROWS / (of.grid() * of.grid() + 1)).max(1);
        let mut at = Workspace::default();
        // the rows of each group of images, from block to block
        let mut groups: Vec<(Grid, usize)> = Vec::new();
        let begin = Begin::pack(&packer, *of)?;
        let all = images.len() / each;
        for first in (0..all).step_by(at_once) {
            let count = at_once.min(all - first);
            let images = images.part(first..first + count, each);
            begin.apply(how.level(), (images, count), &mut at, share);
            groups.push((std::mem::take(&mut at.x), count));
        }
        drop(begin);
        for layer in 0..of.transformer.layers.saturating_sub(1) {
            let block = Block::pack(&packer, of.transformer, layer)?;
            for (x, count) in &mut groups {
                std::mem::swap(&mut at.x, x);
                block.apply(how, &mut at, &segments(of, *count).0, share);
                std::mem::swap(&mut at.x, x);
            }
        }
        let end = End::pack(&packer, of.transformer)?;
        let mut features = Vec::new();
        for (x, count) in groups {
            at.x = x;
            let (segments, pooled) = segments(of, count);
            end.apply(how, &mut at, (&segments, &pooled), share);
            features.extend(at.features(count, end.outputs()));
        }
        Ok(features)
    }
}
