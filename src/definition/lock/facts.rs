//! What a lock says.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::base::Digest;

/// Version of what the file looks like.
pub(super) const FORMAT: u32 = 1;

/// A lock file: what it says of each definition of its folder, by file name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    pub(super) format: u32,
    /// By the definition's file name.
    #[serde(default)]
    pub definitions: BTreeMap<String, Locked>,
}

impl Default for LockFile {
    fn default() -> Self {
        Self { format: FORMAT, definitions: BTreeMap::new() }
    }
}

/// What a lock says of one definition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Locked {
    /// By name.
    pub models: BTreeMap<String, LockedModel>,
    /// By name.
    pub sources: BTreeMap<String, LockedSource>,
    /// By the table that each makes.
    pub stages: BTreeMap<String, LockedStage>,
    /// By name; those only that a store had.
    pub tables: BTreeMap<String, LockedTable>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedModel {
    /// Digest of what its block means.
    pub definition: Digest,
    /// Files that decide numbers (weights, architecture, preprocessing, tokenizer), by path as
    /// the definition names them; empty where they were not there.
    #[serde(default)]
    pub files: BTreeMap<String, Digest>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSource {
    /// Digest of what its block means.
    pub definition: Digest,
    /// Its files, by path as the definition names them; empty where they were not there.
    #[serde(default)]
    pub files: BTreeMap<String, FileFact>,
}

/// A file of a source, or a folder with all that lies in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFact {
    /// Digest of the content.
    pub blake3: Digest,
    /// Size in bytes.
    pub size_bytes: u64,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedStage {
    /// Digest of what decides whether its rows pass.
    pub contract: Digest,
    /// Digest of what its block means.
    pub definition: Digest,
    /// The fingerprint that stands beside its rows; none where its model was not there.
    #[serde(default)]
    pub fingerprint: Option<Digest>,
    /// What went into the fingerprint, as far as it is known.
    #[serde(default)]
    pub parts: BTreeMap<String, String>,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedTable {
    /// Digest of its rows' keys, input digests and fingerprints, however they lie in parts.
    pub content: Digest,
    /// How many there are.
    pub rows: u64,
    /// Its version in the store that was looked at; other stores count otherwise.
    pub version: i64,
}
