//! `[sources.<name>.splits]`: files that list the image ids of each part, one id a line.

use schemars::JsonSchema;
use serde::Serialize;

use super::size::ByteSize;
use super::span::Spanned;

/// Files that list which images belong to which part. At least one of the three is there.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SplitFiles {
    /// File with the ids of the training part, relative to the definition.
    pub train: Option<Spanned<String>>,
    /// File with the ids of the validation part.
    pub val: Option<Spanned<String>>,
    /// File with the ids of the test part.
    pub test: Option<Spanned<String>>,
    /// Regular expression with one capture group that takes the image id out of a line;
    /// without it, the id is the line's file stem.
    pub id: Option<Spanned<String>>,
    /// Where to get the files; printed when one is missing.
    pub obtain: Option<String>,
    /// SHA-256 of each file; checked before any work.
    pub sha256: Option<SplitDigests>,
    /// Longest line, in bytes.
    #[schemars(default = "super::caps::line_bytes")]
    pub max_line_bytes: ByteSize,
}

/// SHA-256 of split files, 64 hexadecimal digits each.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SplitDigests {
    /// Of the file of `train`.
    #[schemars(regex(pattern = super::source::SHA256))]
    pub train: Option<Spanned<String>>,
    /// Of the file of `val`.
    #[schemars(regex(pattern = super::source::SHA256))]
    pub val: Option<Spanned<String>>,
    /// Of the file of `test`.
    #[schemars(regex(pattern = super::source::SHA256))]
    pub test: Option<Spanned<String>>,
}
