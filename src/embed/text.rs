//! Texts to features.

use candle_core::Device;
use rayon::prelude::*;

use super::batch::{self, Free, RowSize};
use super::load;
use super::portion::Portion;
use crate::base::{Error, Kind, Result};
use crate::flow::Vectors;
use crate::nn::clip::{Pooling, TextTowers};
use crate::nn::device::{self, Opened};
use crate::nn::tokens::Tokenizer;
use crate::plan::model::ModelSpec;

/// Texts of a batch on the processor.
const USUAL_BATCH: usize = 64;

/// The text tower of a model, with its tokenizer, on its device.
#[derive(Debug)]
pub struct TextEncoder {
    tower: TextTowers,
    tokenizer: Tokenizer,
    device: Opened,
    context: usize,
    width: usize,
    batch_rows: usize,
    portion: Portion,
}

impl TextEncoder {
    /// Loads the text tower and the tokenizer.
    ///
    /// # Errors
    /// When files are missing, damaged or do not belong together, or the device or the numeric
    /// type is not there.
    pub fn load(model: &ModelSpec) -> Result<Self> {
        Self::with(model, device::open(model.device)?, |of, device| {
            TextTowers::read(&of.weights, &of.names, &of.architecture, model.dtype, device)
        })
    }

    /// Loads the text tower of a model in f32, for few texts beside this encoder and on its device:
    /// on a processor in little memory, at the price of reading the weights for every batch.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_beside(&self, model: &ModelSpec) -> Result<Self> {
        Self::with(model, self.device.clone(), |of, device| {
            TextTowers::read_beside(of.weights, of.names, &of.architecture, device)
        })
    }

    fn with(
        model: &ModelSpec,
        device: Opened,
        read: impl FnOnce(load::Opened, &Device) -> Result<TextTowers>,
    ) -> Result<Self> {
        let opened = load::open(model)?;
        let text = opened.architecture.text;
        let tokenizer = load::tokenizer(model)?;
        let apart = |what: String| {
            Err(Error::new(Kind::BadInput, what)
                .at(format!("model `{}`", model.name))
                .help("take the tokenizer that was published with the weights"))
        };
        if tokenizer.size() > text.vocabulary {
            return apart(format!(
                "the tokenizer has {} tokens, the weights know {}",
                tokenizer.size(),
                text.vocabulary
            ));
        }
        if let Pooling::First(id) = text.pooling
            && id != tokenizer.end()
        {
            return apart(format!(
                "the configuration says that token {id} ends a text, the tokenizer ends it with {}",
                tokenizer.end()
            ));
        }
        let width = opened.architecture.width;
        let tower = read(opened, &device.device)?;
        let row = RowSize {
            input_bytes: size_of::<u32>() * text.context,
            activation_bytes: if tower.grows_with_batch() { text.row_bytes() } else { 0 },
        };
        let free = Free { machine: batch::free_bytes(), gpu: device.free_bytes() };
        Ok(Self {
            batch_rows: batch::rows(row, USUAL_BATCH, None, free),
            tower,
            tokenizer,
            device,
            context: text.context,
            width,
            portion: Portion::new(None),
        })
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

    /// Most tokens of a text; what is longer is cut.
    #[must_use]
    pub fn context_length(&self) -> usize {
        self.context
    }

    /// The token ids of each text, start and end included, cut as the reference cuts them; on all
    /// cores.
    ///
    /// # Errors
    /// When the tokenizer's rules fail on one.
    pub fn token_ids(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>> {
        texts.par_iter().map(|text| self.tokenizer.ids(text, self.context)).collect()
    }

    /// As [`ImageEncoder::batch_rows`](super::ImageEncoder::batch_rows), of texts.
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

    /// Features of texts, as [`Self::encode_ids`] gives them; overlong texts are cut as the
    /// reference cuts them.
    ///
    /// # Errors
    /// When the tokenizer's rules fail on a text, or the device fails.
    pub fn encode(&self, texts: &[&str]) -> Result<Vectors> {
        self.encode_ids(&self.token_ids(texts)?)
    }

    /// Features of texts, not normalised, in as many turns as the device's memory asks for. On the
    /// processor a row's numbers do not depend on the other rows.
    ///
    /// # Errors
    /// When the ids are not those of [`Self::token_ids`], or the device fails.
    pub fn encode_ids(&self, ids: &[Vec<u32>]) -> Result<Vectors> {
        if ids.is_empty() {
            return Ok(Vectors { width: self.width, data: Vec::new() });
        }
        let data = self
            .portion
            .over(ids.len(), |range| self.tower.forward(ids.get(range).unwrap_or_default()))?;
        Ok(Vectors { width: self.width, data })
    }
}
