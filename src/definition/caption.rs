//! `[stages.<table>.caption]`: captions that a captioner makes of images.

use schemars::JsonSchema;
use serde::Serialize;

use super::embed_images;
use super::findings::Findings;
use super::numbers::{optional_whole, real, whole};
use super::reader::{Setting, TableReader, read_name};
use super::span::Spanned;
use super::tree::Node;

/// Longest caption in tokens, where nothing is said of it.
pub const MAX_TOKENS: u32 = 30;

/// Least temperature of sampling: logits that are divided by less may come to be infinite.
pub const LEAST_TEMPERATURE: f64 = 1e-6;

/// Settings of `caption`. With none of `beams`, `top_k` and `top_p`, the likeliest token is taken
/// each time.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Caption {
    /// Table of checkpoints, made by `train`; the best of them captions.
    pub captioner: Spanned<String>,
    /// Table of features, made by `embed_images` with the model that trained the captioner.
    pub image_features: Spanned<String>,
    /// Part of the data that is captioned: `train`, `val` or `test`. Without it, every image is.
    /// Needs `captions`.
    pub split: Option<Spanned<Split>>,
    /// Table of captions, made by `read_captions`, which knows the split of each image.
    pub captions: Option<Spanned<String>>,
    /// Captions followed side by side in a beam search. Excludes sampling.
    #[schemars(range(min = 1, max = 64))]
    pub beams: Option<u32>,
    /// Power of the length that a beam's score is divided by; above 0 favours longer captions.
    #[schemars(default = "length_penalty", range(min = -10.0, max = 10.0))]
    pub length_penalty: f64,
    /// Samples one of so many likeliest tokens.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub top_k: Option<u32>,
    /// Samples among the likeliest tokens that together have this share of the probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_p: Option<f64>,
    /// Divides logits before sampling: below 1 is bolder, above 1 more varied.
    #[schemars(default = "temperature", range(min = 0.0, max = 100.0))]
    pub temperature: f64,
    /// Captions sampled an image; `evaluate` scores the first.
    #[schemars(default = "samples", range(min = 1, max = 1000))]
    pub samples: u32,
    /// Seed of sampling; each image draws on its own.
    #[schemars(default)]
    pub seed: u64,
    /// Longest caption in tokens.
    #[schemars(default = "max_tokens", range(min = 1, max = 1000))]
    pub max_tokens: u32,
    /// Images a batch; never changes a caption's tokens but where two are all but equally likely.
    #[schemars(default = "batch_size", range(min = 1, max = 65536))]
    pub batch_size: u32,
}

/// A part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Split {
    /// What trains.
    Train,
    /// What validates.
    Val,
    /// What is kept for the end.
    Test,
}

fn length_penalty() -> f64 {
    1.0
}

fn temperature() -> f64 {
    1.0
}

fn samples() -> u32 {
    1
}

fn max_tokens() -> u32 {
    MAX_TOKENS
}

fn batch_size() -> u32 {
    32
}

impl Caption {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let captioner = table.required("captioner");
        let image_features = table.required("image_features");
        let split: Option<Spanned<Split>> = table.optional("split");
        let captions = table.optional("captions");
        if let (Some(split), None) = (&split, table.key_span("captions")) {
            table
                .findings
                .add(split.span, "`split` without `captions`")
                .label("needs a table that knows the split of each image")
                .help("add `captions = …`, a table made by `read_captions`");
        }
        if let (None, Some(span)) = (&split, table.key_span("captions")) {
            table
                .findings
                .add(span, "`captions` without `split`")
                .label("changes nothing")
                .help("add `split = \"test\"`, or leave it out");
        }
        let beams = optional_whole(table, "beams", 1, 64);
        let length_penalty =
            real(table, "length_penalty", length_penalty(), "-10 to 10", |x| x.abs() <= 10.0);
        let top_k = optional_whole(table, "top_k", 1, 1_000_000);
        let top_p = read_top_p(table);
        let temperature = real(table, "temperature", temperature(), "0.000001 to 100", |x| {
            (LEAST_TEMPERATURE..=100.0).contains(&x)
        });
        let samples = whole(table, "samples", samples(), 1, 1000);
        let seed = table.or("seed", 0);
        let max_tokens = whole(table, "max_tokens", max_tokens(), 1, 1000);
        let batch_size = whole(table, "batch_size", batch_size(), 1, embed_images::MAX_BATCH);
        check_strategy(table);
        Some(Self {
            captioner: captioner?,
            image_features: image_features?,
            split,
            captions,
            beams,
            length_penalty,
            top_k,
            top_p,
            temperature,
            samples,
            seed,
            max_tokens,
            batch_size,
        })
    }
}

fn read_top_p(table: &mut TableReader<'_, '_>) -> Option<f64> {
    let given: Spanned<f64> = table.optional("top_p")?;
    if given.value > 0.0 && given.value <= 1.0 {
        return Some(given.value);
    }
    table
        .findings
        .add(given.span, format!("`top_p` is {}", given.value))
        .label("expected above 0, to 1");
    None
}

/// A beam search draws nothing, and what is not drawn gives one caption an image.
fn check_strategy(table: &mut TableReader<'_, '_>) {
    let sampled = table.key_span("top_k").or_else(|| table.key_span("top_p"));
    let beams = table.key_span("beams");
    if let (Some(_), Some(span)) = (beams, sampled) {
        table
            .findings
            .add(span, "a beam search and sampling at once")
            .label("excludes `beams`")
            .help("keep `beams`, or `top_k` and `top_p`");
        return;
    }
    if sampled.is_none() {
        for key in ["temperature", "samples", "seed"] {
            if let Some(span) = table.key_span(key) {
                table
                    .findings
                    .add(span, format!("`{key}` without sampling"))
                    .label("changes nothing")
                    .help("add `top_k` or `top_p`, or leave it out");
            }
        }
    }
    if beams.is_none()
        && let Some(span) = table.key_span("length_penalty")
    {
        table
            .findings
            .add(span, "`length_penalty` without `beams`")
            .label("changes nothing")
            .help("add `beams`, or leave it out");
    }
}

impl Setting for Split {
    const EXPECTED: &'static str = "`\"train\"`, `\"val\"` or `\"test\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let names = [("train", Self::Train), ("val", Self::Val), ("test", Self::Test)];
        read_name(node, "split", &names, findings)
    }
}
