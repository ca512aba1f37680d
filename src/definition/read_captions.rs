//! `[stages.<table>.read_captions]`: captions, cleaned if asked, each image in a split.

use schemars::JsonSchema;
use serde::Serialize;

use super::span::Spanned;

/// Settings of `read_captions`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ReadCaptions {
    /// Name of a source of captions.
    pub source: Spanned<String>,
    /// Table of images, made by `index_images`: captions of other images are counted and left out.
    pub images: Option<Spanned<String>>,
    /// Name of a source of split files. Excludes `split`.
    pub splits: Option<Spanned<String>>,
    /// Shares of the parts, drawn by image. Without `splits` and `split`, the caption file's own
    /// splits are taken, and where it has none, these shares with their defaults.
    pub split: Option<Shares>,
    /// What is done to the text for the column `clean_text`, in this order; `text` keeps the
    /// original.
    #[schemars(default)]
    pub clean: Vec<Cleaning>,
}

/// Where the split of an image comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SplitRule<'a> {
    /// From the files of this source.
    Listed(&'a Spanned<String>),
    /// Drawn by image id.
    Drawn(Shares),
    /// From the caption file; drawn where it names none.
    OfFile {
        /// The shares of the draw.
        otherwise: Shares,
    },
}

impl ReadCaptions {
    /// Where the split of an image comes from.
    #[must_use]
    pub fn split_rule(&self) -> SplitRule<'_> {
        match (&self.splits, self.split) {
            (Some(source), _) => SplitRule::Listed(source),
            (None, Some(shares)) => SplitRule::Drawn(shares),
            (None, None) => SplitRule::OfFile { otherwise: Shares::default() },
        }
    }
}

/// Shares of the parts; they add up to one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, inline)]
pub struct Shares {
    /// Share of images for training.
    #[schemars(default = "train", range(min = 0.0, max = 1.0))]
    pub train: f64,
    /// Share of images for validation.
    #[schemars(default = "held_out", range(min = 0.0, max = 1.0))]
    pub val: f64,
    /// Share of images for testing.
    #[schemars(default = "held_out", range(min = 0.0, max = 1.0))]
    pub test: f64,
    /// Another seed draws other images.
    #[schemars(default)]
    pub seed: u64,
}

impl Default for Shares {
    fn default() -> Self {
        Self { train: train(), val: held_out(), test: held_out(), seed: 0 }
    }
}

fn train() -> f64 {
    0.9
}

fn held_out() -> f64 {
    0.05
}

/// One step of cleaning a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Cleaning {
    /// Runs of white space become one space; none at the ends.
    Whitespace,
    /// Zero-width characters go.
    ZeroWidth,
    /// Spaces between Chinese words go.
    JoinChinese,
}
