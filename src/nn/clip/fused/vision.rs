//! The image tower on a GPU.

use candle_core::{DType, Device, Result, Tensor};

use super::super::architecture::{Architecture, VisionTower};
use super::super::images::Images;
use super::super::names::{BeginWeights, Names};
use super::blocks::{FusedBlocks, reader};
use crate::flow::preprocessing::Scale;
use crate::nn::weights::Weights;

/// A vision transformer with its projection.
#[derive(Debug)]
pub struct FusedVision {
    of: VisionTower,
    dtype: DType,
    begin: BeginWeights,
    blocks: FusedBlocks,
}

impl FusedVision {
    /// Images that go up and are computed at once: the next ones are copied to page-locked memory
    /// meanwhile.
    pub const AT_ONCE: usize = 128;

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
        let names = &names.vision;
        let Some(blocks) = FusedBlocks::read(&reader, names, of.vision.transformer, false)? else {
            return Ok(None);
        };
        Ok(Some(Self { of: of.vision, dtype, begin: reader.begin(names)?, blocks }))
    }

    /// Features, not normalised.
    ///
    /// # Shapes
    /// `images`: `rows` of the tower's size; the result: a feature for each.
    ///
    /// # Errors
    /// When the GPU fails.
    pub fn forward(&self, images: Images<'_>, rows: usize) -> Result<Vec<f32>> {
        let each = 3 * self.of.size_px * self.of.size_px;
        let pieces = (0..rows).step_by(Self::AT_ONCE).map(|first| {
            let piece = first..rows.min(first + Self::AT_ONCE);
            self.features(images.part(piece.clone(), each), piece.len())
        });
        let features = pieces.collect::<Result<Vec<_>>>()?;
        Tensor::cat(&features, 0)?.flatten_all()?.to_vec1()
    }

    /// (rows, width of a feature), f32; nothing waits for the GPU.
    fn features(&self, images: Images<'_>, rows: usize) -> Result<Tensor> {
        let tokens = self.of.grid() * self.of.grid() + 1;
        let BeginWeights { patch, class, position, pre } = &self.begin;
        let patches = self.patches(images, rows)?.matmul(patch)?;
        let norms = (pre, self.blocks.first());
        let begun = self.blocks.kernels.embed(&patches, class, position, norms)?;
        self.blocks.forward(begun, tokens, |normed| {
            normed.reshape((rows, tokens, ()))?.narrow(1, 0, 1)?.squeeze(1)?.contiguous()
        })
    }

    /// (rows · grid², channels · patch²)
    fn patches(&self, images: Images<'_>, rows: usize) -> Result<Tensor> {
        let (grid, patch, side) = (self.of.grid(), self.of.patch_px, self.of.size_px);
        match images {
            Images::Levels(levels, scale) => {
                let numbers = table(scale, self.begin.patch.device())?;
                self.blocks.kernels.patches(levels, &numbers, (rows, side, patch))
            }
            Images::Numbers(numbers) => {
                let images =
                    Tensor::from_slice(numbers, (rows, 3, side, side), self.begin.patch.device())?;
                super::super::vision::patches(&images, (grid, patch), self.dtype)?
                    .reshape((rows * grid * grid, ()))
            }
        }
    }
}

/// The number of each level of each channel.
fn table(scale: &Scale, device: &Device) -> Result<Tensor> {
    Tensor::from_vec(scale.numbers.concat(), (3, 256), device)
}
