//! What tells that a file is untouched.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// What the file system says of a file; equal means untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp([u64; 6]);

impl FileStamp {
    pub(crate) fn of(meta: &Metadata) -> Self {
        let bits = i64::cast_unsigned;
        Self([
            meta.size(),
            bits(meta.mtime()),
            bits(meta.mtime_nsec()),
            bits(meta.ctime()),
            bits(meta.ctime_nsec()),
            meta.ino(),
        ])
    }

    /// For stamps of members that are files of their own.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        self.0.iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    /// The numbers, as an index keeps them.
    pub(crate) fn fields(&self) -> &[u64; 6] {
        &self.0
    }

    /// What an index kept.
    pub(crate) fn of_fields(fields: [u64; 6]) -> Self {
        Self(fields)
    }
}
