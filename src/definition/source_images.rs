//! `[sources.<name>.tar]`, `.folder` and `.webdataset`: files that hold images.

use schemars::JsonSchema;
use serde::Serialize;

use super::caps::SourceCaps;
use super::digest;
use super::paths::Paths;
use super::pattern;
use super::reader::TableReader;
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
    /// `[…]`, `**`) and brace ranges (`{000..031}.tar`, `{a,b}.tar`) name many. Links to folders are
    /// followed, but not below `**`; what is named twice is read once.
    pub paths: Paths,
    /// Regular expression with one capture group that takes the image id out of a member's
    /// name; without it, the id is the file's stem.
    pub id: Option<Spanned<String>>,
    /// Globs over the names of members; without them, every file with the extension of an image,
    /// and outside shards those without any: the content says what they are.
    pub include: Option<Vec<Spanned<String>>>,
    /// Where to get the files; printed when one is missing.
    pub obtain: Option<String>,
    /// SHA-256 of the one file, 64 hexadecimal digits; checked before any work.
    #[schemars(regex(pattern = super::digest::PATTERN))]
    pub sha256: Option<Spanned<String>>,
    /// Limits against hostile archives.
    #[schemars(flatten)]
    pub caps: SourceCaps,
}

impl ImageFiles {
    pub(super) fn read(table: &mut TableReader<'_, '_>, format: ImageFormat) -> Option<Self> {
        let paths: Option<Paths> = table.required("paths");
        let id = pattern::id(table);
        let include: Option<Vec<Spanned<String>>> = table.optional("include");
        let obtain = table.optional("obtain");
        let sha256 = digest::of_files(table, paths.as_ref());
        let caps = SourceCaps::read(table);
        for glob in include.iter().flatten() {
            pattern::check_glob(glob, table.findings);
        }
        if let (ImageFormat::Folder, Some(sha256)) = (format, &sha256) {
            table
                .findings
                .add(sha256.span, "a folder has no SHA-256")
                .label("expected only where the path is a file")
                .help("remove it, or pack the folder into a tar");
        }
        Some(Self { format, paths: paths?, id, include, obtain, sha256, caps })
    }
}
