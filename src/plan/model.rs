//! Models, resolved: which files, which numeric type, which device.

use std::path::PathBuf;

/// A CLIP on disk.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// Name in the definition.
    pub name: String,
    /// How its files are laid out.
    pub files: ModelFiles,
    /// Numeric type of the computation.
    pub dtype: Dtype,
    /// Where it runs.
    pub device: DeviceChoice,
}

/// The layouts in which CLIPs are published; every path exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFiles {
    /// OpenAI's TorchScript archive, `ViT-B-32.pt`.
    OpenAi {
        /// The archive.
        weights: PathBuf,
        /// `bpe_simple_vocab_16e6.txt.gz`, or a `tokenizer.json`; needed for texts.
        tokenizer: Option<PathBuf>,
    },
    /// A Hugging Face folder.
    HuggingFace {
        /// Holds `config.json`, weights, and the tokenizer's files.
        folder: PathBuf,
    },
    /// open_clip's `.safetensors` or `.pt`.
    OpenClip {
        /// The weights.
        weights: PathBuf,
        /// `open_clip_config.json`, where it is known.
        config: Option<PathBuf>,
        /// As for OpenAI.
        tokenizer: Option<PathBuf>,
    },
}

/// A numeric type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16.
    Bf16,
    /// IEEE half.
    F16,
}

impl Dtype {
    /// `f32`, `bf16` or `f16`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

/// A device, as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The processor.
    #[default]
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
    /// The first GPU if this build and machine have one, else the processor; says which.
    Auto,
}
