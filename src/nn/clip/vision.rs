//! The image tower.

use candle_core::{DType, Device, Result, Tensor};

use super::architecture::{Architecture, VisionTower};
use super::block::{Blocks, norm, project};
use super::names::{Affine, BeginWeights, Names, Reader};
use crate::nn::weights::Weights;

/// A vision transformer with its projection.
#[derive(Debug)]
pub struct VisionModel {
    of: VisionTower,
    dtype: DType,
    begin: BeginWeights,
    blocks: Blocks,
    post: Affine,
    projection: Tensor,
}

impl VisionModel {
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
        let tower = of.vision;
        let names = &names.vision;
        Ok(Self {
            of: tower,
            dtype,
            begin: reader.begin(names)?,
            blocks: Blocks::read(&reader, names, tower.transformer, false)?,
            post: reader.norm(&names.post_norm)?,
            projection: reader.projection(names)?,
        })
    }

    /// Features, not normalised.
    ///
    /// # Shapes
    /// `images`: (rows, 3, size, size), scaled as the model wants; the result: (rows, width), f32.
    ///
    /// # Errors
    /// When the shape is another, or the device fails.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let rows = images.dim(0)?;
        let epsilon = self.of.transformer.epsilon;
        let patches = patches(images, (self.of.grid(), self.of.patch_px), self.dtype)?;
        let patches = project(&patches, &self.begin.patch)?;
        let class = self.begin.class.broadcast_as((rows, 1, self.of.transformer.width))?;
        let x = Tensor::cat(&[&class.contiguous()?, &patches], 1)?;
        let x = norm(&x.broadcast_add(&self.begin.position)?, &self.begin.pre, epsilon)?;
        let x = self.blocks.forward(&x)?;
        let x = x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
        let x = norm(&x, &self.post, epsilon)?;
        project(&x, &self.projection)?.to_dtype(DType::F32)
    }
}

/// The pixels of each patch side by side.
///
/// # Shapes
/// `images`: (rows, channels, size, size); the result: (rows, grid², channels · patch²).
pub(super) fn patches(
    images: &Tensor,
    (grid, patch): (usize, usize),
    dtype: DType,
) -> Result<Tensor> {
    let (rows, channels, _, _) = images.dims4()?;
    images
        .narrow(2, 0, grid * patch)?
        .narrow(3, 0, grid * patch)?
        .to_dtype(dtype)?
        .reshape((rows, channels, grid, patch, grid, patch))?
        .permute((0, 2, 4, 1, 3, 5))?
        .reshape((rows, grid * grid, channels * patch * patch))
}
