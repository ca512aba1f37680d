//! Small CLIPs of seeded random weights, as complete Hugging Face folders: for the demo and for
//! tests. transformers loads them too.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::architecture::{Activation, Architecture, Pooling, TextTower, Transformer, VisionTower};
use super::names::Names;
use crate::base::files::write_atomic;
use crate::base::{Error, Kind, Result};
use crate::flow::preprocessing::{CLIP_MEAN, CLIP_STD};
use crate::nn::tokens::{clip_tokenizer_json, learn};

/// Sizes of a CLIP to be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipConfig {
    /// Side of the square input, in pixels.
    pub size_px: usize,
    /// Side of a patch, in pixels; divides `size_px`.
    pub patch_px: usize,
    /// Floats a token, in the image tower; 64 a head, or one head where it is less.
    pub image_width: usize,
    /// Blocks of the image tower.
    pub image_layers: usize,
    /// Floats a token, in the text tower.
    pub text_width: usize,
    /// Blocks of the text tower.
    pub text_layers: usize,
    /// Most tokens of a text.
    pub context: usize,
    /// Merges of the vocabulary to learn, at most; it has 514 tokens beside them.
    pub merges: usize,
    /// Floats of a feature.
    pub width: usize,
    /// Of the MLPs.
    pub activation: Activation,
    /// Floats of a head of attention, at most.
    pub head_width: usize,
    /// Bounds on the numbers of places in an image, of tokens, and of places in a text. A CLIP that
    /// is to be trained learns sooner where an image's places do not drown in its pixels, nor
    /// tokens in their places.
    pub spreads: [f32; 3],
}

impl Default for ClipConfig {
    /// A CLIP of some 2 million weights that embeds hundreds of images a second on a processor.
    fn default() -> Self {
        Self {
            size_px: 64,
            patch_px: 16,
            image_width: 128,
            image_layers: 4,
            text_width: 128,
            text_layers: 3,
            context: 77,
            merges: 1000,
            width: 64,
            activation: Activation::QuickGelu,
            head_width: 64,
            spreads: [0.1; 3],
        }
    }
}

impl ClipConfig {
    fn architecture(&self, vocabulary: usize, end: u32) -> Result<Architecture> {
        let transformer = |width: usize, layers| Transformer {
            width,
            layers,
            heads: (width / self.head_width.max(1)).max(1),
            hidden: width * 4,
            epsilon: 1e-5,
            activation: self.activation,
        };
        Architecture {
            vision: VisionTower {
                transformer: transformer(self.image_width, self.image_layers),
                size_px: self.size_px,
                patch_px: self.patch_px,
            },
            text: TextTower {
                transformer: transformer(self.text_width, self.text_layers),
                vocabulary,
                context: self.context,
                pooling: Pooling::First(end),
            },
            width: self.width,
        }
        .check()
    }
}

/// Writes a whole CLIP into `folder`: `config.json`, `model.safetensors`,
/// `preprocessor_config.json` and the tokenizer's files, its vocabulary learnt from `texts`.
/// The same arguments write the same bytes on every machine.
///
/// # Errors
/// When the sizes are impossible or a file cannot be written.
pub fn write_random(folder: &Path, config: &ClipConfig, seed: u64, texts: &[&str]) -> Result<()> {
    let vocabulary = learn(texts, config.merges);
    let id = |token: &str| vocabulary.tokens.get(token).copied().unwrap_or_default();
    let (start, end) = (id("<|startoftext|>"), id("<|endoftext|>"));
    let of = config.architecture(vocabulary.tokens.len(), end)?;
    let merges: Vec<&str> = vocabulary.merges.iter().map(String::as_str).collect();

    let mut by_id: Vec<(&String, &u32)> = vocabulary.tokens.iter().collect();
    by_id.sort_by_key(|(_, id)| **id);
    let by_id: serde_json::Map<String, Value> =
        by_id.into_iter().map(|(token, id)| (token.clone(), json!(id))).collect();

    write_text(folder, "vocab.json", &Value::Object(by_id).to_string())?;
    write_text(folder, "merges.txt", &format!("#version: 0.2\n{}\n", merges.join("\n")))?;
    write_text(folder, "tokenizer.json", &clip_tokenizer_json(&vocabulary.tokens, &merges)?)?;
    write_json(folder, "tokenizer_config.json", &tokenizer_config(config.context))?;
    write_json(folder, "special_tokens_map.json", &special_tokens())?;
    write_json(folder, "config.json", &model_config(&of, start, end))?;
    write_json(folder, "preprocessor_config.json", &preprocessor_config(config.size_px))?;
    write_weights(folder, &of, seed, config.spreads)
}

fn write_text(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    write_atomic(&path, |writer| {
        writer
            .write_all(text.as_bytes())
            .map_err(|cause| Error::io("cannot write", path.display(), cause))
    })
}

fn write_json(folder: &Path, name: &str, value: &Value) -> Result<()> {
    write_text(folder, name, &format!("{value:#}\n"))
}

fn special_tokens() -> Value {
    json!({"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
           "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"})
}

fn tokenizer_config(context: usize) -> Value {
    let mut value = special_tokens();
    if let Value::Object(fields) = &mut value {
        fields.insert("tokenizer_class".into(), json!("CLIPTokenizer"));
        fields.insert("model_max_length".into(), json!(context));
    }
    value
}

fn preprocessor_config(size_px: usize) -> Value {
    json!({
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": true, "do_resize": true, "size": {"shortest_edge": size_px},
        "resample": 3, "do_center_crop": true,
        "crop_size": {"height": size_px, "width": size_px},
        "do_rescale": true, "rescale_factor": 1.0 / 255.0,
        "do_normalize": true, "image_mean": CLIP_MEAN, "image_std": CLIP_STD,
    })
}

fn model_config(of: &Architecture, start: u32, end: u32) -> Value {
    let tower = |t: &Transformer| {
        json!({
            "hidden_size": t.width, "intermediate_size": t.hidden,
            "num_hidden_layers": t.layers, "num_attention_heads": t.heads,
            "projection_dim": of.width, "layer_norm_eps": t.epsilon,
            "hidden_act": match t.activation {
                Activation::QuickGelu => "quick_gelu",
                Activation::Gelu => "gelu",
                Activation::GeluTanh => "gelu_new",
            },
        })
    };
    let join = |mut a: Value, b: Value| {
        if let (Value::Object(a), Value::Object(b)) = (&mut a, b) {
            a.extend(b);
        }
        a
    };
    json!({
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": of.width,
        "logit_scale_init_value": 2.6592,
        "torch_dtype": "float32",
        "text_config": join(tower(&of.text.transformer), json!({
            "model_type": "clip_text_model", "vocab_size": of.text.vocabulary,
            "max_position_embeddings": of.text.context,
            "bos_token_id": start, "eos_token_id": end, "pad_token_id": end,
        })),
        "vision_config": join(tower(&of.vision.transformer), json!({
            "model_type": "clip_vision_model", "num_channels": 3,
            "image_size": of.vision.size_px, "patch_size": of.vision.patch_px,
        })),
    })
}

/// Uniform numbers of the spread that keeps activations of order one; norms are the identity.
fn write_weights(folder: &Path, of: &Architecture, seed: u64, spreads: [f32; 3]) -> Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    let [of_image, of_tokens, of_text] = spreads;
    let mut expected = Names::hugging_face().expected(of);
    expected.sort();
    for (name, shape) in expected {
        let count: usize = shape.iter().product();
        let inputs = shape.iter().skip(1).product::<usize>().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a bound on random numbers")]
        let bound = match name.as_str() {
            n if n.contains("norm") || n.contains("layrnorm") => 0.0,
            n if n.ends_with(".bias") => 0.02,
            n if n.contains("token_embedding") => of_tokens,
            n if n.contains("text_model.embeddings") => of_text,
            n if n.contains("embedding") && !n.contains("patch") => of_image,
            _ => (3.0 / inputs as f32).sqrt(),
        };
        let centre: f32 = if bound == 0.0 && name.ends_with(".weight") { 1.0 } else { 0.0 };
        let numbers = (0..count)
            .flat_map(|_| (centre + bound * random.random_range(-1.0_f32..1.0)).to_le_bytes())
            .collect();
        tensors.insert(name, (shape, numbers));
    }
    tensors.insert("logit_scale".into(), (vec![], 2.6592_f32.to_le_bytes().to_vec()));
    let failed = |cause: safetensors::SafeTensorError| {
        Error::new(Kind::Internal, "cannot lay out random weights").caused_by(cause)
    };
    let views = tensors
        .iter()
        .map(|(name, (shape, bytes))| {
            Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(failed)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(failed)?;
    let path = folder.join("model.safetensors");
    write_atomic(&path, |writer| {
        writer.write_all(&bytes).map_err(|cause| Error::io("cannot write", path.display(), cause))
    })
}
