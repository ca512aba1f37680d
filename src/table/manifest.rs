//! Manifests of staged parts: what lets the next run use what a dead one computed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::part::{FORMAT, StagedPart, glance};
use super::storage::{Naming, write_durable};

use crate::base::{Error, Kind, Result};

const CAP_BYTES: u64 = 16 << 20;
const SUFFIX: &str = ".json";

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    part: StagedPart,
}

/// The file that announces a part.
pub(super) fn name(part: &str) -> String {
    format!("{part}{SUFFIX}")
}

fn path(folder: &Folder, part: &str) -> PathBuf {
    folder.staging().join(name(part))
}

/// Announces a part that is durable already.
pub(super) fn write(folder: &Folder, part: &StagedPart) -> Result<()> {
    let path = path(folder, &part.path);
    let manifest = Manifest { format: FORMAT, part: part.clone() };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|cause| {
        Error::new(Kind::Internal, "cannot write down a part").at(path.display()).caused_by(cause)
    })?;
    write_durable(folder.storage(), &path, &text, Naming::Replace)
        .map_err(|cause| Error::io("cannot write", path.display(), cause))
}

/// The staged parts whose files are as they were written, oldest first. A part that is not is
/// left out: its unit is simply computed again.
pub(super) fn list(folder: &Folder) -> Result<Vec<StagedPart>> {
    let mut parts = announced(folder)?;
    parts.retain(|part| {
        let file = folder.find(&part.path);
        let what = glance(&file, part.size_bytes, Some(&part.seal));
        if let Some(what) = &what {
            tracing::warn!(file = %file.display(), "staged part {what}");
        }
        what.is_none()
    });
    Ok(parts)
}

/// Every staged part that has a manifest, oldest first, whatever became of its file.
pub(super) fn announced(folder: &Folder) -> Result<Vec<StagedPart>> {
    let staging = folder.staging();
    let names = folder
        .storage()
        .list(&staging)
        .map_err(|cause| Error::io("cannot list", staging.display(), cause))?;
    let mut parts = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(SUFFIX) && !name.starts_with('.')) {
        let path = staging.join(name);
        let bytes = crate::base::files::read_capped(&path, CAP_BYTES)?;
        match serde_json::from_slice::<Manifest>(&bytes) {
            Ok(manifest) if manifest.format == FORMAT => parts.push(manifest.part),
            // manifests are renamed into place, so this is one of another version of clipmill
            _ => tracing::warn!(file = %path.display(), "unknown manifest of a staged part"),
        }
    }
    parts.sort_by(|a, b| (a.written_us, &a.path).cmp(&(b.written_us, &b.path)));
    Ok(parts)
}

/// Takes a manifest away; one that is gone already is no fault.
pub(super) fn remove(folder: &Folder, part: &str) -> Result<()> {
    let path = path(folder, part);
    match folder.storage().remove(&path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", path.display(), cause))
        }
        _ => Ok(()),
    }
}
