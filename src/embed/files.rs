//! Which files make up a model, and which of them are not there.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::files::read_text_capped;
use crate::base::{Error, Kind, Result};
use crate::plan::model::{ModelFiles, ModelSpec};

/// What a file of a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Weights, or one shard of them.
    Weights,
    /// The list of shards.
    WeightsIndex,
    /// The architecture.
    Config,
    /// How images are prepared.
    Preprocessor,
    /// Tokens.
    Tokenizer,
}

impl Role {
    /// Its name in fingerprints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::WeightsIndex => "weights_index",
            Self::Config => "config",
            Self::Preprocessor => "preprocessor",
            Self::Tokenizer => "tokenizer",
        }
    }
}

/// A file that a model needs and lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingFile {
    /// What it is for.
    pub role: Role,
    /// Where it should be.
    pub path: PathBuf,
    /// Where to get it, one sentence.
    pub obtain: String,
}

/// Small files are read whole; none that was published comes near this.
pub(super) const TEXT_CAP_BYTES: u64 = 64 << 20;

/// Every file whose bytes decide a model's numbers, in a fixed order: weights, configuration,
/// preprocessing, tokenizer.
///
/// # Errors
/// [`Kind::MissingInput`] naming every file that is not there.
pub fn files(model: &ModelSpec) -> Result<Vec<(Role, PathBuf)>> {
    let missing = missing(&model.files);
    if !missing.is_empty() {
        let list: Vec<String> = missing
            .iter()
            .map(|file| format!("{}: {}", file.path.display(), file.obtain))
            .collect();
        return Err(Error::new(
            Kind::MissingInput,
            format!("model `{}` lacks {} of its files", model.name, list.len()),
        )
        .help(list.join("\n")));
    }
    let mut found = Vec::new();
    match &model.files {
        ModelFiles::OpenAi { weights, tokenizer } => {
            found.push((Role::Weights, weights.clone()));
            found.extend(tokenizer.iter().map(|path| (Role::Tokenizer, path.clone())));
        }
        ModelFiles::OpenClip { weights, config, tokenizer } => {
            found.push((Role::Weights, weights.clone()));
            found.extend(config.iter().map(|path| (Role::Config, path.clone())));
            found.extend(tokenizer.iter().map(|path| (Role::Tokenizer, path.clone())));
        }
        ModelFiles::HuggingFace { folder } => {
            let (index, weights) = hugging_face_weights(folder)?;
            found.extend(weights.into_iter().map(|path| (Role::Weights, path)));
            found.extend(index.map(|path| (Role::WeightsIndex, path)));
            found.push((Role::Config, folder.join("config.json")));
            let preprocessor = folder.join("preprocessor_config.json");
            if preprocessor.is_file() {
                found.push((Role::Preprocessor, preprocessor));
            }
            found.extend(
                hugging_face_tokenizer(folder).into_iter().map(|path| (Role::Tokenizer, path)),
            );
        }
    }
    Ok(found)
}

/// Every file that the layout needs and that is not there; empty for a whole model.
#[must_use]
pub fn missing(files: &ModelFiles) -> Vec<MissingFile> {
    let mut lacking = Vec::new();
    let mut need = |role, path: &Path, obtain: &str| {
        if !path.is_file() {
            lacking.push(MissingFile { role, path: path.to_owned(), obtain: obtain.into() });
        }
    };
    let bpe = "bpe_simple_vocab_16e6.txt.gz is in OpenAI's CLIP repository under `clip/` and in \
               the Python package open_clip_torch";
    match files {
        ModelFiles::OpenAi { weights, tokenizer } => {
            need(
                Role::Weights,
                weights,
                "ViT-B-32.pt and its kin are listed with their addresses in `clip/clip.py` of \
                 OpenAI's CLIP repository",
            );
            tokenizer.iter().for_each(|path| need(Role::Tokenizer, path, bpe));
        }
        ModelFiles::OpenClip { weights, config, tokenizer } => {
            need(
                Role::Weights,
                weights,
                "open_clip_model.safetensors (or open_clip_pytorch_model.bin) of the model's page \
                 on the Hugging Face hub",
            );
            config.iter().for_each(|path| {
                need(
                    Role::Config,
                    path,
                    "open_clip_config.json lies beside the weights on the Hugging Face hub",
                );
            });
            tokenizer.iter().for_each(|path| need(Role::Tokenizer, path, bpe));
        }
        ModelFiles::HuggingFace { folder } => {
            let hub = "from the model's page on the Hugging Face hub (for example \
                       `hf download openai/clip-vit-base-patch32 --local-dir FOLDER`)";
            need(Role::Config, &folder.join("config.json"), hub);
            match hugging_face_weights(folder) {
                Ok((_, weights)) => {
                    weights.iter().for_each(|path| need(Role::Weights, path, hub));
                }
                Err(_) => need(Role::Weights, &folder.join("model.safetensors"), hub),
            }
            if hugging_face_tokenizer(folder).is_empty() {
                need(Role::Tokenizer, &folder.join("tokenizer.json"), hub);
            }
        }
    }
    lacking
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: std::collections::BTreeMap<String, String>,
}

/// The weight files of a folder, safetensors before PyTorch's as transformers prefers them, and
/// the index of shards where there is one.
fn hugging_face_weights(folder: &Path) -> Result<(Option<PathBuf>, Vec<PathBuf>)> {
    for whole in ["model.safetensors", "pytorch_model.bin"] {
        let path = folder.join(whole);
        if path.is_file() {
            return Ok((None, vec![path]));
        }
        let index = folder.join(format!("{whole}.index.json"));
        if index.is_file() {
            let text = read_text_capped(&index, TEXT_CAP_BYTES)?;
            let bad = |what| Error::new(Kind::BadInput, what).at(index.display());
            let shards: ShardIndex = serde_json::from_str(&text)
                .map_err(|cause| bad("is no index of shards").caused_by(cause))?;
            let names: std::collections::BTreeSet<String> =
                shards.weight_map.into_values().collect();
            if names.iter().any(|name| name.contains(['/', '\\']) || name.starts_with('.')) {
                return Err(bad("names a shard outside its folder"));
            }
            return Ok((Some(index), names.into_iter().map(|name| folder.join(name)).collect()));
        }
    }
    Ok((None, vec![folder.join("model.safetensors")]))
}

/// `tokenizer.json`, else `vocab.json` and `merges.txt`, else nothing.
pub(super) fn hugging_face_tokenizer(folder: &Path) -> Vec<PathBuf> {
    let whole = folder.join("tokenizer.json");
    if whole.is_file() {
        return vec![whole];
    }
    let parts = vec![folder.join("vocab.json"), folder.join("merges.txt")];
    if parts.iter().all(|path| path.is_file()) { parts } else { Vec::new() }
}

pub(super) fn weight_paths(model: &ModelSpec) -> Result<Vec<PathBuf>> {
    Ok(files(model)?
        .into_iter()
        .filter_map(|(role, path)| (role == Role::Weights).then_some(path))
        .collect())
}
