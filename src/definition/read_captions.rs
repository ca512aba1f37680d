//! `[stages.<table>.read_captions]`: captions, cleaned if asked, each image in a split.

use schemars::JsonSchema;
use serde::Serialize;

use super::findings::Findings;
use super::reader::{Setting, TableReader, read_name};
use super::span::Spanned;
use super::tree::Node;

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
    /// Runs of white space, U+00A0, U+3000 and newlines among them, become one space; none is
    /// left at the ends.
    Whitespace,
    /// Characters without width go: U+200B, U+2060, U+FEFF, U+180E and the marks of direction.
    /// The joiners U+200C and U+200D stay where they join something: emoji, Persian, Hindi.
    ZeroWidth,
    /// White space between Chinese characters goes: segmented words become running text.
    JoinChinese,
}

impl ReadCaptions {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let source = table.required("source");
        let images = table.optional("images");
        let splits: Option<Spanned<String>> = table.optional("splits");
        let split = Shares::read(table);
        let clean: Vec<Spanned<Cleaning>> = table.or("clean", Vec::new());
        for (at, step) in clean.iter().enumerate() {
            if clean.iter().take(at).any(|before| before == step) {
                table.findings.add(step.span, "the same step twice").label("remove one of the two");
            }
        }
        if let (Some(splits), Some(key)) = (&splits, table.key_span("split")) {
            table
                .findings
                .add(key, "`split` beside `splits`")
                .label("expected one of the two")
                .help(format!("remove it to take the splits of source `{}`", splits.value));
        }
        let clean = clean.into_iter().map(|step| step.value).collect();
        Some(Self { source: source?, images, splits, split, clean })
    }
}

impl Shares {
    fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let mut table = table.table("split")?;
        let mut share = |key, default| {
            let share = table.spanned_or(key, default);
            if !(0.0..=1.0).contains(&share.value) {
                let message = format!("a share of {}", share.value);
                table.findings.add(share.span, message).label("expected 0 to 1");
            }
            share.value
        };
        let (train, val, test) =
            (share("train", train()), share("val", held_out()), share("test", held_out()));
        let seed = table.or("seed", 0);
        let sum = train + val + test;
        // a misspelt share is missing from the sum, and reported as such
        if (sum - 1.0).abs() > 1e-6 && !table.has_unknown() {
            let shown = (sum * 1e6).round() / 1e6;
            table
                .findings
                .add(table.header, format!("the shares add up to {shown}"))
                .label("expected 1")
                .help("a share that is left out is train 0.9, val 0.05, test 0.05");
        }
        table.finish();
        Some(Self { train, val, test, seed })
    }
}

impl Cleaning {
    /// The name in a definition, and in a fingerprint.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whitespace => "whitespace",
            Self::ZeroWidth => "zero_width",
            Self::JoinChinese => "join_chinese",
        }
    }
}

impl Setting for Cleaning {
    const EXPECTED: &'static str = "`\"whitespace\"`, `\"zero_width\"` or `\"join_chinese\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let names =
            [Self::Whitespace, Self::ZeroWidth, Self::JoinChinese].map(|of| (of.name(), of));
        read_name(node, "cleaning step", &names, findings)
    }
}
