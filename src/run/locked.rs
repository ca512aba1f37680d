//! What a lock says of the tables of a store.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::StringArray;

use crate::base::{Digest, Result};
use crate::plan::contract::TableKind;
use crate::plan::locked::{LockedStage, LockedTable};
use crate::plan::resolve::weights_of;
use crate::plan::{Fingerprint, Stage, Work};
use crate::table::{Snapshot, Store};

use super::{checkpoints, rows};

/// What a lock says of a store's tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables {
    /// Those that are as the definition has them.
    pub tables: BTreeMap<String, LockedTable>,
    /// Those that are not there, or were made under other settings or weights, or from such.
    pub stale: BTreeSet<String>,
}

/// Looks at the tables of `store` for a lock: of every one of `stages`, each after those it reads,
/// and of the rejects. `facts` says under which fingerprints they should have been made.
///
/// # Errors
/// When a table cannot be read.
pub fn tables(
    store: &Store,
    stages: &[Stage],
    facts: &BTreeMap<String, LockedStage>,
) -> Result<Tables> {
    let mut out = Tables::default();
    for stage in stages {
        let table = &stage.table;
        let snapshot = store.snapshot(table)?;
        let trainer = stage.work.model().and_then(|model| model.trained_by.as_deref());
        let mut reads = stage.work.reads().into_iter().chain(trainer);
        let clean = !reads.any(|read| out.stale.contains(read));
        let made_by = match &stage.work {
            Work::Caption(work) if clean => {
                Some(checkpoints::best(store, &work.captioner)?.0.digest)
            }
            _ => None,
        };
        match snapshot {
            Some(snapshot) if clean && is_current(&snapshot, facts.get(table), made_by)? => {
                out.tables.insert(table.clone(), locked(&snapshot)?);
            }
            _ => {
                out.stale.insert(table.clone());
            }
        }
    }
    // What was refused follows from all stages together.
    let rejects = TableKind::Rejects.name();
    match store.snapshot(rejects)? {
        Some(snapshot) if out.stale.is_empty() => {
            out.tables.insert(rejects.to_owned(), locked(&snapshot)?);
        }
        _ => {
            out.stale.insert(rejects.to_owned());
        }
    }
    Ok(out)
}

fn locked(snapshot: &Snapshot) -> Result<LockedTable> {
    let content = snapshot.content_digest()?;
    Ok(LockedTable { content, rows: snapshot.rows(), version: snapshot.version() })
}

/// Whether the version was made under the stage's present fingerprint; by the checkpoint
/// `made_by`, where a checkpoint made it.
fn is_current(
    snapshot: &Snapshot,
    stage: Option<&LockedStage>,
    made_by: Option<Digest>,
) -> Result<bool> {
    let commit = snapshot.noted_commit()?;
    let version = commit.as_ref().map(|commit| commit.version);
    let made_under = commit
        .and_then(|commit| commit.note)
        .and_then(|note| serde_json::from_value::<Fingerprint>(note.fingerprint_parts).ok());
    // Another program committed since, or the log was cleaned up: the rows say what made them.
    if version != Some(snapshot.version()) {
        let now = stage.and_then(|stage| stage.fingerprint);
        let Some(made) = made_under.as_ref().map(Fingerprint::digest).or(now) else {
            return Ok(false);
        };
        if !all_rows_of(snapshot, &made)? {
            return Ok(false);
        }
        if made_under.is_none() {
            return Ok(made_by.is_none());
        }
    }
    let all = |before: &Fingerprint, stage: &LockedStage| {
        stage.parts.iter().all(|(name, now)| before.parts().get(name) == Some(now))
    };
    Ok(match (made_under, stage) {
        // The checkpoint is no fact of the definition.
        (Some(before), Some(stage)) if made_by.is_some() => {
            weights_of(&before) == made_by.map(|digest| digest.to_string()).as_deref()
                && all(&before, stage)
        }
        (Some(before), Some(LockedStage { fingerprint: Some(now), .. })) => before.digest() == *now,
        // Weights that are not here decide it: what can be compared is.
        (Some(before), Some(stage)) => all(&before, stage),
        _ => false,
    })
}

/// Whether every row was made under this fingerprint.
fn all_rows_of(snapshot: &Snapshot, fingerprint: &Digest) -> Result<bool> {
    let expected = fingerprint.to_string();
    for batch in snapshot.scan(&["fingerprint"])? {
        let (_, batch) = batch?;
        let made = rows::column::<StringArray>(&batch, "fingerprint")?;
        if !made.iter().all(|made| made == Some(expected.as_str())) {
            return Ok(false);
        }
    }
    Ok(true)
}
