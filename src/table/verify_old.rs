//! Parts that only old versions have, read again: somebody may restore or read such a version.

use std::collections::BTreeSet;
use std::path::PathBuf;

use deltalake_core::kernel::Add;
use serde::Deserialize;

use super::folder::Folder;
use super::journal::decoded;
use super::note;
use super::part::{Part, read_again};
use super::snapshot::Snapshot;
use crate::base::{Cancel, Result};

/// A part that only old versions have and that is not as it was written.
#[derive(Debug)]
pub(super) struct OldDamage {
    pub(super) path: PathBuf,
    /// The newest version that added it.
    pub(super) version: i64,
    pub(super) what: String,
}

#[derive(Deserialize)]
struct Line {
    add: Option<Add>,
}

/// What is wrong with them, and how many were read. Those that a vacuum took are not missing, nor
/// is anything known of parts whose commit was cleaned out of the log.
pub(super) fn verify(
    folder: &Folder,
    newest: &Snapshot,
    cancel: &Cancel,
) -> Result<(u64, Vec<OldDamage>)> {
    let mut known: BTreeSet<String> =
        newest.parts().iter().map(|part| decoded(&part.path)).collect();
    let (mut read, mut damaged) = (0, Vec::new());
    for version in (0..=newest.version()).rev() {
        cancel.check()?;
        let Some(text) = note::text(folder.path(), version)? else { break };
        for line in text.lines().filter(|line| line.contains("\"add\"")) {
            let line: Line = serde_json::from_str(line)
                .map_err(|cause| note::broken(folder.path(), version, cause))?;
            let Some(part) = line.add.map(|add| Part::from_add(&add)) else { continue };
            let name = decoded(&part.path);
            let path = folder.path().join(&name);
            if !known.insert(name) || !path.exists() {
                continue;
            }
            read += 1;
            let what = read_again(&path, part.size_bytes, part.seal.as_ref(), cancel)?;
            damaged.extend(what.map(|what| OldDamage { path, version, what }));
        }
    }
    Ok((read, damaged))
}
