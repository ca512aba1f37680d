//! `[stages.<table>.<operator>]`: a table, and what makes it.

use serde::Serialize;

use super::align::Align;
use super::caption::Caption;
use super::contract::TableKind;
use super::embed_captions::EmbedCaptions;
use super::embed_images::EmbedImages;
use super::evaluate::Evaluate;
use super::index_images::IndexImages;
use super::model::Role;
use super::read_captions::ReadCaptions;
use super::reader::TableReader;
use super::span::Spanned;
use super::train::Train;
use super::train_clip::TrainClip;

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
    /// Trains a CLIP.
    TrainClip(TrainClip),
    /// Trains a captioner.
    Train(Train),
    /// Captions images.
    Caption(Caption),
    /// Scores captions.
    Evaluate(Evaluate),
}

impl Operator {
    /// The names, as headers write them, in the order of the data.
    pub const NAMES: [&str; 9] = [
        "index_images",
        "embed_images",
        "read_captions",
        "embed_captions",
        "align",
        "train_clip",
        "train",
        "caption",
        "evaluate",
    ];

    /// The name in the stage's header.
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

    /// What kind of table it makes.
    #[must_use]
    pub fn makes(&self) -> TableKind {
        match self {
            Self::IndexImages(_) => TableKind::Images,
            Self::EmbedImages(_) => TableKind::ImageFeatures,
            Self::ReadCaptions(_) => TableKind::Captions,
            Self::EmbedCaptions(_) => TableKind::CaptionFeatures,
            Self::Align(_) => TableKind::Examples,
            Self::TrainClip(_) => TableKind::Clip,
            Self::Train(_) => TableKind::Captioner,
            Self::Caption(_) => TableKind::Generated,
            Self::Evaluate(_) => TableKind::Scores,
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
            Self::TrainClip(s) => vec![
                ("images", &s.images, TableKind::Images),
                ("captions", &s.captions, TableKind::Captions),
            ],
            Self::Train(s) => vec![("examples", &s.examples, TableKind::Examples)],
            Self::Caption(s) => {
                let mut tables = vec![
                    ("captioner", &s.captioner, TableKind::Captioner),
                    ("image_features", &s.image_features, TableKind::ImageFeatures),
                ];
                let captions = s.captions.iter();
                tables.extend(captions.map(|table| ("captions", table, TableKind::Captions)));
                tables
            }
            Self::Evaluate(s) => vec![
                ("generated", &s.generated, TableKind::Generated),
                ("captions", &s.captions, TableKind::Captions),
            ],
        }
    }

    /// The model it computes with, if it does.
    #[must_use]
    pub fn model(&self) -> Option<&Spanned<String>> {
        match self {
            Self::EmbedImages(s) => Some(&s.model),
            Self::EmbedCaptions(s) => Some(&s.model),
            Self::TrainClip(s) => Some(&s.model),
            Self::Train(s) => Some(&s.model),
            _ => None,
        }
    }

    /// What its model must be able to do.
    #[must_use]
    pub fn needs(&self) -> Role {
        match self {
            Self::Train(_) => Role::Writes,
            _ => Role::Embeds,
        }
    }
}

impl Operator {
    /// Reads the settings of the operator `name`, which is one of [`Self::NAMES`].
    pub(super) fn read(name: &str, table: &mut TableReader<'_, '_>) -> Option<Self> {
        match name {
            "index_images" => IndexImages::read(table).map(Self::IndexImages),
            "embed_images" => EmbedImages::read(table).map(Self::EmbedImages),
            "read_captions" => ReadCaptions::read(table).map(Self::ReadCaptions),
            "embed_captions" => EmbedCaptions::read(table).map(Self::EmbedCaptions),
            "align" => Align::read(table).map(Self::Align),
            "train_clip" => TrainClip::read(table).map(Self::TrainClip),
            "train" => Train::read(table).map(Self::Train),
            "caption" => Caption::read(table).map(Self::Caption),
            "evaluate" => Evaluate::read(table).map(Self::Evaluate),
            _ => None,
        }
    }
}
