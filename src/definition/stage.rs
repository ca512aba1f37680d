//! `[stages.<table>.<operator>]`: a table, and what makes it.

use serde::Serialize;

use super::align::Align;
use super::contract::TableKind;
use super::embed_captions::EmbedCaptions;
use super::embed_images::EmbedImages;
use super::index_images::IndexImages;
use super::read_captions::ReadCaptions;
use super::span::Spanned;

/// One stage of a definition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// The table it makes, which is its name.
    pub table: Spanned<String>,
    /// What makes the table, with its settings.
    pub operator: Operator,
    /// A contract file in place of the built-in one, relative to the definition.
    pub contract: Option<Spanned<String>>,
}

/// What makes a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
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
}

impl Operator {
    /// The names, as headers write them, in the order of the data.
    pub const NAMES: [&str; 5] =
        ["index_images", "embed_images", "read_captions", "embed_captions", "align"];

    /// The name in the stage's header.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::IndexImages(_) => "index_images",
            Self::EmbedImages(_) => "embed_images",
            Self::ReadCaptions(_) => "read_captions",
            Self::EmbedCaptions(_) => "embed_captions",
            Self::Align(_) => "align",
        }
    }

    /// What kind of table it makes.
    #[must_use]
    pub fn makes(&self) -> TableKind {
        match self {
            Self::IndexImages(_) => TableKind::Images,
            Self::EmbedImages(_) => TableKind::ImageFeatures,
            Self::ReadCaptions(_) => TableKind::Captions,
            Self::EmbedCaptions(_) => TableKind::CaptionFeatures,
            Self::Align(_) => TableKind::Examples,
        }
    }

    /// The tables it reads: the setting's key, the table's name, and what kind it must be.
    #[must_use]
    pub fn reads(&self) -> Vec<(&'static str, &Spanned<String>, TableKind)> {
        match self {
            Self::IndexImages(_) => vec![],
            Self::EmbedImages(s) => vec![("images", &s.images, TableKind::Images)],
            Self::ReadCaptions(s) => {
                s.images.iter().map(|table| ("images", table, TableKind::Images)).collect()
            }
            Self::EmbedCaptions(s) => vec![("captions", &s.captions, TableKind::Captions)],
            Self::Align(s) => vec![
                ("captions", &s.captions, TableKind::Captions),
                ("image_features", &s.image_features, TableKind::ImageFeatures),
            ],
        }
    }

    /// The model it computes with, if it does.
    #[must_use]
    pub fn model(&self) -> Option<&Spanned<String>> {
        match self {
            Self::EmbedImages(s) => Some(&s.model),
            Self::EmbedCaptions(s) => Some(&s.model),
            _ => None,
        }
    }
}
