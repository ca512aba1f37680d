//! The image tower on the processor.

use super::super::architecture::{Architecture, VisionTower};
use super::super::images::Images;
use super::super::names::{BeginWeights, Names};
use super::blocks::{PackedBlocks, Packer, Workspace, affine_norm, floats, linear};
use super::crew::Crew;
use crate::base::Result;
use crate::nn::kernels::{Finish, Level, Linear, Norm, Number, Segment, Share};
use crate::nn::weights::Weights;

/// A vision transformer with its projection, its weights packed.
#[derive(Debug)]
pub struct PackedVision {
    begin: Begin,
    blocks: PackedBlocks,
    crew: Crew,
}

/// What makes rows of an image.
#[derive(Debug)]
pub(super) struct Begin {
    of: VisionTower,
    /// Patches of 3 × patch × patch numbers to tokens.
    patch: Linear,
    /// Class token and positions: what a token starts from, a row each.
    start: Vec<f32>,
    pre: Norm,
}

/// Rows of `count` images that stand together, and their class tokens'.
pub(super) fn segments(of: &VisionTower, count: usize) -> (Vec<Segment>, Vec<usize>) {
    let tokens = of.grid() * of.grid() + 1;
    let segment = |i| Segment { start: i * tokens, len: tokens };
    ((0..count).map(segment).collect(), (0..count).map(|i| i * tokens).collect())
}

impl PackedVision {
    pub(in crate::nn) fn pack(
        weights: &Weights,
        names: &Names,
        of: &Architecture,
        number: Number,
    ) -> Result<Self> {
        let packer = Packer::new(weights, &names.vision, number);
        Ok(Self {
            begin: Begin::pack(&packer, of.vision)?,
            blocks: PackedBlocks::pack(&packer, of.vision.transformer, false)?,
            crew: Crew::default(),
        })
    }

    /// Features, not normalised. A row's numbers do not depend on the other rows.
    ///
    /// # Shapes
    /// `images`: of the tower's size; the result: a feature for each.
    #[must_use]
    pub fn forward(&self, images: Images<'_>) -> Vec<f32> {
        let of = &self.begin.of;
        let each = 3 * of.size_px * of.size_px;
        let tokens = of.grid() * of.grid() + 1;
        let rows = vec![tokens; images.len() / each];
        self.crew.share(&rows, |group, workspace, share| {
            let count = group.len();
            self.group(images.part(group, each), count, workspace, share)
        })
    }

    fn group(
        &self,
        images: Images<'_>,
        count: usize,
        at: &mut Workspace,
        share: Share,
    ) -> Vec<f32> {
        self.begin.apply(self.blocks.level(), (images, count), at, share);
        let (segments, pooled) = segments(&self.begin.of, count);
        self.blocks.forward(at, &segments, &pooled, share);
        at.features(count, self.blocks.outputs())
    }
}

impl Begin {
    pub(super) fn pack(packer: &Packer<'_>, of: VisionTower) -> Result<Self> {
        let BeginWeights { patch, class, position, pre } = packer.reader.begin(packer.names)?;
        let (class, mut start) = (floats(&class)?, floats(&position)?);
        start.iter_mut().zip(class).for_each(|(position, class)| *position += class);
        Ok(Self {
            of,
            patch: linear(packer.number, &patch, None)?,
            start,
            pre: affine_norm(&pre, of.transformer.epsilon)?,
        })
    }

    /// Rows of `count` images into `at.x`.
    pub(super) fn apply(
        &self,
        level: Level,
        (images, count): (Images<'_>, usize),
        at: &mut Workspace,
        share: Share,
    ) {
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
        self.pre.apply(level, &at.x, (&mut at.narrow, Number::F32), share);
        std::mem::swap(&mut at.x, &mut at.narrow);
    }

    /// Patches in the order of their tokens; the class token is a patch of zeros, so that tokens
    /// and patches are the same rows.
    fn patches(&self, images: Images<'_>, count: usize, at: &mut Workspace) {
        let (grid, side, size) = (self.of.grid(), self.of.patch_px, self.of.size_px);
        let tokens = grid * grid + 1;
        let numbers = 3 * side * side;
        at.wide.shape(count * tokens, numbers);
        for image in 0..count {
            let first = image * tokens;
            at.wide.row_mut(first).iter_mut().take(numbers).for_each(|x| *x = 0.0);
            for patch in 0..grid * grid {
                let (top, left) = (patch / grid * side, patch % grid * side);
                let row = at.wide.row_mut(first + 1 + patch);
                for (line, to) in row.chunks_mut(side).take(3 * side).enumerate() {
                    images.line(size, (image, line / side), (top + line % side, left), to);
                }
            }
        }
    }
}
