//! From a model's files to its architecture, its names and its opened weights.

use crate::base::files::read_text_capped;
use crate::base::{Error, Result};
use crate::flow::Preprocessing;
use crate::nn::clip::names::{Names, check};
use crate::nn::clip::{Architecture, hugging_face_config, hugging_face_preprocessing};
use crate::nn::tokens::{HuggingFaceTokenizer, Tokenizer};
use crate::nn::weights::Weights;
use crate::plan::model::{ModelFiles, ModelSpec};

use super::files::{TEXT_CAP_BYTES, files, hugging_face_tokenizer, weight_paths};

/// A model whose headers were read and found to fit each other; its numbers are still on disk.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) architecture: Architecture,
    pub(super) preprocessing: Preprocessing,
    pub(super) names: Names,
    pub(super) weights: Weights,
}

fn placed(path: &std::path::Path) -> impl Fn(Error) -> Error {
    move |error| match error.place() {
        Some(_) => error,
        None => error.at(path.display()),
    }
}

/// Opens a model and checks every tensor's name, shape and type.
pub(super) fn open(model: &ModelSpec) -> Result<Opened> {
    files(model)?;
    let paths = weight_paths(model)?;
    let weights = Weights::open_shards(&paths)?;
    match &model.files {
        ModelFiles::HuggingFace { folder } => {
            let path = folder.join("config.json");
            let text = read_text_capped(&path, TEXT_CAP_BYTES)?;
            let architecture = hugging_face_config(&text).map_err(placed(&path))?;
            let names = Names::hugging_face();
            let expected = names.expected(&architecture);
            check(&weights, &expected, |name| {
                name == "logit_scale" || name.ends_with(".position_ids")
            })
            .map_err(placed(folder))?;
            let path = folder.join("preprocessor_config.json");
            let text =
                path.is_file().then(|| read_text_capped(&path, TEXT_CAP_BYTES)).transpose()?;
            let preprocessing = hugging_face_preprocessing(text.as_deref(), &architecture)
                .map_err(placed(&path))?;
            Ok(Opened { architecture, preprocessing, names, weights })
        }
        ModelFiles::OpenAi { .. } | ModelFiles::OpenClip { .. } => {
            Err(Error::new(crate::base::Kind::Internal, "this layout is not read yet"))
        }
    }
}

/// The tokenizer of a model.
pub(super) fn tokenizer(model: &ModelSpec) -> Result<Tokenizer> {
    match &model.files {
        ModelFiles::HuggingFace { folder } => {
            let paths = hugging_face_tokenizer(folder);
            let read = |path: &std::path::PathBuf| read_text_capped(path, TEXT_CAP_BYTES);
            let tokenizer = match paths.as_slice() {
                [whole] => HuggingFaceTokenizer::from_json(&read(whole)?).map_err(placed(whole))?,
                [vocabulary, merges] => {
                    HuggingFaceTokenizer::from_vocabulary(&read(vocabulary)?, &read(merges)?)
                        .map_err(placed(vocabulary))?
                }
                _ => {
                    return Err(Error::new(
                        crate::base::Kind::MissingInput,
                        "has no tokenizer.json",
                    )
                    .at(folder.display()));
                }
            };
            Ok(Tokenizer::HuggingFace(Box::new(tokenizer)))
        }
        ModelFiles::OpenAi { .. } | ModelFiles::OpenClip { .. } => {
            Err(Error::new(crate::base::Kind::Internal, "this layout is not read yet"))
        }
    }
}
