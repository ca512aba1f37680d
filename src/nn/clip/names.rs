//! What each layout calls a tensor, and which shape an architecture needs it to have.

use candle_core::{DType, Device, Tensor};

use super::architecture::{Architecture, Transformer};
use crate::base::{Error, Kind, Result};
use crate::nn::fault::candle;
use crate::nn::kernels;
use crate::nn::weights::Weights;

/// How a layout names and stores the parts of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Query, key and value in one matrix (`attn.in_proj_weight`); the projection to the
    /// feature is stored input-first.
    OpenAi,
    /// Query, key and value apart (`self_attn.q_proj`); the projection is stored output-first.
    HuggingFace,
}

/// Names of a tower.
#[derive(Debug, Clone)]
pub struct TowerNames {
    style: Style,
    /// `class_embedding`, in an image tower.
    pub(super) class: Option<String>,
    /// The patch kernel or the token table.
    pub(super) input: String,
    pub(super) position: String,
    pub(super) pre_norm: Option<String>,
    layers: String,
    pub(super) post_norm: String,
    projection: String,
}

/// Names of a CLIP.
#[derive(Debug, Clone)]
pub struct Names {
    /// Of the image tower.
    pub vision: TowerNames,
    /// Of the text tower.
    pub text: TowerNames,
}

impl Names {
    /// OpenAI's and open_clip's; `text` is `""`, or `"text."` for open_clip's custom towers.
    #[must_use]
    pub fn open_ai(text: &str) -> Self {
        Self {
            vision: TowerNames {
                style: Style::OpenAi,
                class: Some("visual.class_embedding".into()),
                input: "visual.conv1.weight".into(),
                position: "visual.positional_embedding".into(),
                pre_norm: Some("visual.ln_pre".into()),
                layers: "visual.transformer.resblocks".into(),
                post_norm: "visual.ln_post".into(),
                projection: "visual.proj".into(),
            },
            text: TowerNames {
                style: Style::OpenAi,
                class: None,
                input: format!("{text}token_embedding.weight"),
                position: format!("{text}positional_embedding"),
                pre_norm: None,
                layers: format!("{text}transformer.resblocks"),
                post_norm: format!("{text}ln_final"),
                projection: format!("{text}text_projection"),
            },
        }
    }

    /// transformers' `CLIPModel`.
    #[must_use]
    pub fn hugging_face() -> Self {
        Self {
            vision: TowerNames {
                style: Style::HuggingFace,
                class: Some("vision_model.embeddings.class_embedding".into()),
                input: "vision_model.embeddings.patch_embedding.weight".into(),
                position: "vision_model.embeddings.position_embedding.weight".into(),
                // sic
                pre_norm: Some("vision_model.pre_layrnorm".into()),
                layers: "vision_model.encoder.layers".into(),
                post_norm: "vision_model.post_layernorm".into(),
                projection: "visual_projection.weight".into(),
            },
            text: TowerNames {
                style: Style::HuggingFace,
                class: None,
                input: "text_model.embeddings.token_embedding.weight".into(),
                position: "text_model.embeddings.position_embedding.weight".into(),
                pre_norm: None,
                layers: "text_model.encoder.layers".into(),
                post_norm: "text_model.final_layer_norm".into(),
                projection: "text_projection.weight".into(),
            },
        }
    }

    /// Every tensor of a CLIP with its shape, `logit_scale` aside.
    #[must_use]
    pub fn expected(&self, of: &Architecture) -> Vec<(String, Vec<usize>)> {
        let mut all = self.vision_expected(of);
        all.extend(self.text_expected(of));
        all
    }

    fn vision_expected(&self, of: &Architecture) -> Vec<(String, Vec<usize>)> {
        let tower = of.vision.transformer;
        let patches = of.vision.grid().saturating_mul(of.vision.grid());
        let (w, p) = (tower.width, of.vision.patch_px);
        let mut all = self.vision.common(tower, of.width);
        all.extend(self.vision.class.iter().map(|name| (name.clone(), vec![w])));
        all.push((self.vision.input.clone(), vec![w, 3, p, p]));
        all.push((self.vision.position.clone(), vec![patches + 1, w]));
        all
    }

    fn text_expected(&self, of: &Architecture) -> Vec<(String, Vec<usize>)> {
        let tower = of.text.transformer;
        let mut all = self.text.common(tower, of.width);
        all.push((self.text.input.clone(), vec![of.text.vocabulary, tower.width]));
        all.push((self.text.position.clone(), vec![of.text.context, tower.width]));
        all
    }
}

/// The parts of a block, by their names below `layers.N`.
struct BlockNames {
    norms: [&'static str; 2],
    out: &'static str,
    mlp: [&'static str; 2],
}

impl TowerNames {
    /// The name of a part of a block.
    fn at(&self, layer: usize, part: &str) -> String {
        format!("{}.{layer}.{part}", self.layers)
    }

    fn block_names(&self) -> BlockNames {
        match self.style {
            Style::OpenAi => BlockNames {
                norms: ["ln_1", "ln_2"],
                out: "attn.out_proj",
                mlp: ["mlp.c_fc", "mlp.c_proj"],
            },
            Style::HuggingFace => BlockNames {
                norms: ["layer_norm1", "layer_norm2"],
                out: "self_attn.out_proj",
                mlp: ["mlp.fc1", "mlp.fc2"],
            },
        }
    }

    fn common(&self, of: Transformer, feature: usize) -> Vec<(String, Vec<usize>)> {
        let (w, h) = (of.width, of.hidden);
        let mut all = Vec::new();
        let mut affine = |name: String, weight: Vec<usize>| {
            all.push((format!("{name}.bias"), weight.first().copied().into_iter().collect()));
            all.push((format!("{name}.weight"), weight));
        };
        for norm in self.pre_norm.iter().chain([&self.post_norm]) {
            affine(norm.clone(), vec![w]);
        }
        let names = self.block_names();
        for layer in 0..of.layers {
            let at = |part: &str| format!("{}.{layer}.{part}", self.layers);
            names.norms.iter().for_each(|norm| affine(at(norm), vec![w]));
            affine(at(names.out), vec![w, w]);
            affine(at(names.mlp[0]), vec![h, w]);
            affine(at(names.mlp[1]), vec![w, h]);
            if self.style == Style::HuggingFace {
                for part in ["q", "k", "v"] {
                    affine(at(&format!("self_attn.{part}_proj")), vec![w, w]);
                }
            }
        }
        if self.style == Style::OpenAi {
            for layer in 0..of.layers {
                let at = |part: &str| format!("{}.{layer}.attn.in_proj_{part}", self.layers);
                all.push((at("weight"), vec![3 * w, w]));
                all.push((at("bias"), vec![3 * w]));
            }
        }
        let projection = match self.style {
            Style::OpenAi => vec![w, feature],
            Style::HuggingFace => vec![feature, w],
        };
        all.push((self.projection.clone(), projection));
        all
    }
}

/// Takes tensors out of weights that were checked, in the form that the towers compute with.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) weights: &'a Weights,
    pub(super) device: &'a Device,
    pub(super) dtype: DType,
    /// Of what is added to numbers: biases, positions, the class token.
    pub(super) added: DType,
}

/// A weight stored input-first, and a bias.
pub(super) type Affine = (Tensor, Tensor);

impl Reader<'_> {
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor> {
        self.weights.tensor(name, self.dtype, self.device)
    }

    /// A tensor that is added to numbers.
    pub(super) fn added(&self, name: &str) -> Result<Tensor> {
        self.weights.tensor(name, self.added, self.device)
    }

    /// Scale and shift of a layer norm, always f32: it is computed in f32.
    pub(super) fn norm(&self, name: &str) -> Result<Affine> {
        let part = |part| self.weights.tensor(&format!("{name}.{part}"), DType::F32, self.device);
        Ok((part("weight")?, part("bias")?))
    }

    /// What an image tower begins with.
    pub(super) fn begin(&self, tower: &TowerNames) -> Result<BeginWeights> {
        let (Some(class), Some(pre)) = (&tower.class, &tower.pre_norm) else {
            return Err(Error::new(Kind::Internal, "an image tower without class token"));
        };
        // A convolution whose stride is its kernel is one product of matrices.
        let patch = self.tensor(&tower.input)?.flatten_from(1);
        let patch = patch.and_then(|patch| kernels::transposed(&patch));
        Ok(BeginWeights {
            patch: patch.map_err(candle("cannot lay out the image tower"))?,
            class: self.added(class)?,
            position: self.added(&tower.position)?,
            pre: self.norm(pre)?,
        })
    }

    fn transposed(&self, name: &str) -> Result<Tensor> {
        kernels::transposed(&self.tensor(name)?).map_err(candle("cannot transpose a weight"))
    }

    fn linear(&self, name: &str) -> Result<Affine> {
        Ok((self.transposed(&format!("{name}.weight"))?, self.added(&format!("{name}.bias"))?))
    }

    /// The projection of a tower, input-first.
    pub(super) fn projection(&self, tower: &TowerNames) -> Result<Tensor> {
        match tower.style {
            Style::OpenAi => self.tensor(&tower.projection),
            Style::HuggingFace => self.transposed(&tower.projection),
        }
    }

    /// All weights of a block. A reader that has no room for all at once takes them one by one.
    pub(super) fn block(&self, tower: &TowerNames, layer: usize) -> Result<BlockWeights> {
        Ok(BlockWeights {
            norms: self.norms(tower, layer)?,
            qkv: self.qkv(tower, layer)?,
            out: self.out(tower, layer)?,
            mlp: [self.up(tower, layer)?, self.down(tower, layer)?],
        })
    }

    /// Both norms of a block.
    pub(super) fn norms(&self, tower: &TowerNames, layer: usize) -> Result<[Affine; 2]> {
        let [first, second] = tower.block_names().norms;
        Ok([self.norm(&tower.at(layer, first))?, self.norm(&tower.at(layer, second))?])
    }

    /// Queries, keys and values of a block, side by side.
    pub(super) fn qkv(&self, tower: &TowerNames, layer: usize) -> Result<Affine> {
        match tower.style {
            Style::OpenAi => Ok((
                self.transposed(&tower.at(layer, "attn.in_proj_weight"))?,
                self.added(&tower.at(layer, "attn.in_proj_bias"))?,
            )),
            Style::HuggingFace => {
                let parts = ["q", "k", "v"]
                    .into_iter()
                    .map(|part| self.linear(&tower.at(layer, &format!("self_attn.{part}_proj"))))
                    .collect::<Result<Vec<_>>>()?;
                let (weights, biases): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                let join = |parts: &[Tensor], dim| {
                    Tensor::cat(parts, dim).map_err(candle("cannot join weights"))
                };
                Ok((join(&weights, 1)?, join(&biases, 0)?))
            }
        }
    }

    /// What follows a block's attention.
    pub(super) fn out(&self, tower: &TowerNames, layer: usize) -> Result<Affine> {
        self.linear(&tower.at(layer, tower.block_names().out))
    }

    /// The first layer of a block's MLP.
    pub(super) fn up(&self, tower: &TowerNames, layer: usize) -> Result<Affine> {
        let [up, _] = tower.block_names().mlp;
        self.linear(&tower.at(layer, up))
    }

    /// The second layer of a block's MLP.
    pub(super) fn down(&self, tower: &TowerNames, layer: usize) -> Result<Affine> {
        let [_, down] = tower.block_names().mlp;
        self.linear(&tower.at(layer, down))
    }
}

/// What stands before the blocks of an image tower.
#[derive(Debug)]
pub(super) struct BeginWeights {
    /// (channels · patch², width)
    pub(super) patch: Tensor,
    /// (width)
    pub(super) class: Tensor,
    /// (tokens, width)
    pub(super) position: Tensor,
    pub(super) pre: Affine,
}

/// The weights of one block.
#[derive(Debug)]
pub(super) struct BlockWeights {
    pub(super) norms: [Affine; 2],
    pub(super) qkv: Affine,
    pub(super) out: Affine,
    pub(super) mlp: [Affine; 2],
}

/// Compares a file with what its architecture needs, all of it at once. `ignorable` are names
/// that hold no weights of the towers: buffers, `logit_scale`.
///
/// # Errors
/// [`Kind::BadInput`] listing every missing, unexpected and misshapen tensor.
pub fn check(
    weights: &Weights,
    expected: &[(String, Vec<usize>)],
    ignorable: impl Fn(&str) -> bool,
) -> Result<()> {
    let mut lines = Vec::new();
    for (name, shape) in expected {
        match weights.get(name) {
            None => lines.push(format!("missing: {name} {shape:?}")),
            Some(found) if found.shape() != shape.as_slice() => {
                lines.push(format!("shape: {name} is {:?}, expected {shape:?}", found.shape()));
            }
            Some(found) if !found.element().is_float() => {
                lines.push(format!("type: {name} is {}, expected floats", found.element()));
            }
            Some(_) => {}
        }
    }
    let known: std::collections::BTreeSet<&str> =
        expected.iter().map(|(name, _)| name.as_str()).collect();
    for name in weights.names().filter(|name| !known.contains(name) && !ignorable(name)) {
        lines.push(format!("unexpected: {name} {:?}", weights.shape(name).unwrap_or_default()));
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::BadInput,
        format!(
            "the weights are not of the architecture that their configuration and shapes say, {} \
             tensors differ:\n  {}",
            lines.len(),
            lines.join("\n  ")
        ),
    )
    .help("check that weights and configuration belong together"))
}
