//! Checkpoints that were brought along and outlived every version that named them, and what imports
//! that died left.
//!
//! A training removes the checkpoints of those before it. One that was brought along stays beside the
//! next, so that `restore` finds it, and goes with the last version that can be read and names it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::base::{Cancel, Error, Kind, Result};
use crate::plan::state_folder;
use crate::table::{OldFile, Store};
use crate::train::checkpoint;
use crate::train::trainer::{all_checkpoints_folder, checkpoints_folder};

use super::checkpoints::{self, IMPORTED};

/// Folders of one table's checkpoints that a vacuum deletes, or would.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlived {
    /// Those of checkpoints that no version needs.
    pub checkpoints: Vec<OldFile>,
    /// What imports left that died half-way.
    pub unfinished: Vec<OldFile>,
}

impl Outlived {
    /// Deletes them. Whoever calls holds the store's lock.
    ///
    /// # Errors
    /// When a folder cannot be removed, or on `cancel`; what was removed by then stays so.
    pub fn delete(&self, cancel: &Cancel) -> Result<()> {
        for folder in &self.checkpoints {
            cancel.check()?;
            checkpoint::discard(&folder.path)?;
        }
        for folder in &self.unfinished {
            cancel.check()?;
            checkpoint::remove(&folder.path)?;
        }
        Ok(())
    }
}

/// The tables that have checkpoints, also such as are not there any more.
///
/// # Errors
/// When the folder of the checkpoints cannot be listed.
pub fn tables_of_checkpoints(store: &Store) -> Result<Vec<String>> {
    let mut tables = folders(&all_checkpoints_folder(&state_folder(store.root())))?;
    // a folder that somebody else put there is none of ours
    tables.retain(|name| store.table_folder(name).is_ok());
    Ok(tables)
}

/// Finds what was written before `since_us` and is of no use any more, once the parts `taken` of old
/// versions are gone: checkpoints that were brought along and that neither the newest version names
/// nor an older one that can be read, and what imports left that died.
///
/// Nothing is found where a version that is there cannot be read: nobody knows what it names.
///
/// # Errors
/// When a folder cannot be listed, or on `cancel`.
pub fn outlived(
    store: &Store,
    table: &str,
    taken: &[OldFile],
    since_us: i64,
    cancel: &Cancel,
) -> Result<Outlived> {
    let below = checkpoints_folder(&state_folder(store.root()), table);
    let names = folders(&below)?;
    let aged = |is: &dyn Fn(&str) -> bool| -> Result<Vec<OldFile>> {
        let of = names.iter().filter(|name| is(name)).map(|name| aged(below.join(name), since_us));
        Ok(of.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    };
    let unfinished = aged(&checkpoint::is_unfinished)?;
    let mut checkpoints = aged(&|name| name.starts_with(IMPORTED))?;
    if checkpoints.is_empty() {
        return Ok(Outlived { checkpoints, unfinished });
    }
    match needed(store, table, taken, cancel) {
        Ok(needed) => {
            checkpoints.retain(|old| !needed.iter().any(|one| one.starts_with(&old.path)))
        }
        Err(error) if matches!(error.kind(), Kind::Store | Kind::Usage) => {
            tracing::warn!(%table, %error, "its checkpoints stay");
            checkpoints.clear();
        }
        Err(error) => return Err(error),
    }
    Ok(Outlived { checkpoints, unfinished })
}

/// The folders of the checkpoints that versions name which can be read without `taken`.
fn needed(
    store: &Store,
    table: &str,
    taken: &[OldFile],
    cancel: &Cancel,
) -> Result<BTreeSet<PathBuf>> {
    let mut needed = BTreeSet::new();
    let Some(newest) = store.snapshot(table)? else { return Ok(needed) };
    newest.whole()?;
    let taken: BTreeSet<&Path> = taken.iter().map(|file| file.path.as_path()).collect();
    for past in newest.past(None)?.into_iter().filter(|past| past.whole) {
        cancel.check()?;
        let then = store.snapshot_at(table, past.commit.version)?;
        let goes = then.part_paths().iter().any(|path| taken.contains(path.as_path()));
        // a table may have been of another kind before
        if !goes && then.key() == ["checkpoint"] {
            let named = checkpoints::named(store, &then)?;
            needed.extend(named.into_iter().map(|one| one.path));
        }
    }
    Ok(needed)
}

/// Removes what imports left that died. Whoever calls holds the store's lock.
///
/// # Errors
/// When a folder cannot be listed or removed.
pub(super) fn sweep(store: &Store) -> Result<()> {
    for table in tables_of_checkpoints(store)? {
        let below = checkpoints_folder(&state_folder(store.root()), &table);
        for name in folders(&below)?.iter().filter(|name| checkpoint::is_unfinished(name)) {
            tracing::debug!(%table, %name, "left by an import that died; removed");
            checkpoint::remove(&below.join(name))?;
        }
    }
    Ok(())
}

/// The names of the folders in a folder, sorted; none where it is not there.
fn folders(folder: &Path) -> Result<Vec<String>> {
    let io = |cause| Error::io("cannot list", folder.display(), cause);
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            if entry.file_type().map_err(io)?.is_dir()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A folder with the bytes in it, if all of it was written before `since_us`.
fn aged(folder: PathBuf, since_us: i64) -> Result<Option<OldFile>> {
    let mut size_bytes = 0;
    let mut left = vec![folder.clone()];
    while let Some(path) = left.pop() {
        let io = |cause| Error::io("cannot look at", path.display(), cause);
        let facts = match std::fs::symlink_metadata(&path) {
            // a run removes some of them, too, and who only looks holds no lock
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            facts => facts.map_err(io)?,
        };
        let written = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let written_us = written.and_then(|since| i64::try_from(since.as_micros()).ok());
        if written_us.is_none_or(|written_us| written_us >= since_us) {
            return Ok(None);
        }
        if facts.is_dir() {
            let entries = match std::fs::read_dir(&path) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
                entries => entries.map_err(io)?,
            };
            for entry in entries {
                left.push(entry.map_err(io)?.path());
            }
        } else {
            size_bytes += facts.len();
        }
    }
    Ok(Some(OldFile { path: folder, size_bytes }))
}
