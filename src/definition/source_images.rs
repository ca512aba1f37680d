//! `[sources.<name>.tar]`, `.folder` and `.webdataset`: files that hold images.

use schemars::JsonSchema;
use serde::Serialize;

use super::caps::SourceCaps;
use super::paths::Paths;
use super::span::Spanned;

/// How the files of a source of images are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// Tar: plain, gzip or zstd, told apart by content.
    Tar,
    /// Folders.
    Folder,
    /// Tar shards whose members share a stem: `000.jpg`, `000.txt`, `000.json`.
    WebDataset,
}

/// A source of images.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ImageFiles {
    /// The kind in the block's header.
    #[schemars(skip)]
    pub format: ImageFormat,
    /// Archives or folders, relative to the definition: one string or a list; globs (`*`, `?`,
    /// `[…]`, `**`) and brace ranges (`{000..031}.tar`, `{a,b}.tar`) name many.
    pub paths: Paths,
    /// Regular expression with one capture group that takes the image id out of a member's
    /// name; without it, the id is the file's stem.
    pub id: Option<Spanned<String>>,
    /// Globs over the names of members; without them, every file with an image's extension.
    pub include: Option<Vec<Spanned<String>>>,
    /// Where to get the files; printed when one is missing.
    pub obtain: Option<String>,
    /// SHA-256 of the one file, 64 hexadecimal digits; checked before any work.
    #[schemars(regex(pattern = super::source::SHA256))]
    pub sha256: Option<Spanned<String>>,
    /// Limits against hostile archives.
    #[schemars(flatten)]
    pub caps: SourceCaps,
}
