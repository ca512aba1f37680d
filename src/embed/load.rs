//! From a model's files to its architecture, its names and its opened weights.

use std::path::Path;

use super::files::{TEXT_CAP_BYTES, hugging_face_tokenizer, weight_paths};
use crate::base::files::{read_capped, read_text_capped};
use crate::base::{Error, Kind, Result};
use crate::flow::Preprocessing;
use crate::nn::clip::names::{Names, check};
use crate::nn::clip::{
    Activation, Architecture, hugging_face_config, hugging_face_preprocessing, open_ai, open_clip,
};
use crate::nn::device;
use crate::nn::tokens::{HuggingFaceTokenizer, SimpleTokenizer, Spelling, Tokenizer};
use crate::nn::weights::Weights;
use crate::plan::model::{DeviceChoice, ModelFiles, ModelSpec};

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

/// Whether the device that a model asks for is there and computes in its numeric type; with `auto`,
/// whether the one that it takes does.
///
/// # Errors
/// [`Kind::Device`] when this build or this machine does not have it, or it does not compute in
/// that type.
pub fn check_device(model: &ModelSpec) -> Result<()> {
    // A GPU is not opened only to find one that does.
    if model.device == DeviceChoice::Auto && device::computes_everywhere(model.dtype) {
        return Ok(());
    }
    let opened = device::open(model.device)?;
    device::check_clip(model.dtype, &opened.device)
}

/// Opens a model and checks every tensor's name, shape and type.
pub(super) fn open(model: &ModelSpec) -> Result<Opened> {
    let paths = weight_paths(model)?;
    let weights = Weights::open_shards(&paths)?;
    match &model.files {
        ModelFiles::HuggingFace { folder } => hugging_face(folder, weights),
        ModelFiles::OpenAi { weights: path, .. } => {
            open_ai(weights, None, Activation::QuickGelu).map_err(placed(path))
        }
        ModelFiles::OpenClip { weights: path, config, .. } => {
            let said = config
                .as_ref()
                .map(|path| {
                    let text = read_text_capped(path, TEXT_CAP_BYTES)?;
                    open_clip::config(&text).map_err(placed(path))
                })
                .transpose()?;
            open_ai(weights, said, Activation::Gelu).map_err(placed(path))
        }
    }
}

fn hugging_face(folder: &Path, weights: Weights) -> Result<Opened> {
    let path = folder.join("config.json");
    let text = read_text_capped(&path, TEXT_CAP_BYTES)?;
    let architecture = hugging_face_config(&text).map_err(placed(&path))?;
    let names = Names::hugging_face();
    let expected = names.expected(&architecture);
    check(&weights, &expected, |name| name == "logit_scale" || name.ends_with(".position_ids"))
        .map_err(placed(folder))?;
    let path = folder.join("preprocessor_config.json");
    let text = path.is_file().then(|| read_text_capped(&path, TEXT_CAP_BYTES)).transpose()?;
    let preprocessing =
        hugging_face_preprocessing(text.as_deref(), &architecture).map_err(placed(&path))?;
    Ok(Opened { architecture, preprocessing, names, weights })
}

/// OpenAI's and open_clip's layout. Where no configuration says the activation, OpenAI's
/// archives are quick-GELU and open_clip's weights GELU, as their libraries build them.
fn open_ai(
    mut weights: Weights,
    said: Option<(Architecture, Preprocessing)>,
    activation: Activation,
) -> Result<Opened> {
    open_ai::unwrap(&mut weights);
    open_ai::refuse_others(&weights)?;
    let (architecture, preprocessing) = match said {
        Some(said) => said,
        None => {
            let of = open_ai::architecture(&weights, activation)?;
            let side = u32::try_from(of.vision.size_px).unwrap_or(u32::MAX);
            (of, Preprocessing::clip(side))
        }
    };
    let names = Names::open_ai(open_ai::text_prefix(&weights));
    check(&weights, &names.expected(&architecture), open_ai::is_beside_the_towers)?;
    Ok(Opened { architecture, preprocessing, names, weights })
}

/// The tokenizer of a model.
pub(super) fn tokenizer(model: &ModelSpec) -> Result<Tokenizer> {
    let read = |path: &Path| read_text_capped(path, TEXT_CAP_BYTES);
    let whole = |path: &Path| {
        let tokenizer = HuggingFaceTokenizer::from_json(&read(path)?).map_err(placed(path))?;
        Ok(Tokenizer::HuggingFace(Box::new(tokenizer)))
    };
    let (path, spelling) = match &model.files {
        ModelFiles::HuggingFace { folder } => {
            return match hugging_face_tokenizer(folder).as_slice() {
                [path] => whole(path),
                [vocabulary, merges] => {
                    let tokenizer =
                        HuggingFaceTokenizer::from_vocabulary(&read(vocabulary)?, &read(merges)?)
                            .map_err(placed(vocabulary))?;
                    Ok(Tokenizer::HuggingFace(Box::new(tokenizer)))
                }
                _ => {
                    let what = "texts need a tokenizer, and the folder has none";
                    Err(Error::new(Kind::MissingInput, what)
                        .at(folder.display())
                        .help("put `tokenizer.json`, or `vocab.json` and `merges.txt`, there"))
                }
            };
        }
        ModelFiles::OpenAi { tokenizer, .. } => (tokenizer, Spelling::OpenAi),
        ModelFiles::OpenClip { tokenizer, .. } => (tokenizer, Spelling::OpenClip),
    };
    let path = path.as_ref().ok_or_else(|| {
        Error::new(Kind::MissingInput, "texts need a tokenizer, and the model names none")
            .at(format!("model `{}`", model.name))
            .help("add `tokenizer = \"bpe_simple_vocab_16e6.txt.gz\"` to its block")
    })?;
    if path.extension().is_some_and(|extension| extension == "json") {
        return whole(path);
    }
    let bytes = read_capped(path, TEXT_CAP_BYTES)?;
    let tokenizer = SimpleTokenizer::read(&bytes, spelling).map_err(placed(path))?;
    Ok(Tokenizer::Simple(Box::new(tokenizer)))
}
