//! Locked runs: tables hold what the lock says, or stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Result;
use crate::plan::contract::{Contract, TableKind};
use crate::plan::locked::{LockedStage, LockedTable};
use crate::plan::{Fingerprint, Stage};
use crate::table::{Change, Snapshot, Store};

use super::context::Context;
use super::report::Refused;

/// Whether a lock forbids this change of `table`; without a change, what the table holds now.
pub(super) fn refusal(
    ctx: &Context<'_>,
    table: &str,
    contract: &Contract,
    change: Option<&Change>,
) -> Result<Option<Refused>> {
    let Some(locked) = &ctx.plan.locked else { return Ok(None) };
    let found = match change {
        Some(change) => ctx.store.content_after(table, contract, change)?,
        None => match ctx.store.snapshot(table)? {
            Some(snapshot) => snapshot.content_digest()?,
            None => return Ok(None),
        },
    };
    let expected = locked.get(table).copied();
    Ok((expected != Some(found)).then(|| Refused {
        table: table.to_owned(),
        expected,
        found,
        kept_back: change.is_some(),
    }))
}

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
        let clean = !stage.work.reads().iter().any(|read| out.stale.contains(*read));
        match snapshot {
            Some(snapshot) if clean && is_current(&snapshot, facts.get(table))? => {
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

/// Whether the version was made under the stage's present fingerprint.
fn is_current(snapshot: &Snapshot, stage: Option<&LockedStage>) -> Result<bool> {
    let made_under = snapshot
        .note()?
        .and_then(|note| serde_json::from_value::<Fingerprint>(note.fingerprint_parts).ok());
    Ok(match (made_under, stage) {
        (Some(before), Some(LockedStage { fingerprint: Some(now), .. })) => before.digest() == *now,
        // Weights that are not here decide it: what can be compared is.
        (Some(before), Some(stage)) => {
            stage.parts.iter().all(|(name, now)| before.parts().get(name) == Some(now))
        }
        _ => false,
    })
}
