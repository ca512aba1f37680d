//! open_clip's configuration: `open_clip_config.json` of the hub, or a file of its
//! `model_configs`. What is left out has the value that `CLIPVisionCfg` and `CLIPTextCfg` give it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::architecture::{Activation, Architecture, Pooling, TextTower, Transformer, VisionTower};
use crate::base::{Error, Kind, Result};
use crate::flow::Preprocessing;
use crate::flow::preprocessing::{Fit, Resample};

#[derive(Debug, Deserialize)]
struct Outer {
    model_cfg: Option<Value>,
    preprocess_cfg: Option<Prepare>,
}

#[derive(Debug, Deserialize)]
struct Model {
    embed_dim: usize,
    #[serde(default)]
    quick_gelu: bool,
    vision_cfg: Map<String, Value>,
    text_cfg: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Prepare {
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    interpolation: Option<String>,
    resize_mode: Option<String>,
}

fn bad(what: String) -> Error {
    Error::new(Kind::BadInput, what)
}

/// Settings that leave a plain CLIP only at the value given here.
const PLAIN: &[(&str, &[&str])] = &[
    ("pool_type", &["\"tok\"", "\"argmax\"", "\"eos\""]),
    ("pos_embed_type", &["\"learnable\""]),
    ("proj_type", &["\"linear\""]),
    ("timm_model_name", &[]),
    ("hf_model_name", &[]),
    ("hf_tokenizer_name", &[]),
    ("ls_init_value", &[]),
    ("attentional_pool", &["false"]),
    ("no_ln_pre", &["false"]),
    ("embed_cls", &["false"]),
    ("no_causal_mask", &["false"]),
    ("proj_bias", &["false"]),
    ("act_kwargs", &["{}"]),
    ("norm_kwargs", &["{}"]),
    ("block_type", &["\"default\""]),
    ("qk_norm", &["false"]),
    ("scaled_cosine_attn", &["false"]),
    ("scale_heads", &["false"]),
    ("scale_attn_inner", &["false"]),
    ("scale_attn", &["false"]),
    ("scale_fc", &["false"]),
];

fn refuse_others(tower: &str, settings: &Map<String, Value>) -> Result<()> {
    for (name, plain) in PLAIN {
        match settings.get(*name) {
            None | Some(Value::Null) => {}
            Some(value) if plain.contains(&value.to_string().as_str()) => {}
            Some(value) => {
                return Err(bad(format!(
                    "{tower}.{name} is {value}, which clipmill does not compute"
                ))
                .help("take a CLIP with a vision transformer, such as ViT-B-32"));
            }
        }
    }
    Ok(())
}

fn size(tower: &str, settings: &Map<String, Value>, name: &str, default: usize) -> Result<usize> {
    match settings.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| bad(format!("{tower}.{name} is {value}, expected one whole number"))),
    }
}

fn hidden(tower: &str, settings: &Map<String, Value>, width: usize) -> Result<usize> {
    let ratio = settings.get("mlp_ratio").map_or(Some(4.0), Value::as_f64);
    let ratio = ratio.filter(|ratio| (0.01..100.0).contains(ratio));
    let ratio = ratio.ok_or_else(|| bad(format!("{tower}.mlp_ratio is out of range")))?;
    #[expect(clippy::cast_precision_loss, reason = "Python's int(width * mlp_ratio)")]
    #[expect(clippy::cast_possible_truncation, reason = "Python's int(width * mlp_ratio)")]
    #[expect(clippy::cast_sign_loss, reason = "the ratio is positive")]
    Ok((width as f64 * ratio) as usize)
}

/// The architecture and the preprocessing that a configuration says.
///
/// # Errors
/// [`Kind::BadInput`] when it is no such configuration, or of a model that is no plain CLIP.
pub fn config(text: &str) -> Result<(Architecture, Preprocessing)> {
    let odd = |cause| bad("is no configuration of open_clip".into()).caused_by(cause);
    let value: Value = serde_json::from_str(text).map_err(odd)?;
    let outer: Outer = serde_json::from_value(value.clone()).map_err(odd)?;
    let model: Model = serde_json::from_value(outer.model_cfg.unwrap_or(value)).map_err(odd)?;
    let (v, t) = (&model.vision_cfg, &model.text_cfg);
    refuse_others("vision_cfg", v)?;
    refuse_others("text_cfg", t)?;
    let activation = if model.quick_gelu { Activation::QuickGelu } else { Activation::Gelu };
    let width = size("vision_cfg", v, "width", 768)?;
    let head_width = size("vision_cfg", v, "head_width", 64)?;
    let text_width = size("text_cfg", t, "width", 512)?;
    let tower = |width, layers, heads, hidden| Transformer {
        width,
        layers,
        heads,
        hidden,
        epsilon: 1e-5,
        activation,
    };
    let architecture = Architecture {
        vision: VisionTower {
            transformer: tower(
                width,
                size("vision_cfg", v, "layers", 12)?,
                width.checked_div(head_width).unwrap_or(0),
                hidden("vision_cfg", v, width)?,
            ),
            size_px: size("vision_cfg", v, "image_size", 224)?,
            patch_px: size("vision_cfg", v, "patch_size", 16)?,
        },
        text: TextTower {
            transformer: tower(
                text_width,
                size("text_cfg", t, "layers", 12)?,
                size("text_cfg", t, "heads", 8)?,
                hidden("text_cfg", t, text_width)?,
            ),
            vocabulary: size("text_cfg", t, "vocab_size", 49408)?,
            context: size("text_cfg", t, "context_length", 77)?,
            pooling: match t.get("pool_type").and_then(Value::as_str) {
                Some("eos") => {
                    let id = size("text_cfg", t, "eos_id", 2)?;
                    Pooling::First(u32::try_from(id).unwrap_or(u32::MAX))
                }
                _ => Pooling::HighestId,
            },
        },
        width: model.embed_dim,
    }
    .check()?;
    let preprocessing = preprocessing(outer.preprocess_cfg, &architecture)?;
    Ok((architecture, preprocessing))
}

fn preprocessing(prepare: Option<Prepare>, of: &Architecture) -> Result<Preprocessing> {
    let size_px = u32::try_from(of.vision.size_px)
        .map_err(|cause| bad("the image size is too large".into()).caused_by(cause))?;
    let plain = Preprocessing::clip(size_px);
    let Some(prepare) = prepare else { return Ok(plain) };
    Ok(Preprocessing {
        mean: prepare.mean.unwrap_or(plain.mean),
        std: prepare.std.unwrap_or(plain.std),
        resample: match prepare.interpolation.as_deref() {
            None | Some("bicubic" | "random") => Resample::Bicubic,
            Some("bilinear") => Resample::Bilinear,
            Some(other) => return Err(bad(format!("interpolation `{other}` is not offered"))),
        },
        fit: match prepare.resize_mode.as_deref() {
            None | Some("shortest") => Fit::ShortestThenCentre,
            Some("squash") => Fit::Squash,
            Some(other) => return Err(bad(format!("resize_mode `{other}` is not offered"))),
        },
        ..plain
    })
}
