//! The note of a table's damaged parts: who read whole parts tells it to those who glance at them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::part::{Damage, Part};
use super::storage::{Naming, write_durable};
use crate::base::{Error, FileStamp, Kind, Result};

const FORMAT: u32 = 1;
const CAP_BYTES: u64 = 16 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    format: u32,
    /// By file name.
    parts: BTreeMap<String, Noted>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    /// The file in which it was found: of another one put in its place nothing is known.
    stamp: FileStamp,
    what: String,
}

/// What is wrong with parts, by file name, whose files are those in which it was found.
pub(super) fn known(folder: &Folder) -> BTreeMap<String, String> {
    let parts = read(folder).parts.into_iter();
    let still = parts.filter(|(path, noted)| {
        FileStamp::at(&folder.path().join(path)).is_ok_and(|now| now == noted.stamp)
    });
    still.map(|(path, noted)| (path, noted.what)).collect()
}

/// Notes what was found by reading every part of the newest version, in place of what was noted.
pub(super) fn keep(folder: &Folder, found: &[Damage]) -> Result<()> {
    let noted = |damage: &Damage| {
        // what is not there needs no note: a glance sees it
        let stamp = FileStamp::at(&folder.path().join(&damage.path)).ok()?;
        Some((damage.path.clone(), Noted { stamp, what: damage.what.clone() }))
    };
    write(folder, &Note { format: FORMAT, parts: found.iter().filter_map(noted).collect() })
}

/// Forgets parts that are not among those of the newest version.
pub(super) fn forget(folder: &Folder, newest: &[Part]) -> Result<()> {
    let mut note = read(folder);
    let before = note.parts.len();
    note.parts.retain(|path, _| newest.iter().any(|part| part.path == *path));
    if note.parts.len() == before { Ok(()) } else { write(folder, &note) }
}

/// Whether anything is noted.
pub(super) fn any(folder: &Folder) -> bool {
    folder.damaged_note().exists()
}

fn read(folder: &Folder) -> Note {
    let nothing = Note { format: FORMAT, parts: BTreeMap::new() };
    let path = folder.damaged_note();
    if !any(folder) {
        return nothing;
    }
    let bytes = crate::base::files::read_capped(&path, CAP_BYTES).ok();
    let note = bytes.and_then(|bytes| serde_json::from_slice::<Note>(&bytes).ok());
    note.filter(|note| note.format == FORMAT).unwrap_or_else(|| {
        tracing::warn!(file = %path.display(), "an unknown note of damaged parts is left out");
        nothing
    })
}

fn write(folder: &Folder, note: &Note) -> Result<()> {
    let path = folder.damaged_note();
    if note.parts.is_empty() {
        if !any(folder) {
            return Ok(());
        }
        return match folder.storage().remove(&path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("cannot remove", path.display(), cause))
            }
            _ => Ok(()),
        };
    }
    let text = serde_json::to_vec_pretty(note).map_err(|cause| {
        Error::new(Kind::Internal, "cannot note damaged parts").at(path.display()).caused_by(cause)
    })?;
    folder.make(path.parent().unwrap_or(folder.path()))?;
    write_durable(folder.storage(), &path, &text, Naming::Replace)
        .map_err(|cause| Error::io("cannot write", path.display(), cause))
}
