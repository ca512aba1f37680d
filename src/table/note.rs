//! What a commit says of itself, beyond what Delta asks for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::log::commit_path;
use crate::base::{Digest, Error, Kind, Result};

/// The key in Delta's `commitInfo` that holds clipmill's own facts.
pub(super) const COMMIT_KEY: &str = "clipmill";
const CAP_BYTES: u64 = 1 << 30;

/// Why a version is there and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CommitNote {
    /// Digest of the definition.
    pub definition_digest: String,
    /// What was done, in a word: the operator, `restore`, …
    pub operation: String,
    /// Versions of the tables that were read.
    pub inputs: BTreeMap<String, i64>,
    /// What went into the fingerprint of the stage.
    pub fingerprint_parts: Value,
    /// The model that computed the rows, if one did.
    pub model: Option<String>,
    /// Rows with a key that the version before had not.
    pub added: u64,
    /// Rows with a key that only the version before had.
    pub removed: u64,
    /// Rows with a key that it had and another content: one that was made again and is the same is
    /// none. Rows of a damaged part, which nobody can compare, are changed where new ones came for them.
    pub changed: u64,
    /// Those rows by the name of the reason that they came, went or changed for, where the writer knew;
    /// and under `contract_changed` those that stayed and were held against another contract.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, u64>,
}

/// One version of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// Its number, from 0.
    pub version: i64,
    /// Microseconds since 1970; `None` where the writer did not say.
    pub at_us: Option<i64>,
    /// Delta's word for what was done: `WRITE`, `OPTIMIZE`, …
    pub delta_operation: String,
    /// Rows of the version, where clipmill wrote it.
    pub rows: Option<u64>,
    /// The note, where clipmill wrote the version.
    pub note: Option<CommitNote>,
    /// Digest of the contract that the version keeps, where clipmill wrote it.
    pub contract: Option<Digest>,
}

/// clipmill's entry in `commitInfo`.
#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) format: u32,
    pub(super) contract: Digest,
    /// Rows of the version; versions before 0.1.0 do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<u64>,
    pub(super) note: CommitNote,
}

impl Entry {
    pub(super) fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_: serde_json::Error| json!({}))
    }
}

/// The file of a commit; `None` when the log was cleaned up so far.
pub(super) fn text(folder: &Path, version: i64) -> Result<Option<String>> {
    let path = commit_path(folder, version);
    if !path.exists() {
        return Ok(None);
    }
    crate::base::files::read_text_capped(&path, CAP_BYTES).map(Some)
}

/// The commit of `version`; `None` when the log was cleaned up so far.
pub(super) fn read(folder: &Path, version: i64) -> Result<Option<Commit>> {
    let Some(text) = text(folder, version)? else { return Ok(None) };
    of_text(folder, version, &text).map(Some)
}

/// The commit that a file of the log tells of.
pub(super) fn of_text(folder: &Path, version: i64, text: &str) -> Result<Commit> {
    let mut commit = Commit {
        version,
        at_us: None,
        delta_operation: String::new(),
        rows: None,
        note: None,
        contract: None,
    };
    // in our commits the first line; only lines that can hold it are parsed
    let Some(line) = text.lines().find(|line| line.contains("\"commitInfo\"")) else {
        return Ok(commit);
    };
    let line: Value = serde_json::from_str(line).map_err(|cause| broken(folder, version, cause))?;
    let info = line.get("commitInfo");
    let field = |name: &str| info.and_then(|info| info.get(name));
    commit.at_us = field("timestamp").and_then(Value::as_i64).map(|ms| ms.saturating_mul(1000));
    commit.delta_operation =
        field("operation").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(entry) = field(COMMIT_KEY)
        && let Ok(entry) = Entry::deserialize(entry)
    {
        commit.note = Some(entry.note);
        commit.rows = entry.rows;
        commit.contract = Some(entry.contract);
    }
    Ok(commit)
}

/// The error of a file of the log that is no such file.
pub(super) fn broken(folder: &Path, version: i64, cause: serde_json::Error) -> Error {
    Error::new(Kind::Store, "is a broken entry of the log")
        .at(commit_path(folder, version).display())
        .apart_from_rows()
        .help("get it from a copy of the store")
        .caused_by(cause)
}
