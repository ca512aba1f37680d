//! Hugging Face's `config.json` and `preprocessor_config.json`.

use serde::Deserialize;

use super::architecture::{Activation, Architecture, Pooling, TextTower, Transformer, VisionTower};
use crate::base::{Error, Kind, Result};
use crate::flow::Preprocessing;
use crate::flow::preprocessing::{CLIP_MEAN, CLIP_STD, Fit, Resample};

/// `config.json` of a `CLIPModel`. What is left out has the value that transformers'
/// `CLIPConfig` gives it.
#[derive(Debug, Deserialize)]
struct Config {
    model_type: Option<String>,
    projection_dim: Option<usize>,
    text_config: Option<Tower>,
    vision_config: Option<Tower>,
    // Written by transformers before 4.22; they win over the two above, as there.
    text_config_dict: Option<Tower>,
    vision_config_dict: Option<Tower>,
}

#[derive(Debug, Default, Deserialize)]
struct Tower {
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    hidden_act: Option<String>,
    layer_norm_eps: Option<f64>,
    // text
    vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    eos_token_id: Option<u32>,
    // vision
    num_channels: Option<usize>,
    image_size: Option<usize>,
    patch_size: Option<usize>,
}

impl Tower {
    fn over(self, under: Self) -> Self {
        macro_rules! either {
            ($($field:ident),*) => { Self { $($field: self.$field.or(under.$field)),* } };
        }
        either!(
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
            hidden_act,
            layer_norm_eps,
            vocab_size,
            max_position_embeddings,
            eos_token_id,
            num_channels,
            image_size,
            patch_size
        )
    }

    fn transformer(&self, width: usize, heads: usize) -> Result<Transformer> {
        let width = self.hidden_size.unwrap_or(width);
        Ok(Transformer {
            width,
            layers: self.num_hidden_layers.unwrap_or(12),
            heads: self.num_attention_heads.unwrap_or(heads),
            // transformers' defaults, which do not follow `hidden_size`
            hidden: self.intermediate_size.unwrap_or(if heads == 8 { 2048 } else { 3072 }),
            epsilon: self.layer_norm_eps.unwrap_or(1e-5),
            activation: match self.hidden_act.as_deref() {
                None | Some("quick_gelu") => Activation::QuickGelu,
                Some("gelu" | "gelu_python") => Activation::Gelu,
                Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Activation::GeluTanh,
                Some(other) => {
                    return Err(Error::new(
                        Kind::BadInput,
                        format!("hidden_act `{other}` is not one of quick_gelu, gelu, gelu_new"),
                    ));
                }
            },
        })
    }
}

/// The architecture that a `config.json` says.
///
/// # Errors
/// [`Kind::BadInput`] when it is no JSON, of another kind of model, or has impossible sizes.
pub fn config(text: &str) -> Result<Architecture> {
    let config: Config = serde_json::from_str(text).map_err(|cause| {
        Error::new(Kind::BadInput, "is no configuration of a CLIPModel").caused_by(cause)
    })?;
    if let Some(other) = config.model_type.filter(|kind| kind != "clip") {
        return Err(Error::new(
            Kind::BadInput,
            format!("is the configuration of a `{other}`, expected model_type `clip`"),
        )
        .help("only CLIP with a vision transformer is read; not SigLIP, ALIGN or other kin"));
    }
    let join = |new: Option<Tower>, old: Option<Tower>| {
        old.unwrap_or_default().over(new.unwrap_or_default())
    };
    let text = join(config.text_config, config.text_config_dict);
    let vision = join(config.vision_config, config.vision_config_dict);
    if vision.num_channels.is_some_and(|n| n != 3) {
        return Err(Error::new(Kind::BadInput, "the image tower does not take 3 channels"));
    }
    Architecture {
        vision: VisionTower {
            transformer: vision.transformer(768, 12)?,
            size_px: vision.image_size.unwrap_or(224),
            patch_px: vision.patch_size.unwrap_or(32),
        },
        text: TextTower {
            transformer: text.transformer(512, 8)?,
            vocabulary: text.vocab_size.unwrap_or(49408),
            context: text.max_position_embeddings.unwrap_or(77),
            pooling: match text.eos_token_id {
                // Conversions before transformers' pull request 24773 say 2, which is wrong;
                // transformers then takes the highest id, and so do we.
                Some(2) => Pooling::HighestId,
                Some(id) => Pooling::First(id),
                None => Pooling::First(49407),
            },
        },
        width: config.projection_dim.unwrap_or(512),
    }
    .check()
}

#[derive(Debug, Deserialize)]
struct Processor {
    size: Option<Size>,
    crop_size: Option<Size>,
    do_resize: Option<bool>,
    do_center_crop: Option<bool>,
    do_normalize: Option<bool>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    resample: Option<u32>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

/// A size as old (`224`) or new (`{"shortest_edge": 224}`) versions write it.
#[derive(Debug)]
enum Size {
    One(u32),
    Shortest(u32),
    Sides(u32, u32),
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let number = |value: Option<&serde_json::Value>| {
            value.and_then(serde_json::Value::as_u64).and_then(|n| u32::try_from(n).ok())
        };
        let field = |name| number(value.get(name));
        number(Some(&value))
            .map(Self::One)
            .or_else(|| field("shortest_edge").map(Self::Shortest))
            .or_else(|| Some(Self::Sides(field("height")?, field("width")?)))
            .ok_or_else(|| serde::de::Error::custom(format!("`{value}` is no size of images")))
    }
}

/// The preprocessing that a `preprocessor_config.json` says; without one, CLIP's at the tower's
/// size.
///
/// # Errors
/// [`Kind::BadInput`] for steps that clipmill does not have, or sizes that do not fit the tower.
pub fn preprocessing(text: Option<&str>, of: &Architecture) -> Result<Preprocessing> {
    let bad = |what: String| Error::new(Kind::BadInput, what);
    let size_px = u32::try_from(of.vision.size_px)
        .map_err(|cause| bad("the image size is too large".into()).caused_by(cause))?;
    let Some(text) = text else { return Ok(Preprocessing::clip(size_px)) };
    let processor: Processor = serde_json::from_str(text).map_err(|cause| {
        bad("is no configuration of a CLIPImageProcessor".into()).caused_by(cause)
    })?;
    for (name, value) in [
        ("do_resize", processor.do_resize),
        ("do_rescale", processor.do_rescale),
        ("do_normalize", processor.do_normalize),
    ] {
        if value == Some(false) {
            return Err(bad(format!("`{name}` is false, which clipmill does not offer")));
        }
    }
    if processor.rescale_factor.is_some_and(|f| (f * 255.0 - 1.0).abs() > 1e-6) {
        return Err(bad("`rescale_factor` is not 1/255, which clipmill does not offer".into()));
    }
    let side = |size: Option<Size>| match size {
        None => Ok(None),
        Some(Size::One(n) | Size::Shortest(n)) => Ok(Some((n, false))),
        Some(Size::Sides(h, w)) if h == w => Ok(Some((h, true))),
        Some(Size::Sides(h, w)) => Err(bad(format!("images of {w} × {h} are not square"))),
    };
    let resize = side(processor.size)?;
    let crop =
        if processor.do_center_crop == Some(false) { None } else { side(processor.crop_size)? };
    let last = crop.or(resize).map_or(size_px, |(n, _)| n);
    let first = resize.map_or(last, |(n, _)| n);
    if last != size_px {
        return Err(bad(format!(
            "images are prepared at {last} px, but the image tower takes {size_px} px"
        )));
    }
    if first != last {
        return Err(bad(format!(
            "images are resized to {first} px and cropped to {last} px; clipmill resizes to the \
             size of the crop only"
        )));
    }
    Ok(Preprocessing {
        size_px,
        resample: match processor.resample {
            None | Some(3) => Resample::Bicubic,
            Some(0) => Resample::Nearest,
            Some(1) => Resample::Lanczos,
            Some(2) => Resample::Bilinear,
            Some(other) => return Err(bad(format!("`resample` {other} is not offered"))),
        },
        mean: processor.image_mean.unwrap_or(CLIP_MEAN),
        std: processor.image_std.unwrap_or(CLIP_STD),
        fit: match resize {
            Some((_, true)) => Fit::Squash,
            _ => Fit::ShortestThenCentre,
        },
    })
}
