//! Parts: the Parquet files of a table, what is known of each, and whether it is still so.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::base::{Cancel, Digest, Error, Result};
use crate::flow::Fidelity;

/// The version of what parts and manifests look like.
pub const FORMAT: u32 = 1;

/// What a part was made for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartLabel {
    /// Fingerprint of the stage that computed the rows.
    pub fingerprint: String,
    /// The unit of work, such as a range of members: whoever computes it again makes the same
    /// rows.
    pub unit: String,
}

/// A part of a published version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// File name in the table's folder.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Size of the file.
    pub size_bytes: u64,
    /// What it was made for; empty where another program wrote the part.
    pub label: PartLabel,
    /// What clipmill knows of its bytes; `None` where another program wrote the part.
    pub seal: Option<Seal>,
    /// Statistics as in the Delta log: JSON with `numRecords`, `minValues`, `maxValues`.
    pub(super) stats: Option<String>,
    /// Milliseconds since 1970, as the Delta log has it.
    pub(super) modified_ms: i64,
}

/// A part that is durable and in no version yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagedPart {
    /// File name; in the table's folder once it is published.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Size of the file.
    pub size_bytes: u64,
    /// What it was made for.
    pub label: PartLabel,
    /// What is known of its bytes and keys.
    pub seal: Seal,
    /// How near the rows are to those in f32, where they are of a reduced type: what a sample said
    /// before any of them was durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<Fidelity>,
    /// Statistics as in the Delta log.
    pub(super) stats: String,
    /// Microseconds since 1970.
    pub(super) written_us: i64,
}

/// What was true of a part when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Digest of the whole file.
    pub digest: Digest,
    /// Digest of its last [`TAIL_BYTES`]: the Parquet footer holds every column's sizes and
    /// extremes, so that a swapped file shows without reading all of it.
    pub tail: Digest,
    /// Smallest key; empty for a part without rows.
    pub min_key: Key,
    /// Largest key.
    pub max_key: Key,
}

/// How much of a part's end [`Seal::tail`] covers.
pub const TAIL_BYTES: u64 = 16 * 1024;

const FINGERPRINT: &str = "clipmill.fingerprint";
const UNIT: &str = "clipmill.unit";
const SEAL: &str = "clipmill.seal";

impl StagedPart {
    /// The tags of the part's `Add` action.
    pub(super) fn tags(&self) -> HashMap<String, Option<String>> {
        let seal = serde_json::to_string(&self.seal).ok();
        HashMap::from([
            (FINGERPRINT.to_owned(), Some(self.label.fingerprint.clone())),
            (UNIT.to_owned(), Some(self.label.unit.clone())),
            (SEAL.to_owned(), seal),
        ])
    }
}

impl Part {
    /// What an `Add` action of the log says.
    pub(super) fn from_add(add: &deltalake_core::kernel::Add) -> Self {
        let tag = |name: &str| add.tags.as_ref()?.get(name)?.clone();
        let rows = add.stats.as_deref().and_then(super::stats::row_count).unwrap_or(0);
        let seal = tag(SEAL).and_then(|text| serde_json::from_str(&text).ok());
        Self {
            path: add.path.clone(),
            rows,
            size_bytes: u64::try_from(add.size).unwrap_or(0),
            label: PartLabel {
                fingerprint: tag(FINGERPRINT).unwrap_or_default(),
                unit: tag(UNIT).unwrap_or_default(),
            },
            seal,
            stats: add.stats.clone(),
            modified_ms: add.modification_time,
        }
    }

    /// The tags of the part's `Add` action, for a version that takes it back.
    pub(super) fn tags(&self) -> HashMap<String, Option<String>> {
        let seal = self.seal.as_ref().and_then(|seal| serde_json::to_string(seal).ok());
        let label = |text: &String| (!text.is_empty()).then(|| text.clone());
        let tags = [
            (FINGERPRINT, label(&self.label.fingerprint)),
            (UNIT, label(&self.label.unit)),
            (SEAL, seal),
        ];
        let known = tags.into_iter().filter(|(_, value)| value.is_some());
        known.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The order of parts in a version: by smallest key, then unit, then content, so that the
    /// same rows are always scanned in the same order, however they were computed.
    pub(super) fn order(&self) -> (Option<(&Key, &Key)>, &str, Option<Digest>, &str) {
        let seal = self.seal.as_ref();
        (
            seal.map(|seal| (&seal.min_key, &seal.max_key)),
            &self.label.unit,
            seal.map(|seal| seal.digest),
            &self.path,
        )
    }
}

/// The sum of the rows of some parts. What a log says of a part's rows may be any number, so the sum
/// ends at the largest there is.
#[must_use]
pub fn total_rows(rows: impl IntoIterator<Item = u64>) -> u64 {
    rows.into_iter().fold(0, u64::saturating_add)
}

/// How a part differs from what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// File name of the part.
    pub path: String,
    /// What is wrong, in words.
    pub what: String,
}

/// Looks whether the file at `path` is still the one that was written, without reading it all:
/// it is there, has its size, and its end has its digest.
pub(super) fn glance(path: &Path, size_bytes: u64, seal: Option<&Seal>) -> Option<String> {
    let actual = match std::fs::metadata(path) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            return Some("is missing".to_owned());
        }
        Err(cause) => return Some(format!("cannot be read: {cause}")),
        Ok(facts) if !facts.is_file() => return Some("is no file".to_owned()),
        Ok(facts) => facts.len(),
    };
    if actual != size_bytes {
        return Some(format!("has {actual} bytes instead of {size_bytes}"));
    }
    let seal = seal?;
    match tail_digest(path, size_bytes) {
        Err(cause) => Some(format!("cannot be read: {cause}")),
        Ok(tail) if tail != seal.tail => Some("has another content".to_owned()),
        Ok(_) => None,
    }
}

fn tail_digest(path: &Path, size_bytes: u64) -> std::io::Result<Digest> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(size_bytes.saturating_sub(TAIL_BYTES)))?;
    Digest::of_reader(file.take(TAIL_BYTES), &Cancel::new())
}

/// Reads the whole file at `path` and compares its digest.
pub(super) fn read_again(
    path: &Path,
    size_bytes: u64,
    seal: Option<&Seal>,
    cancel: &Cancel,
) -> Result<Option<String>> {
    if let Some(what) = glance(path, size_bytes, seal) {
        return Ok(Some(what));
    }
    let Some(seal) = seal else { return Ok(None) };
    let file = File::open(path).map_err(|cause| Error::io("cannot open", path.display(), cause))?;
    let read = Digest::of_reader(file, cancel);
    cancel.check()?;
    Ok(match read {
        Err(cause) => Some(format!("cannot be read: {cause}")),
        Ok(digest) if digest != seal.digest => Some("has another content".to_owned()),
        Ok(_) => None,
    })
}
