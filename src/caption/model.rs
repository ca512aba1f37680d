//! A captioner as a decoder.

use candle_core::Tensor;

use super::decode::{Decoder, Logits};
use crate::base::{Error, Kind, Result};
use crate::nn::captioner::Captioner;
use crate::nn::fault::candle;
use crate::nn::gpt2::Cache;

/// Captions of a batch of images, growing. Each image's prefix is read once, whatever the number
/// of its captions; keys and values of what was read are kept.
#[derive(Debug)]
pub struct ModelDecoder<'a> {
    captioner: &'a Captioner,
    features: Tensor,
    cache: Option<Cache>,
    max_tokens: usize,
}

impl<'a> ModelDecoder<'a> {
    /// A decoder of captions of at most `max_tokens` tokens.
    ///
    /// # Shapes
    /// `features`: one an image, each of the mapper's clip width.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when a feature has another width; [`Kind::Usage`] when GPT-2 has no room for
    /// so long captions.
    pub fn new(captioner: &'a Captioner, features: &[&[f32]], max_tokens: usize) -> Result<Self> {
        let mapper = captioner.mapper.config();
        if let Some(odd) = features.iter().find(|feature| feature.len() != mapper.clip_width) {
            let what = format!(
                "an image feature of {} numbers, the captioner was made for {}",
                odd.len(),
                mapper.clip_width
            );
            return Err(Error::new(Kind::BadInput, what)
                .help("take the features of the model that the captioner was trained on"));
        }
        let positions = captioner.gpt2.config().positions;
        let room = positions.saturating_sub(mapper.prefix_length) + 1;
        if max_tokens > room {
            let what = format!("captions of {max_tokens} tokens, GPT-2 has room for {room}");
            return Err(Error::new(Kind::Usage, what).help(format!("take max_tokens = {room}")));
        }
        let shape = (features.len(), mapper.clip_width);
        let features = Tensor::from_vec(features.concat(), shape, captioner.gpt2.device())
            .map_err(candle("cannot take image features to the device"))?;
        Ok(Self { captioner, features, cache: None, max_tokens })
    }

    fn read(&mut self, embeds: &Tensor) -> candle_core::Result<Tensor> {
        let gpt2 = &self.captioner.gpt2;
        let hidden = gpt2.hidden(embeds, None, self.cache.as_mut())?;
        let last = hidden.dim(1)?.saturating_sub(1);
        gpt2.logits(&hidden.narrow(1, last, 1)?.squeeze(1)?.contiguous()?)
    }

    fn first(&mut self) -> candle_core::Result<Tensor> {
        let prefix = self.captioner.prefix(&self.features)?;
        // The last token of a caption is never read.
        let capacity = prefix.dim(1)? + self.max_tokens.saturating_sub(1);
        self.cache = Some(self.captioner.gpt2.cache(prefix.dim(0)?, capacity)?);
        self.read(&prefix)
    }

    fn next(&mut self, rows: &[usize], tokens: &[u32]) -> candle_core::Result<Tensor> {
        if let Some(cache) = self.cache.as_mut() {
            cache.select(rows)?;
        }
        let gpt2 = &self.captioner.gpt2;
        let tokens = Tensor::from_slice(tokens, (tokens.len(), 1), gpt2.device())?;
        self.read(&gpt2.embed(&tokens)?)
    }
}

fn logits(scores: candle_core::Result<Tensor>) -> Result<Logits> {
    let fault = candle("cannot score the next token of captions");
    let scores = scores.map_err(&fault)?;
    let vocabulary = scores.dim(1).map_err(&fault)?;
    let values = scores.flatten_all().and_then(|s| s.to_vec1::<f32>()).map_err(&fault)?;
    Logits::new(values, vocabulary)
}

impl Decoder for ModelDecoder<'_> {
    fn start(&mut self) -> Result<Logits> {
        let scores = self.first();
        logits(scores)
    }

    fn step(&mut self, rows: &[usize], tokens: &[u32]) -> Result<Logits> {
        let scores = self.next(rows, tokens);
        logits(scores)
    }
}
