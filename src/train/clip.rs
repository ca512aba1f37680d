//! A CLIP as the loop trains it.

use std::path::Path;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::fault::candle;
use super::learner::{Batch, Draw, Learner};
use crate::base::files::{self, read_text_capped};
use crate::base::{Error, Kind, Result};
use crate::nn::clip::hugging_face_config;
use crate::nn::contrastive::{Pair, TrainableClip};
use crate::nn::device;
use crate::nn::tokens::{HuggingFaceTokenizer, Tokenizer};
use crate::nn::weights::Weights;
use crate::plan::captioner::Course;
use crate::plan::model::{DeviceChoice, Dtype, HF_TOKENIZER, HF_WEIGHTS};

const CONFIG_CAP_BYTES: u64 = 16 << 20;
const WEIGHTS_CAP_BYTES: u64 = 64 << 30;
/// Captions that are told apart: fewer teach nothing.
const LEAST_ROWS: usize = 2;

/// A CLIP that trains.
#[derive(Debug)]
pub struct ClipLearning {
    clip: TrainableClip,
    device: device::Opened,
    tokenizer: Tokenizer,
    context: usize,
}

impl ClipLearning {
    /// The CLIP of a Hugging Face folder.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the device is not there.
    pub fn begin(folder: &Path, choice: DeviceChoice) -> Result<Self> {
        let device = device::open(choice)?;
        device::dtype(Dtype::F32, &device.device)?;
        let path = folder.join("config.json");
        let text = read_text_capped(&path, CONFIG_CAP_BYTES)?;
        let of = hugging_face_config(&text).map_err(|error| error.at(path.display()))?;
        let weights = weights(folder)?;
        let clip = TrainableClip::read(&weights, &of, &device.device)
            .map_err(|error| error.at(folder.display()))?;
        let tokenizer = tokenizer(folder)?;
        Ok(Self { clip, device, tokenizer, context: of.text.context })
    }

    /// The token ids of a text, start and end included, cut to the context.
    ///
    /// # Errors
    /// When the tokenizer's rules fail on it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.ids(text, self.context)
    }

    /// The token that ends a text.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.tokenizer.end()
    }

    /// Most tokens of a text.
    #[must_use]
    pub fn context(&self) -> usize {
        self.context
    }

    /// What to tell the user of the device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device.name
    }
}

/// The weights of a Hugging Face folder, in one file: the one that the plan takes the digest of.
fn weights(folder: &Path) -> Result<Weights> {
    let first = HF_WEIGHTS.iter().find(|name| folder.join(name).is_file());
    let whole = first.filter(|name| !name.ends_with(".index.json")).ok_or_else(|| {
        Error::new(Kind::MissingInput, "has its weights in several files, which do not train")
            .at(folder.display())
            .help("save them in one: `save_pretrained(folder, max_shard_size=\"100GB\")`")
    })?;
    Weights::open(&folder.join(whole))
}

fn tokenizer(folder: &Path) -> Result<Tokenizer> {
    let read = |name: &str| read_text_capped(&folder.join(name), CONFIG_CAP_BYTES);
    let whole = if folder.join("tokenizer.json").is_file() {
        HuggingFaceTokenizer::from_json(&read("tokenizer.json")?)
    } else {
        HuggingFaceTokenizer::from_vocabulary(&read("vocab.json")?, &read("merges.txt")?)
    };
    Ok(Tokenizer::HuggingFace(Box::new(whole.map_err(|error| error.at(folder.display()))?)))
}

impl Learner for ClipLearning {
    fn weights(&self) -> Vec<(String, Var)> {
        self.clip.parameters()
    }

    /// Every caption counts as much.
    fn weight(&self, batch: &Batch) -> usize {
        batch.tokens.len()
    }

    fn loss(&self, batch: &Batch, _: Option<Draw>) -> Result<Tensor> {
        let pair =
            Pair { images: &batch.features.data, texts: &batch.tokens, shown: &batch.images };
        self.clip.loss(&pair).map_err(candle("computing the loss"))
    }

    fn saves_memory(&self, course: &Course) -> String {
        saves_memory(course.batch_rows)
    }

    fn gradients(&self, loss: &Tensor, earlier: Option<GradStore>) -> Result<GradStore> {
        self.clip.backward_onto(loss, earlier).map_err(candle("computing gradients"))
    }

    fn recycle(&self, gradients: GradStore) {
        self.clip.recycle(gradients);
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(self.clip.state())
    }
}

/// Captions are told apart within a batch, so that several do not add up to a large one.
fn saves_memory(batch_rows: usize) -> String {
    match batch_rows {
        0..=LEAST_ROWS => "start from a smaller CLIP".to_owned(),
        _ => {
            let half = (batch_rows / 2).max(LEAST_ROWS);
            format!("lower `batch_size` to {half}, which trains another CLIP")
        }
    }
}

/// Makes `to` a Hugging Face folder: the weights of a checkpoint, and all else from the folder that
/// training started from. The folder gets its name once all of it is durable.
///
/// # Errors
/// When a file cannot be read or written.
pub fn publish(start: &Path, weights: &Path, to: &Path) -> Result<()> {
    if to.is_dir() {
        return Ok(());
    }
    let unfinished = to.with_extension("unfinished");
    if unfinished.is_dir() {
        std::fs::remove_dir_all(&unfinished)
            .map_err(|cause| Error::io("cannot remove", unfinished.display(), cause))?;
    }
    files::make_folder(&unfinished)?;
    let beside = ["config.json", "preprocessor_config.json"];
    let beside = beside.iter().chain(&HF_TOKENIZER).map(|name| (start.join(name), *name));
    for (from, name) in beside.chain([(weights.to_owned(), "model.safetensors")]) {
        if !from.is_file() {
            continue;
        }
        files::copy_capped(&from, &unfinished.join(name), WEIGHTS_CAP_BYTES)?;
    }
    std::fs::rename(&unfinished, to)
        .map_err(|cause| Error::io("cannot rename to", to.display(), cause))?;
    match to.parent() {
        Some(parent) => files::sync_folder(parent),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::nn::weights::write_safetensors;

    #[test]
    fn only_its_batches_may_be_smaller() {
        assert_eq!(saves_memory(64), "lower `batch_size` to 32, which trains another CLIP");
        assert_eq!(saves_memory(3), "lower `batch_size` to 2, which trains another CLIP");
        assert_eq!(saves_memory(2), "start from a smaller CLIP");
    }

    #[test]
    fn weights_are_taken_from_the_file_that_the_plan_takes_the_digest_of() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["pytorch_model.bin", "model.safetensors.index.json"] {
            files::write_atomic(&dir.path().join(name), |_| Ok(())).unwrap();
        }
        let error = weights(dir.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::MissingInput, "{error}");
        assert!(error.what().contains("several files"), "{error}");
        let one = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
        write_safetensors(&dir.path().join("model.safetensors"), &[("a".into(), one)]).unwrap();
        assert_eq!(weights(dir.path()).unwrap().names().collect::<Vec<_>>(), ["a"]);
    }
}
