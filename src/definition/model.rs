//! `[models.<name>.<kind>]`: a CLIP or a GPT-2 on disk.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::digest;
use super::findings::Findings;
use super::reader::{Setting, TableReader, read_name};
use super::span::Spanned;
use super::tree::{Node, Value};

/// One model of a definition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Its name, unique among the models.
    pub name: Spanned<String>,
    /// How its files are laid out.
    pub layout: ModelLayout,
    /// What every layout has.
    pub common: ModelSettings,
}

/// The layouts in which models are published; paths are as written, relative to the definition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelLayout {
    /// `openai`: OpenAI's TorchScript archive.
    OpenAi(OpenAiFiles),
    /// `huggingface`: a Hugging Face folder.
    HuggingFace(HuggingFaceFiles),
    /// `open_clip`: open_clip's `.safetensors` or `.pt`.
    OpenClip(OpenClipFiles),
    /// `trained`: what a stage of this definition trains.
    Trained(TrainedFiles),
    /// `gpt2`: a GPT-2's folder.
    Gpt2(Gpt2Files),
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Turns images and texts into features: a CLIP.
    Embeds,
    /// Writes texts: a GPT-2.
    Writes,
}

/// Settings of `openai`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct OpenAiFiles {
    /// The TorchScript archive as published, such as `ViT-B-32.pt`.
    pub path: Spanned<String>,
    /// `bpe_simple_vocab_16e6.txt.gz`, or a `tokenizer.json`; needed where texts are embedded.
    pub tokenizer: Option<Spanned<String>>,
}

/// Settings of `huggingface`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct HuggingFaceFiles {
    /// Folder with `config.json`, `model.safetensors` or `pytorch_model.bin`, and the
    /// tokenizer's files.
    pub path: Spanned<String>,
}

/// Settings of `open_clip`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct OpenClipFiles {
    /// The weights, `.safetensors` or `.pt`.
    pub path: Spanned<String>,
    /// `open_clip_config.json`; without it, the architecture is read from the weights alone.
    pub config: Option<Spanned<String>>,
    /// `bpe_simple_vocab_16e6.txt.gz`, or a `tokenizer.json`; needed where texts are embedded.
    pub tokenizer: Option<Spanned<String>>,
}

/// Settings of `trained`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TrainedFiles {
    /// Table of a stage `train_clip`: the model is its best checkpoint.
    pub stage: Spanned<String>,
}

/// Settings of `gpt2`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Gpt2Files {
    /// Folder with `config.json`, `model.safetensors` or `pytorch_model.bin`, and its tokens:
    /// `vocab.json` and `merges.txt`, `tokenizer.json`, or `vocab.txt` (BERT's word pieces, as
    /// Chinese GPT-2s have).
    pub path: Spanned<String>,
}

/// Settings of every model.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ModelSettings {
    /// Numeric type of the computation.
    #[schemars(default)]
    pub dtype: Spanned<NumericType>,
    /// Where it runs: `cpu`, `cuda`, `cuda:N`, or `auto` (the first GPU if there is one; the run
    /// says which it took). With `--jobs`, processes share out the GPUs unless there is a number.
    #[schemars(default)]
    pub device: Spanned<Device>,
    /// Where to get the files; printed when one is missing.
    pub obtain: Option<String>,
    /// SHA-256 of the weights' file (of a Hugging Face folder: of `model.safetensors` or
    /// `pytorch_model.bin`), 64 hexadecimal digits; checked before any work.
    #[schemars(regex(pattern = super::digest::PATTERN))]
    pub sha256: Option<Spanned<String>>,
}

impl ModelLayout {
    /// Every path of the layout with the key it stands under, in the order of the documentation.
    #[must_use]
    pub fn paths(&self) -> Vec<(&'static str, &Spanned<String>)> {
        let (path, rest) = match self {
            Self::Trained(_) => return Vec::new(),
            Self::OpenAi(files) => (&files.path, vec![("tokenizer", &files.tokenizer)]),
            Self::HuggingFace(files) => (&files.path, vec![]),
            Self::Gpt2(files) => (&files.path, vec![]),
            Self::OpenClip(files) => {
                (&files.path, vec![("config", &files.config), ("tokenizer", &files.tokenizer)])
            }
        };
        let rest = rest.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?)));
        std::iter::once(("path", path)).chain(rest).collect()
    }
}

/// A numeric type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum NumericType {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16.
    Bf16,
    /// IEEE half.
    F16,
    /// Eight bits: weights with a scale for each output, activations with one for each row; on
    /// the processor.
    Int8,
}

/// A device, as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// `cpu`
    #[default]
    Cpu,
    /// `cuda:N`, or `cuda`: the first that the process sees.
    Cuda(Option<usize>),
    /// `auto`: the first GPU if this build and machine have one, else the processor; says which.
    Auto,
}

impl Device {
    /// Whether models leave it open which GPU they run on, so that processes can share the GPUs
    /// out: one of them asks for one, and none for a certain one.
    #[must_use]
    pub fn leave_gpu_open(devices: &[Self]) -> bool {
        let certain = |of: &Self| matches!(of, Self::Cuda(Some(_)));
        devices.iter().any(|of| *of != Self::Cpu) && !devices.iter().any(certain)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(number)) => write!(f, "cuda:{number}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("cuda:")) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(None)),
            ("auto", _) => Ok(Self::Auto),
            (_, Some(number)) => {
                let digits = number.bytes().all(|byte| byte.is_ascii_digit());
                let parsed = number.parse().ok().filter(|_| digits);
                let wrong = || format!("`{number}` is no number of a GPU");
                parsed.map(Some).map(Self::Cuda).ok_or_else(wrong)
            }
            _ => Err("expected `cpu`, `cuda`, `cuda:N` or `auto`".to_owned()),
        }
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Device {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Device".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "enum": ["cpu", "cuda", "auto"] },
                { "type": "string", "pattern": r"^cuda:[0-9]+$|\$\{" },
            ],
        })
    }
}

impl ModelLayout {
    /// The kinds, as headers write them.
    pub const NAMES: [&str; 5] = ["openai", "huggingface", "open_clip", "trained", "gpt2"];

    /// The kind in the model's header.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::OpenAi(_) => "openai",
            Self::HuggingFace(_) => "huggingface",
            Self::OpenClip(_) => "open_clip",
            Self::Trained(_) => "trained",
            Self::Gpt2(_) => "gpt2",
        }
    }

    /// What it is for.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Gpt2(_) => Role::Writes,
            Self::OpenAi(_) | Self::HuggingFace(_) | Self::OpenClip(_) | Self::Trained(_) => {
                Role::Embeds
            }
        }
    }

    /// Reads the settings of the kind `name`, which is one of [`Self::NAMES`].
    pub(super) fn read(name: &str, table: &mut TableReader<'_, '_>) -> Option<Self> {
        if name == "trained" {
            return Some(Self::Trained(TrainedFiles { stage: table.required("stage")? }));
        }
        let path = table.required("path");
        Some(match name {
            "openai" => {
                let tokenizer = table.optional("tokenizer");
                Self::OpenAi(OpenAiFiles { path: path?, tokenizer })
            }
            "huggingface" => Self::HuggingFace(HuggingFaceFiles { path: path? }),
            "gpt2" => Self::Gpt2(Gpt2Files { path: path? }),
            "open_clip" => {
                let config = table.optional("config");
                let tokenizer = table.optional("tokenizer");
                Self::OpenClip(OpenClipFiles { path: path?, config, tokenizer })
            }
            _ => return None,
        })
    }
}

impl ModelSettings {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Self {
        Self {
            dtype: table.spanned_or("dtype", NumericType::default()),
            device: table.spanned_or("device", Device::default()),
            obtain: table.optional("obtain"),
            sha256: digest::read(table, "sha256"),
        }
    }
}

impl Setting for NumericType {
    const EXPECTED: &'static str = "`\"f32\"`, `\"bf16\"`, `\"f16\"` or `\"int8\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let names =
            [("f32", Self::F32), ("bf16", Self::Bf16), ("f16", Self::F16), ("int8", Self::Int8)];
        read_name(node, "numeric type", &names, findings)
    }
}

impl Setting for Device {
    const EXPECTED: &'static str = "`\"cpu\"`, `\"cuda\"`, `\"cuda:N\"` or `\"auto\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        if let Value::Text(text) = &node.value
            && text.starts_with("cuda:")
        {
            return text
                .parse()
                .map_err(|what: String| {
                    findings.add(node.span, what).label("expected `cuda:0`, `cuda:1`, …");
                })
                .ok();
        }
        let names = [("cpu", Self::Cpu), ("cuda", Self::Cuda(None)), ("auto", Self::Auto)];
        read_name(node, "device", &names, findings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_definition_is_kept() {
        use Device::{Auto, Cpu, Cuda};
        assert!(Device::leave_gpu_open(&[Cpu, Cuda(None)]));
        assert!(Device::leave_gpu_open(&[Auto]));
        assert!(!Device::leave_gpu_open(&[Cpu]));
        assert!(!Device::leave_gpu_open(&[Cuda(None), Cuda(Some(0))]));
    }

    #[test]
    fn a_device_is_written_as_it_is_read() {
        for text in ["cpu", "cuda", "cuda:0", "cuda:12", "auto"] {
            assert_eq!(text.parse::<Device>().map(|device| device.to_string()), Ok(text.into()));
        }
        for text in ["cuda:", "cuda:-1", "cuda:+1", "tpu", "CPU", "cuda:99999999999999999999"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}
