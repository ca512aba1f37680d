//! `[sources.<name>.<kind>]`

use serde::Serialize;

use super::reader::TableReader;
use super::source_captions::{CaptionFiles, CaptionFormat, CsvColumns, JsonField};
use super::source_images::{ImageFiles, ImageFormat};
use super::source_splits::SplitFiles;
use super::span::Spanned;

/// One source of a definition: files that somebody else made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    /// Its name, unique among the sources.
    pub name: Spanned<String>,
    /// What the files hold, and how.
    pub kind: SourceKind,
}

/// What a source's files hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum SourceKind {
    /// Images: `tar`, `folder`, `webdataset`.
    Images(ImageFiles),
    /// Captions: `flickr`, `csv`, `coco`, `karpathy`, `webdataset_text`, `webdataset_json`.
    Captions(CaptionFiles),
    /// Lists of ids: `splits`.
    Splits(SplitFiles),
}

impl SourceKind {
    /// The kinds, as headers write them.
    pub const NAMES: [&str; 10] = [
        "tar",
        "folder",
        "webdataset",
        "flickr",
        "csv",
        "coco",
        "karpathy",
        "webdataset_text",
        "webdataset_json",
        "splits",
    ];

    /// The kind in the source's header.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Images(files) => match files.format {
                ImageFormat::Tar => "tar",
                ImageFormat::Folder => "folder",
                ImageFormat::WebDataset => "webdataset",
            },
            Self::Captions(files) => match files.format {
                CaptionFormat::Flickr => "flickr",
                CaptionFormat::Csv(_) => "csv",
                CaptionFormat::Coco => "coco",
                CaptionFormat::Karpathy => "karpathy",
                CaptionFormat::WebDatasetText => "webdataset_text",
                CaptionFormat::WebDatasetJson(_) => "webdataset_json",
            },
            Self::Splits(_) => "splits",
        }
    }

    /// What sources of the kind `name` hold: images, captions or splits. Nothing of another name.
    #[must_use]
    pub fn holds(name: &str) -> Option<&'static str> {
        match name {
            "tar" | "folder" | "webdataset" => Some("images"),
            "splits" => Some("splits"),
            name => Self::NAMES.contains(&name).then_some("captions"),
        }
    }

    /// Reads the settings of the kind `name`, which is one of [`Self::NAMES`].
    pub(super) fn read(name: &str, table: &mut TableReader<'_, '_>) -> Option<Self> {
        let images = |table: &mut TableReader<'_, '_>, format| {
            ImageFiles::read(table, format).map(Self::Images)
        };
        let captions = |table: &mut TableReader<'_, '_>, format: CaptionFormat| {
            CaptionFiles::read(table, |_| Some(format)).map(Self::Captions)
        };
        match name {
            "tar" => images(table, ImageFormat::Tar),
            "folder" => images(table, ImageFormat::Folder),
            "webdataset" => images(table, ImageFormat::WebDataset),
            "flickr" => captions(table, CaptionFormat::Flickr),
            "coco" => captions(table, CaptionFormat::Coco),
            "karpathy" => captions(table, CaptionFormat::Karpathy),
            "webdataset_text" => captions(table, CaptionFormat::WebDatasetText),
            "csv" => {
                let format = |table: &mut TableReader<'_, '_>| {
                    CsvColumns::read(table).map(CaptionFormat::Csv)
                };
                CaptionFiles::read(table, format).map(Self::Captions)
            }
            "webdataset_json" => {
                let format = |table: &mut TableReader<'_, '_>| {
                    Some(CaptionFormat::WebDatasetJson(JsonField::read(table)))
                };
                CaptionFiles::read(table, format).map(Self::Captions)
            }
            "splits" => SplitFiles::read(table).map(Self::Splits),
            _ => None,
        }
    }
}
