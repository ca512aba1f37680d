//! `[sources.<name>.splits]`: files that list the image ids of each part, one id a line.

use schemars::JsonSchema;
use serde::Serialize;

use super::caps;
use super::digest;
use super::pattern;
use super::reader::TableReader;
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
    /// Most bytes that a file may have, unpacked where it is compressed.
    #[schemars(default = "super::caps::unpacked_bytes")]
    pub max_unpacked_bytes: ByteSize,
}

/// SHA-256 of split files, 64 hexadecimal digits each.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SplitDigests {
    /// Of the file of `train`.
    #[schemars(regex(pattern = super::digest::PATTERN))]
    pub train: Option<Spanned<String>>,
    /// Of the file of `val`.
    #[schemars(regex(pattern = super::digest::PATTERN))]
    pub val: Option<Spanned<String>>,
    /// Of the file of `test`.
    #[schemars(regex(pattern = super::digest::PATTERN))]
    pub test: Option<Spanned<String>>,
}

impl SplitFiles {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let files = Self {
            train: table.optional("train"),
            val: table.optional("val"),
            test: table.optional("test"),
            id: pattern::id(table),
            obtain: table.optional("obtain"),
            sha256: SplitDigests::read(table),
            max_line_bytes: table.or("max_line_bytes", caps::line_bytes()),
            max_unpacked_bytes: table.or("max_unpacked_bytes", caps::unpacked_bytes()),
        };
        let given = [&files.train, &files.val, &files.test].map(Option::is_some);
        if given == [false; 3]
            && !["train", "val", "test"].iter().any(|key| table.key_span(key).is_some())
        {
            let message = format!("`[{}]` names no file", table.path);
            table
                .findings
                .add_absence(table.header, message)
                .label("expected at least one of `train`, `val` and `test`");
        }
        if let Some(digests) = &files.sha256 {
            let digests = [&digests.train, &digests.val, &digests.test];
            for (key, (digest, given)) in
                ["train", "val", "test"].iter().zip(digests.into_iter().zip(given))
            {
                if let (Some(digest), false) = (digest, given) {
                    table
                        .findings
                        .add_absence(digest.span, format!("a SHA-256 of `{key}`, and no such file"))
                        .label(format!("expected `{key} = …` in `[{}]`", table.path));
                }
            }
        }
        Some(files)
    }
}

impl SplitDigests {
    fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let mut table = table.table("sha256")?;
        let digests = Self {
            train: digest::read(&mut table, "train"),
            val: digest::read(&mut table, "val"),
            test: digest::read(&mut table, "test"),
        };
        table.finish();
        Some(digests)
    }
}
