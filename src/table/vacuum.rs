//! Vacuum: files that no version younger than an age needs are deleted.
//!
//! A part is kept as long as a reader may hold a version with it: age is counted from when it
//! left the newest version. Versions stay in the history; those whose parts went cannot be read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::folder::Folder;
use super::journal::{Moves, decoded};
use super::log::LOG_FOLDER;
use super::snapshot::Snapshot;
use super::store::Store;
use super::{manifest, note};
use crate::base::{Cancel, Error, Kind, Result};

/// What a vacuum deletes, or would.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vacuumed {
    /// Parts that only old versions have.
    pub parts: Vec<OldFile>,
    /// Parts that a run computed and no run published in time.
    pub staged: Vec<OldFile>,
    /// What writers left that died in the middle of a file.
    pub temporary: Vec<OldFile>,
}

/// One file that is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
}

impl Vacuumed {
    /// Every file.
    pub fn files(&self) -> impl Iterator<Item = &OldFile> {
        self.parts.iter().chain(&self.staged).chain(&self.temporary)
    }

    /// Bytes in all of them.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.files().map(|file| file.size_bytes).sum()
    }
}

impl Store {
    /// Finds, and unless `dry_run` deletes, the files of `table` that nothing needed for longer
    /// than `age`: parts that left the newest version before, parts that no version ever had,
    /// and temporary files. What the newest version has is never touched. Ask for the
    /// [`lock`](Self::lock) first.
    ///
    /// # Errors
    /// [`Kind::Store`] when the log does not reach back far enough to say when parts left,
    /// [`Kind::Io`] when a file cannot be removed; what was removed by then stays so.
    pub fn vacuum(
        &self,
        table: &str,
        age: Duration,
        dry_run: bool,
        cancel: &Cancel,
    ) -> Result<Vacuumed> {
        let folder = self.folder(table)?;
        let age_us = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let since_us = folder.now_us().saturating_sub(age_us);
        let newest = Snapshot::load(&folder, None)?;
        let found = Vacuumed {
            parts: match &newest {
                Some(newest) => old_parts(&folder, newest, since_us, cancel)?,
                None => Vec::new(),
            },
            staged: old_staged(&folder, newest.as_ref(), since_us)?,
            temporary: [folder.path().to_owned(), folder.staging(), folder.path().join(LOG_FOLDER)]
                .into_iter()
                .map(|place| old_temporary(&folder, &place, since_us))
                .collect::<Result<Vec<_>>>()?
                .concat(),
        };
        if !dry_run {
            for staged in found.staged.iter().filter_map(|file| file.path.file_name()) {
                // the manifest first: a manifest without its part would promise too much
                manifest::remove(&folder, &staged.to_string_lossy())?;
            }
            for file in found.files() {
                cancel.check()?;
                remove(&folder, &file.path)?;
            }
        }
        Ok(found)
    }
}

fn remove(folder: &Folder, path: &Path) -> Result<()> {
    match folder.storage().remove(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", path.display(), cause))
        }
        _ => Ok(()),
    }
}

/// Published parts, and such as a run moved in and died before its commit.
fn old_parts(
    folder: &Folder,
    newest: &Snapshot,
    since_us: i64,
    cancel: &Cancel,
) -> Result<Vec<OldFile>> {
    let mut needed: BTreeSet<String> =
        newest.parts().iter().map(|part| decoded(&part.path)).collect();
    let mut known = needed.clone();
    for version in (0..=newest.version()).rev() {
        cancel.check()?;
        let Some(text) = note::text(folder.path(), version)? else {
            let after = note::read(folder.path(), version + 1)?.and_then(|commit| commit.at_us);
            if after.is_some_and(|at| at < since_us) {
                break;
            }
            return Err(Error::new(
                Kind::Store,
                format!("the log does not say any more what version {version} had"),
            )
            .at(folder.table())
            .help("another program shortened the log: ask for a shorter --older-than, or wait"));
        };
        let commit = note::of_text(folder.path(), version, &text)?;
        let moves = Moves::of(folder.path(), version, &text)?;
        // a commit without a time may have been made a moment ago
        if commit.at_us.is_none_or(|at| at >= since_us) {
            needed.extend(moves.removed.iter().chain(&moves.added).cloned());
        }
        known.extend(moves.removed.into_iter().chain(moves.added));
    }
    let ours = |name: &String| name.starts_with("part-") && name.ends_with(".parquet");
    let names = list(folder, folder.path())?.into_iter();
    let old = names.filter(|name| !needed.contains(name) && (known.contains(name) || ours(name)));
    Ok(old.filter_map(|name| aged(folder.path().join(name), since_us)).collect())
}

/// Staged parts, by the time in their manifests, and parts there without a manifest.
fn old_staged(folder: &Folder, newest: Option<&Snapshot>, since_us: i64) -> Result<Vec<OldFile>> {
    let staging = folder.staging();
    let published: BTreeSet<&str> =
        newest.iter().flat_map(|now| now.parts()).map(|part| part.path.as_str()).collect();
    let names = list(folder, &staging)?.into_iter();
    let old = names.filter(|name| name.ends_with(".parquet") && !name.starts_with('.'));
    let old = old.filter(|name| !published.contains(name.as_str()));
    Ok(old.filter_map(|name| aged(staging.join(name), since_us)).collect())
}

/// What [`temporary_beside`](super::storage::temporary_beside) and the checkpoints' writer name.
fn old_temporary(folder: &Folder, place: &Path, since_us: i64) -> Result<Vec<OldFile>> {
    let is_temporary = |name: &String| {
        let ours = name.starts_with('.') && name.ends_with(".tmp");
        let checkpoint = name.rsplit_once(".parquet#").is_some_and(|(_, number)| {
            !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
        });
        ours || checkpoint
    };
    let names = list(folder, place)?.into_iter().filter(is_temporary);
    Ok(names.filter_map(|name| aged(place.join(name), since_us)).collect())
}

fn list(folder: &Folder, place: &Path) -> Result<Vec<String>> {
    let names = folder.storage().list(place);
    names.map_err(|cause| Error::io("cannot list", place.display(), cause))
}

/// The file, if it was written before `since_us`.
fn aged(path: PathBuf, since_us: i64) -> Option<OldFile> {
    let facts = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
    let written = facts.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let written_us = i64::try_from(written.as_micros()).ok()?;
    (written_us < since_us).then_some(OldFile { path, size_bytes: facts.len() })
}
