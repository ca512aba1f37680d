//! The contracts that come with clipmill, one for each kind of table.

use std::fmt;

use serde::Serialize;

use super::table::Contract;
use crate::base::error::{Error, Kind, Result};

/// What kind of table an operator makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// Made by `index_images`.
    Images,
    /// Made by `embed_images`.
    ImageFeatures,
    /// Made by `read_captions`.
    Captions,
    /// Made by `embed_captions`.
    CaptionFeatures,
    /// Made by `align`.
    Examples,
    /// Made by `train_clip`: its checkpoints.
    Clip,
    /// Made by `train`: its checkpoints.
    Captioner,
    /// Made by `caption`.
    Generated,
    /// Made by `evaluate`.
    Scores,
    /// What training and scoring measured; every run keeps it.
    Metrics,
    /// What no stage could make a row of; every run keeps it.
    Rejects,
}

impl TableKind {
    /// All kinds, in the order of the data.
    pub const ALL: [Self; 11] = [
        Self::Images,
        Self::ImageFeatures,
        Self::Captions,
        Self::CaptionFeatures,
        Self::Examples,
        Self::Clip,
        Self::Captioner,
        Self::Generated,
        Self::Scores,
        Self::Metrics,
        Self::Rejects,
    ];

    /// The name of its contract, and the usual name of such a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::ImageFeatures => "image_features",
            Self::Captions => "captions",
            Self::CaptionFeatures => "caption_features",
            Self::Examples => "examples",
            Self::Clip => "clip",
            Self::Captioner => "captioner",
            Self::Generated => "generated",
            Self::Scores => "scores",
            Self::Metrics => "metrics",
            Self::Rejects => "rejects",
        }
    }

    /// The operator that makes it; none for `metrics` and `rejects`.
    #[must_use]
    pub fn operator(self) -> Option<&'static str> {
        match self {
            Self::Images => Some("index_images"),
            Self::ImageFeatures => Some("embed_images"),
            Self::Captions => Some("read_captions"),
            Self::CaptionFeatures => Some("embed_captions"),
            Self::Examples => Some("align"),
            Self::Clip => Some("train_clip"),
            Self::Captioner => Some("train"),
            Self::Generated => Some("caption"),
            Self::Scores => Some("evaluate"),
            Self::Metrics | Self::Rejects => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Images => include_str!("../../../schemas/images.toml"),
            Self::ImageFeatures => include_str!("../../../schemas/image_features.toml"),
            Self::Captions => include_str!("../../../schemas/captions.toml"),
            Self::CaptionFeatures => include_str!("../../../schemas/caption_features.toml"),
            Self::Examples => include_str!("../../../schemas/examples.toml"),
            Self::Clip => include_str!("../../../schemas/clip.toml"),
            Self::Captioner => include_str!("../../../schemas/captioner.toml"),
            Self::Generated => include_str!("../../../schemas/generated.toml"),
            Self::Scores => include_str!("../../../schemas/scores.toml"),
            Self::Metrics => include_str!("../../../schemas/metrics.toml"),
            Self::Rejects => include_str!("../../../schemas/rejects.toml"),
        }
    }
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The contract that comes with clipmill, as `schemas/` has it.
///
/// # Errors
/// [`Kind::Internal`] if the compiled-in text is broken; a test reads them all.
pub fn builtin(kind: TableKind) -> Result<Contract> {
    super::parse(&format!("schemas/{kind}.toml"), kind.text()).map_err(|cause| {
        Error::new(Kind::Internal, format!("the built-in contract of {kind} is broken"))
            .caused_by(cause)
    })
}
