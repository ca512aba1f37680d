//! A tower where it runs: on packed weights on the processor, by the kernels of this house on a
//! GPU that has what they need, on candle's tensors elsewhere.

use candle_core::{DType, Device, Tensor};

use super::architecture::Architecture;
#[cfg(feature = "cuda")]
use super::fused::{FusedText, FusedVision};
use super::images::Images;
use super::names::Names;
use super::packed::{PackedText, PackedVision, StreamedText, StreamedVision};
use super::text::TextModel;
use super::vision::VisionModel;
use crate::base::Result;
use crate::nn::device::{Computation, computation};
use crate::nn::fault::candle;
use crate::nn::weights::Weights;
use crate::plan::model::Dtype;

/// An image tower that was loaded.
#[derive(Debug)]
pub enum VisionTowers {
    /// On the processor.
    Packed(Box<PackedVision>),
    /// On the processor, a block at a time.
    Streamed(Box<StreamedVision>),
    /// On a GPU, by the kernels of this house.
    #[cfg(feature = "cuda")]
    Fused(Box<FusedVision>),
    /// On candle's tensors.
    Candle(Box<VisionModel>, Device),
}

impl VisionTowers {
    /// Reads the tower out of weights that [`check`](super::names::check) passed.
    ///
    /// # Errors
    /// When the device does not compute in `dtype`, or a tensor cannot be read or placed on it.
    pub fn read(
        weights: &Weights,
        names: &Names,
        of: &Architecture,
        dtype: Dtype,
        device: &Device,
    ) -> Result<Self> {
        Ok(match computation(dtype, device)? {
            Computation::Packed(number) => {
                Self::Packed(Box::new(PackedVision::pack(weights, names, of, number)?))
            }
            Computation::Candle(dtype) => {
                #[cfg(feature = "cuda")]
                if let Some(model) = FusedVision::read(weights, names, of, dtype, device)? {
                    return Ok(Self::Fused(Box::new(model)));
                }
                let model = VisionModel::read(weights, names, of, dtype, device)?;
                Self::Candle(Box::new(model), device.clone())
            }
        })
    }

    /// Reads the tower in f32, to be used for few images beside another: on the processor its
    /// weights stay in their file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_beside(
        weights: Weights,
        names: Names,
        of: &Architecture,
        device: &Device,
    ) -> Result<Self> {
        match computation(Dtype::F32, device)? {
            Computation::Packed(_) => {
                Ok(Self::Streamed(Box::new(StreamedVision::new(weights, names, of))))
            }
            Computation::Candle(_) => Self::read(&weights, &names, of, Dtype::F32, device),
        }
    }

    /// Whether its memory grows with the batch. On packed weights it does not: groups of rows are
    /// computed, one by each thread, however many there are.
    #[must_use]
    pub fn grows_with_batch(&self) -> bool {
        !matches!(self, Self::Packed(_) | Self::Streamed(_))
    }

    /// Images whose numbers are on its device at once, where that does not grow with their number.
    #[must_use]
    pub fn at_once(&self) -> Option<usize> {
        match self {
            #[cfg(feature = "cuda")]
            Self::Fused(_) => Some(FusedVision::AT_ONCE),
            _ => None,
        }
    }

    /// Features, not normalised.
    ///
    /// # Shapes
    /// `images`: `rows` of `side` pixels, which is the tower's size; the result: a feature for
    /// each.
    ///
    /// # Errors
    /// When the device fails, or a tensor that stayed in its file cannot be read.
    pub fn forward(&self, images: Images<'_>, rows: usize, side: usize) -> Result<Vec<f32>> {
        match self {
            Self::Packed(tower) => Ok(tower.forward(images)),
            Self::Streamed(tower) => tower.forward(images),
            #[cfg(feature = "cuda")]
            Self::Fused(tower) => {
                tower.forward(images, rows).map_err(candle("cannot embed images"))
            }
            Self::Candle(tower, device) => on_device(images, rows, side, device)
                .and_then(|images| tower.forward(&images)?.flatten_all()?.to_vec1())
                .map_err(candle("cannot embed images")),
        }
    }
}

/// Images as one tensor, (rows, 3, side, side). Levels are brought to the device as they are, a
/// quarter of the bytes, and become numbers there.
fn on_device(
    images: Images<'_>,
    rows: usize,
    side: usize,
    device: &Device,
) -> candle_core::Result<Tensor> {
    match images {
        Images::Numbers(numbers) => Tensor::from_slice(numbers, (rows, 3, side, side), device),
        Images::Levels(levels, scale) => {
            let of_channels = |of: &[f32; 3]| Tensor::from_slice(of, (1, 1, 1, 3), device);
            Tensor::from_slice(levels, (rows, side, side, 3), device)?
                .to_dtype(DType::F32)?
                .broadcast_div(&Tensor::new(255.0_f32, device)?)?
                .broadcast_sub(&of_channels(&scale.mean)?)?
                .broadcast_div(&of_channels(&scale.std)?)?
                .permute((0, 3, 1, 2))?
                .contiguous()
        }
    }
}

/// A text tower that was loaded.
#[derive(Debug)]
pub enum TextTowers {
    /// On the processor.
    Packed(Box<PackedText>),
    /// On the processor, a block at a time.
    Streamed(Box<StreamedText>),
    /// On a GPU, by the kernels of this house.
    #[cfg(feature = "cuda")]
    Fused(Box<FusedText>),
    /// On candle's tensors.
    Candle(Box<TextModel>),
}

impl TextTowers {
    /// Reads the tower out of weights that [`check`](super::names::check) passed.
    ///
    /// # Errors
    /// When the device does not compute in `dtype`, or a tensor cannot be read or placed on it.
    pub fn read(
        weights: &Weights,
        names: &Names,
        of: &Architecture,
        dtype: Dtype,
        device: &Device,
    ) -> Result<Self> {
        Ok(match computation(dtype, device)? {
            Computation::Packed(number) => {
                Self::Packed(Box::new(PackedText::pack(weights, names, of, number)?))
            }
            Computation::Candle(dtype) => {
                #[cfg(feature = "cuda")]
                if let Some(model) = FusedText::read(weights, names, of, dtype, device)? {
                    return Ok(Self::Fused(Box::new(model)));
                }
                Self::Candle(Box::new(TextModel::read(weights, names, of, dtype, device)?))
            }
        })
    }

    /// Reads the tower in f32, to be used for few texts beside another: on the processor its
    /// weights stay in their file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_beside(
        weights: Weights,
        names: Names,
        of: &Architecture,
        device: &Device,
    ) -> Result<Self> {
        match computation(Dtype::F32, device)? {
            Computation::Packed(_) => {
                Ok(Self::Streamed(Box::new(StreamedText::new(weights, names, of))))
            }
            Computation::Candle(_) => Self::read(&weights, &names, of, Dtype::F32, device),
        }
    }

    /// As [`VisionTowers::grows_with_batch`].
    #[must_use]
    pub fn grows_with_batch(&self) -> bool {
        !matches!(self, Self::Packed(_) | Self::Streamed(_))
    }

    /// Features, not normalised.
    ///
    /// # Shapes
    /// `texts`: token ids, each text at most as long as the context and not empty; the result:
    /// a feature for each.
    ///
    /// # Errors
    /// When an id is not in the vocabulary, a text is too long, the device fails, or a tensor that
    /// stayed in its file cannot be read.
    pub fn forward(&self, texts: &[Vec<u32>]) -> Result<Vec<f32>> {
        match self {
            Self::Packed(tower) => tower.forward(texts),
            Self::Streamed(tower) => tower.forward(texts),
            #[cfg(feature = "cuda")]
            Self::Fused(tower) => tower.forward(texts),
            Self::Candle(tower) => tower
                .forward(texts)
                .and_then(|features| features.flatten_all()?.to_vec1())
                .map_err(candle("cannot embed texts")),
        }
    }
}
