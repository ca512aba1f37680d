//! The image tower on the processor.

use super::super::architecture::{Architecture, VisionTower};
use super::super::names::{Names, Reader};
use super::blocks::{PackedBlocks, Packer, Workspace, linear};
use super::crew::Crew;
use crate::base::{Error, Kind, Result};
use crate::nn::fault::candle;
use crate::nn::kernels::{Finish, Linear, Norm, Number, Segment, Share};
use crate::nn::weights::Weights;

/// A vision transformer with its projection, its weights packed.
#[derive(Debug)]
pub struct PackedVision {
    of: VisionTower,
    /// Patches of 3 × patch × patch numbers to tokens.
    patch: Linear,
    /// Class token and positions: what a token starts from, a row each.
    start: Vec<f32>,
    pre: Norm,
    blocks: PackedBlocks,
    crew: Crew,
}

impl PackedVision {
    pub(in crate::nn) fn pack(
        weights: &Weights,
        names: &Names,
        of: &Architecture,
        number: Number,
    ) -> Result<Self> {
        let names = &names.vision;
        let (Some(class), Some(pre)) = (&names.class, &names.pre_norm) else {
            return Err(Error::new(Kind::Internal, "an image tower without class token"));
        };
        let reader =
            Reader { weights, device: &candle_core::Device::Cpu, dtype: candle_core::DType::F32 };
        let packer = Packer { reader, names, number };
        let transformer = of.vision.transformer;
        let patch = packer
            .reader
            .tensor(&names.input)?
            .flatten_from(1)
            .and_then(|t| t.t()?.contiguous())
            .map_err(candle("cannot lay out the image tower"))?;
        let class = packer.floats(class)?;
        let mut start = packer.floats(&names.position)?;
        start.iter_mut().zip(class).for_each(|(position, class)| *position += class);
        Ok(Self {
            of: of.vision,
            patch: linear(number, &patch, None)?,
            start,
            pre: packer.norm(pre, transformer.epsilon)?,
            blocks: PackedBlocks::pack(&packer, transformer, false)?,
            crew: Crew::default(),
        })
    }

    /// Features, not normalised. A row's numbers do not depend on the other rows.
    ///
    /// # Shapes
    /// `images`: whole images of 3 × size × size numbers; the result: a feature for each.
    #[must_use]
    pub fn forward(&self, images: &[f32]) -> Vec<f32> {
        let each = 3 * self.of.size_px * self.of.size_px;
        let tokens = self.of.grid() * self.of.grid() + 1;
        let rows = vec![tokens; images.len() / each];
        self.crew.share(&rows, |group, workspace, share| {
            let images = images.get(group.start * each..group.end * each).unwrap_or_default();
            self.group(images, group.len(), workspace, share)
        })
    }

    fn group(&self, images: &[f32], count: usize, at: &mut Workspace, share: Share) -> Vec<f32> {
        let level = self.blocks.level();
        let tokens = self.of.grid() * self.of.grid() + 1;
        let width = self.of.transformer.width;
        at.x.shape(count * tokens, width);
        for row in 0..count * tokens {
            let token = row % tokens;
            let start = self.start.get(token * width..(token + 1) * width).unwrap_or_default();
            at.x.row_mut(row).iter_mut().zip(start).for_each(|(to, x)| *to = *x);
        }
        self.patches(images, count, at);
        self.patch.apply(level, &at.wide, &mut at.scratch, &mut at.x, Finish::Add, share);
        self.pre.apply(level, &at.x, &mut at.narrow, share);
        std::mem::swap(&mut at.x, &mut at.narrow);
        let segments: Vec<Segment> =
            (0..count).map(|i| Segment { start: i * tokens, len: tokens }).collect();
        let pooled: Vec<usize> = segments.iter().map(|segment| segment.start).collect();
        self.blocks.forward(at, &segments, &pooled, share);
        let outputs = self.blocks.outputs();
        (0..count).flat_map(|row| at.features.row(row).iter().take(outputs).copied()).collect()
    }

    /// Patches in the order of their tokens; the class token is a patch of zeros, so that tokens
    /// and patches are the same rows.
    fn patches(&self, images: &[f32], count: usize, at: &mut Workspace) {
        let (grid, side, size) = (self.of.grid(), self.of.patch_px, self.of.size_px);
        let tokens = grid * grid + 1;
        let numbers = 3 * side * side;
        at.wide.shape(count * tokens, numbers);
        for (image, pixels) in images.chunks(3 * size * size).enumerate() {
            let first = image * tokens;
            at.wide.row_mut(first).iter_mut().take(numbers).for_each(|x| *x = 0.0);
            for patch in 0..grid * grid {
                let (top, left) = (patch / grid * side, patch % grid * side);
                let row = at.wide.row_mut(first + 1 + patch);
                for (line, to) in row.chunks_mut(side).take(3 * side).enumerate() {
                    let from = (line / side * size + top + line % side) * size + left;
                    let from = pixels.get(from..from + side).unwrap_or_default();
                    to.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
                }
            }
        }
    }
}
