//! OpenAI's layout: the architecture is in the shapes (`build_model` in `clip/model.py`).

use super::architecture::{Activation, Architecture, Pooling, TextTower, Transformer, VisionTower};
use crate::base::{Error, Kind, Result};
use crate::nn::weights::Weights;

/// Unwraps what training scripts put around a state dict: `state_dict.` and `module.`.
pub fn unwrap(weights: &mut Weights) {
    for wrapper in ["state_dict.", "module."] {
        if weights.names().any(|name| name.starts_with(wrapper)) {
            weights.rename(|name| name.strip_prefix(wrapper).map(str::to_owned));
        }
    }
}

/// `"text."` where open_clip keeps the text tower in a module of its own, else nothing.
#[must_use]
pub fn text_prefix(weights: &Weights) -> &'static str {
    match weights.get("text.token_embedding.weight") {
        Some(_) => "text.",
        None => "",
    }
}

/// Names that hold no weights of the towers.
#[must_use]
pub fn is_beside_the_towers(name: &str) -> bool {
    let name = name.strip_prefix("text.").unwrap_or(name);
    matches!(
        name,
        "logit_scale"
            | "logit_bias"
            | "attn_mask"
            | "input_resolution"
            | "context_length"
            | "vocab_size"
    )
}

/// Refuses towers that are not CLIP's vision transformer and causal text transformer.
///
/// # Errors
/// [`Kind::BadInput`] that says what the weights are.
pub fn refuse_others(weights: &Weights) -> Result<()> {
    for (part, what) in [
        ("visual.layer1.", "the image tower is a ResNet"),
        ("visual.attnpool.", "the image tower is a ResNet"),
        ("visual.trunk.", "the image tower is one of timm (SigLIP, ConvNeXt, EVA)"),
        ("visual.attn_pool.", "the image tower pools by attention (CoCa)"),
        ("text_decoder.", "the model has a text decoder (CoCa)"),
        ("text.transformer.embeddings.", "the text tower is one of transformers (BERT kin)"),
        ("text.transformer.encoder.", "the text tower is one of transformers (BERT kin)"),
        ("text.cls_emb", "the text tower has a class token"),
    ] {
        if weights.names().any(|name| name.starts_with(part)) {
            return Err(Error::new(
                Kind::BadInput,
                format!("{what}, which clipmill does not compute (tensors `{part}…`)"),
            )
            .help("take a CLIP with a vision transformer, such as ViT-B-32"));
        }
    }
    Ok(())
}

/// The architecture that the shapes say; heads are 64 wide, as in every CLIP that OpenAI and
/// open_clip published without a configuration that says otherwise.
///
/// # Errors
/// [`Kind::BadInput`] when a tensor that decides a size is missing, or a size is impossible.
pub fn architecture(weights: &Weights, activation: Activation) -> Result<Architecture> {
    let text = text_prefix(weights);
    let dimension = |name: &str, dimension: usize| {
        let shape = weights.shape(name).and_then(|shape| shape.get(dimension)).copied();
        shape.ok_or_else(|| {
            Error::new(
                Kind::BadInput,
                format!("is no CLIP of OpenAI's layout: tensor `{name}` is missing or misshapen"),
            )
        })
    };
    let layers = |prefix: &str| {
        weights
            .names()
            .filter(|name| name.starts_with(prefix) && name.ends_with(".attn.in_proj_weight"))
            .count()
    };
    let tower = |width: usize, prefix: &str| -> Result<Transformer> {
        Ok(Transformer {
            width,
            layers: layers(prefix),
            heads: (width / 64).max(1),
            hidden: dimension(&format!("{prefix}.0.mlp.c_fc.weight"), 0)?,
            epsilon: 1e-5,
            activation,
        })
    };
    let patch_px = dimension("visual.conv1.weight", 3)?;
    let positions = dimension("visual.positional_embedding", 0)?;
    let grid = positions.saturating_sub(1).isqrt();
    Architecture {
        vision: VisionTower {
            transformer: tower(
                dimension("visual.conv1.weight", 0)?,
                "visual.transformer.resblocks",
            )?,
            size_px: grid.saturating_mul(patch_px),
            patch_px,
        },
        text: TextTower {
            transformer: tower(
                dimension(&format!("{text}ln_final.weight"), 0)?,
                &format!("{text}transformer.resblocks"),
            )?,
            vocabulary: dimension(&format!("{text}token_embedding.weight"), 0)?,
            context: dimension(&format!("{text}positional_embedding"), 0)?,
            pooling: Pooling::HighestId,
        },
        width: dimension(&format!("{text}text_projection"), 1)?,
    }
    .check()
}
