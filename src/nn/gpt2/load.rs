//! A GPT-2 out of the files of its folder.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use super::config::Gpt2Config;
use super::model::Gpt2;
use crate::base::files::read_text_capped;
use crate::base::{Error, Kind, Result};
use crate::nn::layers::{Differences, Source};
use crate::nn::weights::Weights;

/// Largest configuration or index of shards that is read.
const CAP_BYTES: u64 = 64 << 20;

impl Gpt2 {
    /// Loads `config.json` and `model.safetensors` or `pytorch_model.bin` (zip or legacy, whole or
    /// in shards with an index) of a folder. Names may begin with `transformer.` or not.
    ///
    /// If `trainable`, weights are variables, kept in f32 and computed with in `dtype`; otherwise
    /// they are constants of `dtype` that no gradient is computed for. In bf16 on the processor both
    /// are kept in f32 and rounded as they are multiplied.
    ///
    /// # Errors
    /// When the processor has no instructions for bf16, a file is not there or damaged, or the
    /// weights are not those that the configuration says; then every missing, misshapen and
    /// unexpected tensor is listed.
    pub fn load(folder: &Path, device: &Device, dtype: DType, trainable: bool) -> Result<Self> {
        let path = folder.join("config.json");
        let text = read_text_capped(&path, CAP_BYTES)?;
        let config = Gpt2Config::parse(&text).map_err(|error| error.at(path.display()))?;
        let weights = open(folder)?;
        Self::from_weights(&config, weights, device, dtype, trainable)
            .map_err(|error| error.at(folder.display()))
    }

    /// As [`load`](Self::load), of weights that were opened.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_weights(
        config: &Gpt2Config,
        mut weights: Weights,
        device: &Device,
        dtype: DType,
        trainable: bool,
    ) -> Result<Self> {
        let config = config.check()?;
        canonical(&mut weights, config.tied);
        Differences::between(&weights, &Self::expected(&config)).none()?;
        Self::build(config, Source::file(&weights, device, dtype, trainable), device, dtype)
    }
}

/// Gives every tensor the name that today's transformers gives it. Masks, which old versions
/// stored among the weights, go, and so does a head that is the token table.
pub(in crate::nn) fn canonical(weights: &mut Weights, tied: bool) {
    weights.rename(|name| {
        let inner = name.strip_prefix("transformer.").unwrap_or(name);
        if inner == "lm_head.weight" {
            return (!tied).then(|| inner.to_owned());
        }
        let mask = inner.starts_with("h.")
            && (inner.ends_with(".attn.bias") || inner.ends_with(".attn.masked_bias"));
        (!mask).then(|| format!("transformer.{inner}"))
    });
}

fn open(folder: &Path) -> Result<Weights> {
    for name in ["model.safetensors", "pytorch_model.bin"] {
        let path = folder.join(name);
        if path.is_file() {
            return Weights::open(&path);
        }
        let index = folder.join(format!("{name}.index.json"));
        if index.is_file() {
            return Weights::open_shards(&shards(folder, &index)?);
        }
    }
    Err(Error::new(Kind::MissingInput, "has neither `model.safetensors` nor `pytorch_model.bin`")
        .at(folder.display())
        .help("a folder as published on huggingface.co is expected, for example that of `gpt2`"))
}

/// The files that an index names, each once.
fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let text = read_text_capped(index, CAP_BYTES)?;
    let bad = || Error::new(Kind::BadInput, "is no index of shards").at(index.display());
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|cause| bad().caused_by(cause))?;
    let map = value.get("weight_map").and_then(|map| map.as_object()).ok_or_else(bad)?;
    let mut names: Vec<&str> = map.values().filter_map(|name| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let plain = Path::new(name).file_name().is_some_and(|file| file == name);
            plain.then(|| folder.join(name)).ok_or_else(bad)
        })
        .collect()
}
