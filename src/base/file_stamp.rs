//! What tells that a file is untouched.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::{Error, Result};

/// What the file system says of a file, its size, times and inode; equal means untouched. An edit
/// that sets the time of the content back cannot set back that of the inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileStamp([u64; 6]);

impl FileStamp {
    /// Of what was looked at already.
    #[must_use]
    pub fn of(meta: &Metadata) -> Self {
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

    /// Looks at the file that `path` leads to.
    ///
    /// # Errors
    /// [`super::Kind::Io`] when it cannot be looked at.
    pub fn at(path: &Path) -> Result<Self> {
        let meta =
            std::fs::metadata(path).map_err(|c| Error::io("cannot look at", path.display(), c))?;
        Ok(Self::of(&meta))
    }

    /// Size in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let [size_bytes, ..] = self.0;
        size_bytes
    }

    /// For stamps of members that are files of their own.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    /// The numbers, as an index keeps them.
    #[must_use]
    pub fn fields(&self) -> &[u64; 6] {
        &self.0
    }

    /// What an index kept.
    #[must_use]
    pub fn of_fields(fields: [u64; 6]) -> Self {
        Self(fields)
    }
}
