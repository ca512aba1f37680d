//! Stages, resolved: settings, contract, and the fingerprint of what they compute.

use crate::flow::Split;

use super::captioner::{Caption, Evaluate, Train};
use super::clip::TrainClip;
use super::contract::Contract;
use super::fingerprint::Fingerprint;
use super::model::ModelSpec;
use super::source::{CaptionSource, Cleaning, ImageSource, SplitSource};

/// A table, and what makes it.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The table's name.
    pub table: String,
    /// What its rows must be.
    pub contract: Contract,
    /// Everything but its input that could change its rows.
    pub fingerprint: Fingerprint,
    /// What is done.
    pub work: Work,
}

/// What a stage does.
#[derive(Debug, Clone)]
pub enum Work {
    /// Lists the images of a source.
    IndexImages(IndexImages),
    /// Features of images.
    EmbedImages(EmbedImages),
    /// Reads captions.
    ReadCaptions(ReadCaptions),
    /// Features of captions.
    EmbedCaptions(EmbedCaptions),
    /// Captions beside the features of their image.
    Align(Align),
    /// Trains a CLIP.
    TrainClip(TrainClip),
    /// Trains a captioner.
    Train(Train),
    /// Captions images.
    Caption(Caption),
    /// Scores captions.
    Evaluate(Evaluate),
}

impl Work {
    /// The operator's name in a definition.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::IndexImages(_) => "index_images",
            Self::EmbedImages(_) => "embed_images",
            Self::ReadCaptions(_) => "read_captions",
            Self::EmbedCaptions(_) => "embed_captions",
            Self::Align(_) => "align",
            Self::TrainClip(_) => "train_clip",
            Self::Train(_) => "train",
            Self::Caption(_) => "caption",
            Self::Evaluate(_) => "evaluate",
        }
    }

    /// The tables it reads.
    #[must_use]
    pub fn reads(&self) -> Vec<&str> {
        match self {
            Self::IndexImages(_) => vec![],
            Self::EmbedImages(work) => vec![&work.images],
            Self::ReadCaptions(work) => work.images.iter().map(String::as_str).collect(),
            Self::EmbedCaptions(work) => vec![&work.captions],
            Self::Align(work) => vec![&work.captions, &work.image_features],
            Self::TrainClip(work) => vec![&work.images, &work.captions],
            Self::Train(work) => vec![&work.examples],
            Self::Caption(work) => [work.captioner.as_str(), work.image_features.as_str()]
                .into_iter()
                .chain(work.split.iter().map(|(_, captions)| captions.as_str()))
                .collect(),
            Self::Evaluate(work) => vec![&work.generated, &work.captions],
        }
    }

    /// The model it computes with.
    #[must_use]
    pub fn model(&self) -> Option<&ModelSpec> {
        match self {
            Self::EmbedImages(work) => Some(&work.model),
            Self::EmbedCaptions(work) => Some(&work.model),
            Self::TrainClip(work) => Some(&work.model),
            _ => None,
        }
    }
}

/// Settings of `index_images`.
#[derive(Debug, Clone)]
pub struct IndexImages {
    /// Where the images are.
    pub source: ImageSource,
    /// Most pixels an image may have.
    pub max_pixels: u64,
    /// Most memory that decoding one image may take.
    pub max_memory_bytes: u64,
}

/// Settings of `embed_images`.
#[derive(Debug, Clone)]
pub struct EmbedImages {
    /// Table of images.
    pub images: String,
    /// The model.
    pub model: ModelSpec,
    /// Whether features are scaled to an L2 norm of one.
    pub normalize: bool,
    /// Whether images are turned as their EXIF orientation says.
    pub apply_orientation: bool,
    /// Images a batch; without it the encoder chooses.
    pub batch_rows: Option<usize>,
}

/// Settings of `read_captions`.
#[derive(Debug, Clone)]
pub struct ReadCaptions {
    /// Where the captions are.
    pub source: CaptionSource,
    /// Table of the images whose captions are kept; none keeps all.
    pub images: Option<String>,
    /// Where the split of an image comes from.
    pub split: SplitRule,
    /// How `clean_text` is made of `text`; empty leaves it null.
    pub clean: Vec<Cleaning>,
}

/// Where the split of an image comes from.
#[derive(Debug, Clone)]
pub enum SplitRule {
    /// From files; an image in none of them has no split and is counted.
    Listed(SplitSource),
    /// Drawn by image id.
    Drawn(Shares),
    /// From the caption file; drawn where it names none.
    OfFile(Shares),
}

/// Shares of the parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Share of images of each part; they add up to one.
    pub of: [(Split, f64); 3],
    /// Another seed draws other images.
    pub seed: u64,
}

/// Settings of `embed_captions`.
#[derive(Debug, Clone)]
pub struct EmbedCaptions {
    /// Table of captions.
    pub captions: String,
    /// The column that is embedded.
    pub column: String,
    /// The model.
    pub model: ModelSpec,
    /// Whether features are scaled to an L2 norm of one.
    pub normalize: bool,
    /// Captions a batch; without it the encoder chooses.
    pub batch_rows: Option<usize>,
}

/// Settings of `align`.
#[derive(Debug, Clone)]
pub struct Align {
    /// Table of captions.
    pub captions: String,
    /// Table of features.
    pub image_features: String,
    /// The column of captions that becomes `text`.
    pub column: String,
}
