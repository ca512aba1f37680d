//! Images' features to captions.

use super::decode::{Sequence, Settings, generate as decode};
use super::model::ModelDecoder;
use crate::base::progress::Progress;
use crate::base::{Cancel, Digest, Result};
use crate::nn::captioner::Captioner;
use crate::nn::tokens::TextCodec;

/// The task that [`generate`] reports progress of.
pub const TASK: &str = "captions";

/// A caption that a captioner wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Its text, without end token and outer spaces.
    pub text: String,
    /// As [`Sequence::score`].
    pub score: f32,
    /// How many tokens it has, the end token included.
    pub tokens: usize,
}

/// Captions images: for each feature, in order, as many captions as the strategy gives.
///
/// A caption depends on its image's feature and the settings, not on its batch or place: sampling
/// draws by the feature's digest and the seed. (Batches of another size may round sums
/// differently in the last bit, as matrix products do.)
///
/// `progress` hears of a task [`TASK`], counted in images, that the caller need not begin.
///
/// # Shapes
/// `features`: one an image, each of the mapper's clip width.
///
/// # Errors
/// When a setting or a feature does not fit the model, the device fails, or somebody asked to
/// stop.
pub fn generate(
    captioner: &Captioner,
    codec: &TextCodec,
    features: &[&[f32]],
    settings: &Settings,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<Vec<Vec<Generated>>> {
    settings.check()?;
    let mut settings = settings.clone();
    if settings.ends.is_empty() {
        settings.ends = vec![codec.end()];
    }
    settings.banned.extend(codec.unknown());
    progress.begin(TASK, u64::try_from(features.len()).ok());
    let mut out = Vec::with_capacity(features.len());
    for batch in features.chunks(settings.batch_size) {
        let keys: Vec<u64> = batch.iter().map(|feature| key(feature)).collect();
        let mut decoder = ModelDecoder::new(captioner, batch, settings.max_tokens)?;
        for sequences in decode(&mut decoder, &keys, &settings, cancel)? {
            let written = sequences.iter().map(|sequence| written(codec, sequence));
            out.push(written.collect::<Result<Vec<_>>>()?);
        }
        progress.advance(TASK, u64::try_from(batch.len()).unwrap_or(0));
    }
    progress.end(TASK);
    Ok(out)
}

fn written(codec: &TextCodec, sequence: &Sequence) -> Result<Generated> {
    let text = codec.decode(&sequence.tokens)?;
    Ok(Generated {
        text: text.trim().to_owned(),
        score: sequence.score,
        tokens: sequence.tokens.len(),
    })
}

/// A number that stands for a feature.
fn key(feature: &[f32]) -> u64 {
    let bytes: Vec<u8> = feature.iter().flat_map(|x| x.to_le_bytes()).collect();
    let digest = Digest::of(&bytes);
    digest.as_bytes().iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
}
