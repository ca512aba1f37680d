//! Texts to features.

use candle_core::Device;

use super::load;
use super::portion::Portion;
use crate::base::{Error, Kind, Result};
use crate::flow::Vectors;
use crate::nn::clip::{Pooling, TextTowers};
use crate::nn::device::{self, Opened};
use crate::nn::tokens::Tokenizer;
use crate::plan::model::ModelSpec;

/// The text tower of a model, with its tokenizer, on its device.
#[derive(Debug)]
pub struct TextEncoder {
    tower: TextTowers,
    tokenizer: Tokenizer,
    device: Opened,
    context: usize,
    width: usize,
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
        Ok(Self {
            tower: read(opened, &device.device)?,
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

    /// Tokens of a whole text, start and end included, before it is cut; 0 where the tokenizer's
    /// rules fail on it.
    #[must_use]
    pub fn token_count(&self, text: &str) -> usize {
        self.tokenizer.count(text).unwrap_or(0)
    }

    /// The token ids of a text, start and end included, cut as the reference cuts them.
    ///
    /// # Errors
    /// When the tokenizer's rules fail on it.
    pub fn token_ids(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.ids(text, self.context)
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

    /// Features of texts, not normalised, in as many turns as the device's memory asks for;
    /// overlong texts are cut as the reference cuts them. On
    /// the processor a row's numbers do not depend on the other rows.
    ///
    /// # Errors
    /// When the tokenizer's rules fail on a text, or the device fails.
    pub fn encode(&self, texts: &[&str]) -> Result<Vectors> {
        if texts.is_empty() {
            return Ok(Vectors { width: self.width, data: Vec::new() });
        }
        let ids = texts
            .iter()
            .map(|text| self.tokenizer.ids(text, self.context))
            .collect::<Result<Vec<_>>>()?;
        let data = self
            .portion
            .over(ids.len(), |range| self.tower.forward(ids.get(range).unwrap_or_default()))?;
        Ok(Vectors { width: self.width, data })
    }
}
