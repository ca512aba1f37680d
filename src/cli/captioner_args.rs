//! The command line of what trains captioners, captions with them and moves them about.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use super::format::Format;
use crate::definition::caption::LEAST_TEMPERATURE;

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct Train {
    /// The definition
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace a value first: --set stages.captioner.train.epochs=3
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Wait for another run on the same store instead of failing
    #[arg(long)]
    pub wait: bool,
    /// How the result is said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// Arguments of `caption`. As in a definition, what changes nothing is refused.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("sampling").args(["top_k", "top_p"]).multiple(true))]
pub struct Caption {
    /// The definition whose captioner writes
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Images, and folders of images
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Replace a value of the definition first
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The stage that trained the captioner, where there are several
    #[arg(long, value_name = "TABLE")]
    pub stage: Option<String>,
    /// Search for the likeliest caption, so many side by side; without it or sampling, what the
    /// definition's captions are made with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64),
          conflicts_with_all = ["top_k", "top_p", "temperature", "samples", "seed"])]
    pub beams: Option<u32>,
    /// Power of the length that a beam's score is divided by
    #[arg(long, value_name = "X", default_value_t = 1.0, requires = "beams",
          allow_negative_numbers = true, value_parser = finite)]
    pub length_penalty: f64,
    /// Sample one of so many likeliest tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub top_k: Option<u32>,
    /// Sample among the likeliest tokens with this share of the probability
    #[arg(long, value_name = "P", value_parser = share)]
    pub top_p: Option<f64>,
    /// Divide logits before sampling: below 1 bolder, above 1 more varied
    #[arg(long, value_name = "X", default_value_t = 1.0, requires = "sampling",
          value_parser = temperature)]
    pub temperature: f64,
    /// Captions sampled an image
    #[arg(long, value_name = "N", default_value_t = 1, requires = "sampling",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub samples: u32,
    /// Seed of sampling
    #[arg(long, value_name = "N", default_value_t = 0, requires = "sampling")]
    pub seed: u64,
    /// Longest caption in tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub max_tokens: Option<u32>,
    /// How the captions are said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// The definition
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Part of the data that is captioned and scored, in place of the definition's
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<SplitName>,
    /// Replace a value first: --set stages.generated.beams=5
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Wait for another run on the same store instead of failing
    #[arg(long)]
    pub wait: bool,
    /// How the result is said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// A part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// What trains.
    Train,
    /// What validates.
    Val,
    /// What is kept for the end.
    Test,
}

impl SplitName {
    /// The name in a definition.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// Arguments of `import-checkpoint`.
#[derive(Debug, Args)]
pub struct ImportCheckpoint {
    /// The checkpoint: `.pt` of `CLIP_prefix_caption` or `ClipCap-Chinese`, or `.safetensors`
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: PathBuf,
    /// The definition that trains such a captioner, or the folder of its store
    #[arg(long, value_name = "FILE|STORE")]
    pub into: PathBuf,
    /// The stage whose checkpoint it becomes, where several train
    #[arg(long, value_name = "TABLE")]
    pub stage: Option<String>,
    /// The token that ends a caption; `.` for `CLIP_prefix_caption`, else the vocabulary's own end
    #[arg(long, value_name = "TOKEN")]
    pub end: Option<String>,
    /// Replace a value of the definition first
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How the result is said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// Arguments of `export-checkpoint`.
#[derive(Debug, Args)]
pub struct ExportCheckpoint {
    /// The definition, or the folder of its store
    #[arg(value_name = "FILE|STORE")]
    pub from: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Whose names the tensors get; the file is safetensors in both
    #[arg(long, value_name = "FORMAT", default_value = "safetensors")]
    pub format: Layout,
    /// The project that `pytorch-names` means; without it, the one that has such a mapper
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<Project>,
    /// The stage that trained it, where there are several
    #[arg(long, value_name = "TABLE")]
    pub stage: Option<String>,
    /// A checkpoint of the stage's table; without it, the best
    #[arg(long, value_name = "NAME")]
    pub checkpoint: Option<String>,
    /// Replace a value of the definition first
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Whose names an exported checkpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// clipmill's names.
    Safetensors,
    /// Those of a `PyTorch` project: what its `load_state_dict` expects.
    PytorchNames,
}

/// A project whose checkpoints are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Project {
    /// rmokady/CLIP_prefix_caption.
    ClipPrefixCaption,
    /// yangjianxin1/ClipCap-Chinese.
    ClipcapChinese,
}

fn finite(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(|| "expected a number".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    finite(text).ok().filter(|x| *x > 0.0).ok_or_else(|| "expected a number above 0".to_owned())
}

fn temperature(text: &str) -> Result<f64, String> {
    let wide_enough = |x: &f64| *x >= LEAST_TEMPERATURE;
    finite(text)
        .ok()
        .filter(wide_enough)
        .ok_or_else(|| format!("expected {LEAST_TEMPERATURE} or more"))
}

fn share(text: &str) -> Result<f64, String> {
    positive(text)
        .ok()
        .filter(|x| *x <= 1.0)
        .ok_or_else(|| "expected a number above 0, to 1".to_owned())
}
