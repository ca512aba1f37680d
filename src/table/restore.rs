//! Restoring: a new version with the rows of an old one. History is added to, never rewritten.

use std::collections::{BTreeMap, HashMap};

use deltalake_core::kernel::{Action, Add, CommitInfo};
use serde_json::json;

use super::diff::apart;
use super::note::{COMMIT_KEY, CommitNote, Entry};
use super::part::{FORMAT, Part, read_again};
use super::publish::{commit_actions, finish, remove_action};
use super::snapshot::Snapshot;
use super::store::Store;
use crate::base::{Cancel, Digest, Error, Kind, Result};

/// How a restore ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// The newest version has these very parts: nothing was written.
    Already {
        /// Its number.
        version: i64,
    },
    /// There is a new version.
    Published {
        /// Its number.
        version: i64,
        /// Its rows.
        rows: u64,
        /// Rows that came back.
        added: u64,
        /// Rows that went.
        removed: u64,
        /// Rows with the key they had and an older content.
        changed: u64,
    },
}

impl Store {
    /// Makes a new version of `table` that has the rows, the schema and the model of `version`.
    /// Each part that comes back is read whole and compared with its digest first. Ask for the
    /// [`lock`](Self::lock) first.
    ///
    /// # Errors
    /// [`Kind::Usage`] where there is no such table or version; [`Kind::Store`] when a part was
    /// vacuumed or is damaged; [`Kind::Busy`] when another writer was faster.
    pub fn restore(&self, table: &str, version: i64, cancel: &Cancel) -> Result<Restored> {
        let now = self.snapshot(table)?.ok_or_else(|| self.no_table(table))?;
        let then = self.snapshot_at(table, version)?;
        let (leave, come) = (apart(&now, &then), apart(&then, &now));
        let same_metadata = now.metadata() == then.metadata();
        if leave.is_empty() && come.is_empty() && same_metadata {
            return Ok(Restored::Already { version: now.version() });
        }
        usable(&then, &come, cancel)?;

        let (commit, counts) = (then.commit()?, counts(&now, &then, cancel)?);
        // another program's commit, such as a compaction, says nothing of how the rows were made
        let old = then.noted_commit()?.and_then(|commit| commit.note).unwrap_or_default();
        let note = CommitNote {
            operation: "restore".to_owned(),
            added: counts.added,
            removed: counts.removed,
            changed: counts.changed,
            reasons: BTreeMap::from([("restored".to_owned(), counts.added + counts.changed)]),
            // what the rows were made by and from holds again
            ..old
        };
        // an unknown contract is none that a later run has: it will look at every row
        let contract = commit.and_then(|commit| commit.contract).unwrap_or(Digest::of(b""));
        let entry = Entry { format: FORMAT, contract, rows: Some(then.rows()), note };
        let mut actions = vec![Action::CommitInfo(commit_info(&now, version, &entry))];
        if !same_metadata && let Some(metadata) = then.metadata() {
            actions.push(Action::Metadata(metadata.clone()));
        }
        let folder = now.folder();
        actions.extend(leave.iter().map(|part| Action::Remove(remove_action(folder, part))));
        actions.extend(come.iter().map(|part| Action::Add(add_action(part))));
        let made = commit_actions(folder, Some(&now), actions, Some(now.version()))?;
        finish(folder, Some(&now), made, &[]);
        Ok(Restored::Published {
            version: i64::try_from(made).unwrap_or(i64::MAX),
            rows: then.rows(),
            added: counts.added,
            removed: counts.removed,
            changed: counts.changed,
        })
    }
}

/// That every part which comes back is there, and is what was written.
fn usable(then: &Snapshot, come: &[&Part], cancel: &Cancel) -> Result<()> {
    let refused = |what: String| {
        Error::new(Kind::Store, format!("version {} cannot be restored: {what}", then.version()))
            .at(then.table())
            .help("`clipmill history` says which versions are whole; a run makes the rows anew")
    };
    let gone = then.gone().len();
    if gone > 0 {
        return Err(refused(format!("{gone} of its {} parts were vacuumed", then.parts().len())));
    }
    for part in come {
        let path = then.folder().path().join(&part.path);
        if let Some(what) = read_again(&path, part.size_bytes, part.seal.as_ref(), cancel)? {
            return Err(refused(format!("its part {} {what}", part.path)));
        }
    }
    Ok(())
}

struct Counts {
    added: u64,
    removed: u64,
    changed: u64,
}

/// What the restore does to the rows. Where the newest version is damaged, which may be why it
/// is left, rows are counted by their parts.
fn counts(now: &Snapshot, then: &Snapshot, cancel: &Cancel) -> Result<Counts> {
    match now.diff(then, Some(0), cancel) {
        Ok(diff) => Ok(Counts { added: diff.added, removed: diff.removed, changed: diff.changed }),
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        Err(cause) => {
            tracing::warn!(%cause, "the rows cannot be compared; they are counted by parts");
            let rows = |parts: Vec<&Part>| parts.iter().map(|part| part.rows).sum();
            let (added, removed) = (rows(apart(then, now)), rows(apart(now, then)));
            Ok(Counts { added, removed, changed: 0 })
        }
    }
}

fn add_action(part: &Part) -> Add {
    Add {
        path: part.path.clone(),
        size: i64::try_from(part.size_bytes).unwrap_or(i64::MAX),
        modification_time: part.modified_ms,
        data_change: true,
        stats: part.stats.clone(),
        tags: Some(part.tags()),
        ..Add::default()
    }
}

fn commit_info(now: &Snapshot, version: i64, entry: &Entry) -> CommitInfo {
    CommitInfo {
        timestamp: Some(now.folder().now_us() / 1000),
        operation: Some("RESTORE".to_owned()),
        operation_parameters: Some(HashMap::from([("version".to_owned(), json!(version))])),
        read_version: u64::try_from(now.version()).ok(),
        is_blind_append: Some(false),
        engine_info: Some(format!("clipmill:{}", env!("CARGO_PKG_VERSION"))),
        info: HashMap::from([(COMMIT_KEY.to_owned(), entry.to_json())]),
        ..CommitInfo::default()
    }
}
