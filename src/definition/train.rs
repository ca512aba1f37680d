//! `[stages.<table>.train]`: a captioner, trained on examples.

use schemars::JsonSchema;
use serde::Serialize;

use super::findings::Findings;
use super::numbers::{optional_whole, real, whole};
use super::reader::{Setting, TableReader, read_name};
use super::span::Spanned;
use super::tree::Node;
use super::warm_up::WarmUp;

/// Settings of `train`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Train {
    /// Table of examples, made by `align`. Its split `train` trains, its split `val` validates.
    pub examples: Spanned<String>,
    /// Name of a GPT-2 among the models.
    pub model: Spanned<String>,
    /// The network from an image's feature to GPT-2's first embeddings.
    #[schemars(default)]
    pub mapper: MapperKind,
    /// Embeddings that the mapper gives GPT-2.
    #[schemars(default = "prefix_length", range(min = 1, max = 512))]
    pub prefix_length: u32,
    /// Tokens that `transformer` and `bert` make of the feature, beside the `prefix_length`
    /// learned ones; without it, as many as those.
    #[schemars(range(min = 1, max = 512))]
    pub constant_length: Option<u32>,
    /// Layers of `transformer` and `bert`.
    #[schemars(default = "layers", range(min = 1, max = 64))]
    pub layers: u32,
    /// Heads of attention of `transformer` and `bert`; they divide GPT-2's width.
    #[schemars(default = "heads", range(min = 1, max = 64))]
    pub heads: u32,
    /// Whether features are scaled to an L2 norm of one before the mapper.
    #[schemars(default)]
    pub normalize_prefix: bool,
    /// Whether GPT-2 stays as it is, and only the mapper trains.
    #[schemars(default)]
    pub freeze: bool,
    /// Passes over the examples.
    #[schemars(default = "epochs", range(min = 1, max = 100_000))]
    pub epochs: u32,
    /// Captions a batch. It is in the fingerprint: another size trains another captioner.
    #[schemars(default = "batch_size", range(min = 1, max = 65536))]
    pub batch_size: u32,
    /// Batches a step of the optimiser; the step is that of one batch so many times as large.
    #[schemars(default = "accumulate", range(min = 1, max = 4096))]
    pub accumulate: u32,
    /// Highest learning rate, reached after the warm-up.
    #[schemars(default = "learning_rate", range(min = 0.0, max = 10.0))]
    pub learning_rate: f64,
    /// How the learning rate falls to zero after the warm-up.
    #[schemars(default)]
    pub schedule: Schedule,
    /// Steps over which the learning rate rises from zero. Without it 5,000, and a tenth of all steps
    /// at most.
    #[schemars(with = "Option<u32>", range(max = 10_000_000))]
    pub warmup_steps: WarmUp,
    /// Share of each weight that a step takes away, times the learning rate (`AdamW`).
    #[schemars(default = "weight_decay", range(min = 0.0, max = 1.0))]
    pub weight_decay: f64,
    /// Largest L2 norm of all gradients together; 0 leaves them as they are.
    #[schemars(default = "clip_norm", range(min = 0.0))]
    pub clip_norm: f64,
    /// Share of activations that training sets to zero: in the mapper of kind `bert`, and in GPT-2
    /// unless that is frozen.
    #[schemars(default, range(min = 0.0, max = 0.9))]
    pub dropout: f64,
    /// Numeric type of the computation; weights and optimiser are `f32` in both.
    #[schemars(default)]
    pub compute: Compute,
    /// Seed of the mapper's first weights, of the order of the examples and of dropout.
    #[schemars(default)]
    pub seed: u64,
    /// Epochs without a better validation loss after which training ends; without it, all epochs
    /// are trained.
    #[schemars(range(min = 1, max = 100_000))]
    pub patience: Option<u32>,
    /// Longest caption in tokens; of longer ones the beginning is taken.
    #[schemars(default = "max_tokens", range(min = 1, max = 1024))]
    pub max_tokens: u32,
    /// Checkpoints that are kept beside the best one.
    #[schemars(default = "keep_last", range(min = 1, max = 1000))]
    pub keep_last: u32,
    /// Steps between two checkpoints within an epoch, so that a crash costs no more; one is
    /// written at the end of every epoch in any case.
    #[schemars(default = "save_every", range(min = 1, max = 10_000_000))]
    pub save_every: u32,
    /// Validation images whose captions are written for TensorBoard after each epoch.
    #[schemars(default = "sample_captions", range(max = 64))]
    pub sample_captions: u32,
}

/// The network from an image's feature to GPT-2's first embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum MapperKind {
    /// Two layers with tanh between them.
    #[default]
    Mlp,
    /// The transformer of `CLIP_prefix_caption`.
    Transformer,
    /// The BERT encoder of ClipCap-Chinese.
    Bert,
}

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Schedule {
    /// In a straight line.
    #[default]
    Linear,
    /// As half a cosine.
    Cosine,
}

/// Numeric type of a training's computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Compute {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16, in validation and for the captions that are shown too; weights and optimiser are
    /// 32-bit floats. On the processor, which needs AVX-512 BF16 for it, what GPT-2's linear maps and
    /// its head multiply is rounded, and summed in 32-bit floats; on a GPU all activations are.
    Bf16,
}

fn prefix_length() -> u32 {
    10
}

fn layers() -> u32 {
    8
}

fn heads() -> u32 {
    8
}

fn epochs() -> u32 {
    10
}

fn batch_size() -> u32 {
    40
}

fn accumulate() -> u32 {
    1
}

fn learning_rate() -> f64 {
    2e-5
}

fn weight_decay() -> f64 {
    0.01
}

fn clip_norm() -> f64 {
    1.0
}

fn max_tokens() -> u32 {
    64
}

fn keep_last() -> u32 {
    2
}

fn save_every() -> u32 {
    1000
}

fn sample_captions() -> u32 {
    4
}

impl Train {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let examples = table.required("examples");
        let model = table.required("model");
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let train = Self {
            examples: Spanned::default(),
            model: Spanned::default(),
            mapper: table.or("mapper", MapperKind::default()),
            prefix_length: whole(table, "prefix_length", prefix_length(), 1, 512),
            constant_length: optional_whole(table, "constant_length", 1, 512),
            layers: whole(table, "layers", layers(), 1, 64),
            heads: whole(table, "heads", heads(), 1, 64),
            normalize_prefix: table.or("normalize_prefix", false),
            freeze: table.or("freeze", false),
            epochs: whole(table, "epochs", epochs(), 1, 100_000),
            batch_size: whole(table, "batch_size", batch_size(), 1, 65_536),
            accumulate: whole(table, "accumulate", accumulate(), 1, 4096),
            learning_rate: real(table, "learning_rate", learning_rate(), "above 0, to 10", |x| {
                x > 0.0 && x <= 10.0
            }),
            schedule: table.or("schedule", Schedule::default()),
            warmup_steps: WarmUp::read(table, 5000),
            weight_decay: real(table, "weight_decay", weight_decay(), "0 to 1", share),
            clip_norm: real(table, "clip_norm", clip_norm(), "0 or more", |x| {
                x >= 0.0 && x.is_finite()
            }),
            dropout: real(table, "dropout", 0.0, "0 to 0.9", |x| (0.0..=0.9).contains(&x)),
            compute: table.or("compute", Compute::default()),
            seed: table.or("seed", 0),
            patience: optional_whole(table, "patience", 1, 100_000),
            max_tokens: whole(table, "max_tokens", max_tokens(), 1, 1024),
            keep_last: whole(table, "keep_last", keep_last(), 1, 1000),
            save_every: whole(table, "save_every", save_every(), 1, 10_000_000),
            sample_captions: whole(table, "sample_captions", sample_captions(), 0, 64),
        };
        Some(Self { examples: examples?, model: model?, ..train })
    }
}

impl Setting for MapperKind {
    const EXPECTED: &'static str = "`\"mlp\"`, `\"transformer\"` or `\"bert\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let names = [("mlp", Self::Mlp), ("transformer", Self::Transformer), ("bert", Self::Bert)];
        read_name(node, "mapper", &names, findings)
    }
}

impl Schedule {
    /// The name in a definition, and in a fingerprint.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
        }
    }
}

impl Setting for Schedule {
    const EXPECTED: &'static str = "`\"linear\"` or `\"cosine\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let names = [Self::Linear, Self::Cosine].map(|of| (of.name(), of));
        read_name(node, "schedule", &names, findings)
    }
}

impl Compute {
    /// The name in a definition, and in a fingerprint.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

impl Setting for Compute {
    const EXPECTED: &'static str = "`\"f32\"` or `\"bf16\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let names = [Self::F32, Self::Bf16].map(|of| (of.name(), of));
        read_name(node, "numeric type", &names, findings)
    }
}
