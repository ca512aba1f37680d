//! `[stages.<table>.train_clip]`: a CLIP, trained on a pipeline's own images and captions.

use schemars::JsonSchema;
use serde::Serialize;

use super::numbers::{optional_whole, real, whole};
use super::reader::TableReader;
use super::span::Spanned;
use super::train::Schedule;
use super::warm_up::WarmUp;

/// Settings of `train_clip`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct TrainClip {
    /// Table of images, made by `index_images`. Their archives are read again and again, so they
    /// may not be compressed.
    pub images: Spanned<String>,
    /// Table of captions. Its split `train` trains, its split `val` validates.
    pub captions: Spanned<String>,
    /// Name of the CLIP that training starts from, a Hugging Face folder among the models. What
    /// comes of it is a model of the kind `trained`.
    pub model: Spanned<String>,
    /// Column of the captions: `text`, or `clean_text`. Without it, `clean_text` where the
    /// captions are cleaned, else `text`.
    #[schemars(with = "Option<String>")]
    pub column: Spanned<String>,
    /// Passes over the captions.
    #[schemars(default = "epochs", range(min = 1, max = 100_000))]
    pub epochs: u32,
    /// Captions a batch, each told apart from all others of it. It is in the fingerprint: another
    /// size trains another CLIP.
    #[schemars(default = "batch_size", range(min = 2, max = 65536))]
    pub batch_size: u32,
    /// Highest learning rate, reached after the warm-up.
    #[schemars(default = "learning_rate", range(min = 0.0, max = 10.0))]
    pub learning_rate: f64,
    /// How the learning rate falls to zero after the warm-up.
    #[schemars(default)]
    pub schedule: Schedule,
    /// Steps over which the learning rate rises from zero. Without it 1,000, and a tenth of all steps
    /// at most.
    #[schemars(with = "Option<u32>", range(max = 10_000_000))]
    pub warmup_steps: WarmUp,
    /// Share of each weight that a step takes away, times the learning rate (`AdamW`).
    #[schemars(default = "weight_decay", range(min = 0.0, max = 1.0))]
    pub weight_decay: f64,
    /// Largest L2 norm of all gradients together; 0 leaves them as they are.
    #[schemars(default = "clip_norm", range(min = 0.0))]
    pub clip_norm: f64,
    /// Seed of the order of the captions.
    #[schemars(default)]
    pub seed: u64,
    /// Epochs without a better validation loss after which training ends; without it, all epochs
    /// are trained.
    #[schemars(range(min = 1, max = 100_000))]
    pub patience: Option<u32>,
    /// Checkpoints that are kept beside the best one.
    #[schemars(default = "keep_last", range(min = 1, max = 1000))]
    pub keep_last: u32,
    /// Steps between two checkpoints within an epoch, so that a crash costs no more; one is
    /// written at the end of every epoch in any case.
    #[schemars(default = "save_every", range(min = 1, max = 10_000_000))]
    pub save_every: u32,
}

fn epochs() -> u32 {
    10
}

fn batch_size() -> u32 {
    64
}

fn learning_rate() -> f64 {
    1e-5
}

fn weight_decay() -> f64 {
    0.01
}

fn clip_norm() -> f64 {
    1.0
}

fn keep_last() -> u32 {
    1
}

fn save_every() -> u32 {
    1000
}

impl TrainClip {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let images = table.required("images");
        let captions = table.required("captions");
        let model = table.required("model");
        let train = Self {
            images: Spanned::default(),
            captions: Spanned::default(),
            model: Spanned::default(),
            // The graph puts in what the captions have, where it is left out.
            column: table.optional("column").unwrap_or_default(),
            epochs: whole(table, "epochs", epochs(), 1, 100_000),
            batch_size: whole(table, "batch_size", batch_size(), 2, 65_536),
            learning_rate: real(table, "learning_rate", learning_rate(), "above 0, to 10", |x| {
                x > 0.0 && x <= 10.0
            }),
            schedule: table.or("schedule", Schedule::default()),
            warmup_steps: WarmUp::read(table, 1000),
            weight_decay: real(table, "weight_decay", weight_decay(), "0 to 1", |x| {
                (0.0..=1.0).contains(&x)
            }),
            clip_norm: real(table, "clip_norm", clip_norm(), "0 or more", |x| {
                x >= 0.0 && x.is_finite()
            }),
            seed: table.or("seed", 0),
            patience: optional_whole(table, "patience", 1, 100_000),
            keep_last: whole(table, "keep_last", keep_last(), 1, 1000),
            save_every: whole(table, "save_every", save_every(), 1, 10_000_000),
        };
        Some(Self { images: images?, captions: captions?, model: model?, ..train })
    }
}
