//! `[sources.<name>.<kind>]`

use serde::Serialize;

use super::source_captions::CaptionFiles;
use super::source_images::ImageFiles;
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

/// Pattern of a SHA-256 in the JSON schema.
pub(super) const SHA256: &str = r"^[0-9a-fA-F]{64}$|\$\{";
