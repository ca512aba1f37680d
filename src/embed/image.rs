//! Images to features.

use candle_core::Device;

use super::batch::{self, Free, RowSize};
use super::load;
use super::portion::Portion;
use crate::base::{Error, Kind, Result};
use crate::flow::preprocessing::Scale;
use crate::flow::{Preprocessing, Vectors};
use crate::nn::clip::{Images, VisionTowers};
use crate::nn::device::{self, Opened};
use crate::plan::model::ModelSpec;

/// Images of a batch on the processor.
const USUAL_BATCH: usize = 32;

/// The image tower of a model, on its device.
#[derive(Debug)]
pub struct ImageEncoder {
    tower: VisionTowers,
    device: Opened,
    preprocessing: Preprocessing,
    scale: Box<Scale>,
    width: usize,
    batch_rows: usize,
    portion: Portion,
}

impl ImageEncoder {
    /// Loads the image tower.
    ///
    /// # Errors
    /// When files are missing, damaged or do not belong together, or the device or the numeric
    /// type is not there.
    pub fn load(model: &ModelSpec) -> Result<Self> {
        Self::with(model, device::open(model.device)?, |of, device| {
            VisionTowers::read(&of.weights, &of.names, &of.architecture, model.dtype, device)
        })
    }

    /// Loads the image tower of a model in f32, for few images beside this encoder and on its
    /// device: on a processor in little memory, at the price of reading the weights for every
    /// batch.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_beside(&self, model: &ModelSpec) -> Result<Self> {
        Self::with(model, self.device.clone(), |of, device| {
            VisionTowers::read_beside(of.weights, of.names, &of.architecture, device)
        })
    }

    fn with(
        model: &ModelSpec,
        device: Opened,
        read: impl FnOnce(load::Opened, &Device) -> Result<VisionTowers>,
    ) -> Result<Self> {
        let opened = load::open(model)?;
        let (preprocessing, width) = (opened.preprocessing, opened.architecture.width);
        let vision = opened.architecture.vision;
        let tower = read(opened, &device.device)?;
        let row = RowSize {
            input_bytes: 3 * vision.size_px * vision.size_px,
            activation_bytes: if tower.grows_with_batch() { vision.row_bytes() } else { 0 },
        };
        let free = Free { machine: batch::free_bytes(), gpu: device.free_bytes() };
        Ok(Self {
            batch_rows: batch::rows(row, USUAL_BATCH, tower.at_once(), free),
            portion: Portion::new(tower.at_once()),
            tower,
            device,
            preprocessing,
            scale: Box::new(preprocessing.scale()),
            width,
        })
    }

    /// How images must be prepared.
    #[must_use]
    pub fn preprocessing(&self) -> Preprocessing {
        self.preprocessing
    }

    /// Floats of a feature.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The device it runs on, in words.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device.name
    }

    /// Images of a batch: as many as were asked for, else as many as the memory that was free when it
    /// was loaded does for.
    #[must_use]
    pub fn batch_rows(&self, asked: Option<usize>) -> usize {
        asked.unwrap_or(self.batch_rows).max(1)
    }

    /// The most rows that it computes at once, where its device had no memory for more.
    #[must_use]
    pub fn rows_at_once(&self) -> Option<usize> {
        self.portion.most()
    }

    /// As [`Self::rows_at_once`], if it shrank since this was last asked.
    #[must_use]
    pub fn shrunk(&self) -> Option<usize> {
        self.portion.news()
    }

    /// Features of prepared images, not normalised, in as many turns as the device's memory asks
    /// for. On the processor a row's numbers do not depend on the other rows.
    ///
    /// # Shapes
    /// `batch`: `rows` images of 3 × size × size numbers, channels first, one after the other;
    /// the result has `rows` vectors.
    ///
    /// # Errors
    /// When the batch has another length, or the device fails.
    pub fn encode(&self, batch: &[f32], rows: usize) -> Result<Vectors> {
        self.features(Images::Numbers(batch), rows)
    }

    /// As [`Self::encode`], of images that were resized and cropped but are levels still, which
    /// take a quarter of the memory.
    ///
    /// # Shapes
    /// `batch`: `rows` images of size × size × 3 levels, interleaved RGB.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_levels(&self, batch: &[u8], rows: usize) -> Result<Vectors> {
        self.features(Images::Levels(batch, &self.scale), rows)
    }

    fn features(&self, batch: Images<'_>, rows: usize) -> Result<Vectors> {
        let side = usize::try_from(self.preprocessing.size_px).unwrap_or(0);
        let each = 3 * side * side;
        if batch.len() != rows * each {
            return Err(Error::new(
                Kind::Internal,
                format!(
                    "expected {rows} images of 3 × {side} × {side}, got {} numbers",
                    batch.len()
                ),
            ));
        }
        if rows == 0 {
            return Ok(Vectors { width: self.width, data: Vec::new() });
        }
        let data = self.portion.over(rows, |range| {
            let many = range.len();
            self.tower.forward(batch.part(range, each), many, side)
        })?;
        Ok(Vectors { width: self.width, data })
    }
}
