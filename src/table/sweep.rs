//! What writers that died left in a store.

use std::path::Path;

use super::folder::Folder;
use super::log::LOG_FOLDER;
use super::manifest;
use super::storage::Storage;
use crate::base::{Error, Result};

/// Removes files that no reader and no later run can use: unfinished ones, and staged parts that
/// were never announced by a manifest. Whoever calls holds the store's lock.
pub(super) fn table(folder: &Folder) -> Result<()> {
    let (staging, storage) = (folder.staging(), folder.storage());
    unfinished(storage, &staging)?;
    unfinished(storage, staging.parent().unwrap_or(&staging))?;
    unfinished(storage, &folder.path().join(LOG_FOLDER))?;
    let staged = list(storage, &staging)?;
    for name in staged.iter().filter(|name| name.ends_with(".parquet")) {
        if staged.binary_search(&manifest::name(name)).is_err() {
            remove(storage, &staging.join(name))?;
        }
    }
    Ok(())
}

/// Removes the files of a folder that have the name of one being written, by
/// [`super::storage::temporary_beside`] or by [`crate::base::files::write_atomic`].
pub(super) fn unfinished(storage: &dyn Storage, folder: &Path) -> Result<()> {
    list(storage, folder)?
        .iter()
        .filter(|name| name.starts_with('.') && name.ends_with(".tmp"))
        .try_for_each(|name| remove(storage, &folder.join(name)))
}

fn list(storage: &dyn Storage, folder: &Path) -> Result<Vec<String>> {
    storage.list(folder).map_err(|cause| Error::io("cannot list", folder.display(), cause))
}

fn remove(storage: &dyn Storage, path: &Path) -> Result<()> {
    match storage.remove(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", path.display(), cause))
        }
        _ => {
            tracing::debug!(file = %path.display(), "left by a run that died; removed");
            Ok(())
        }
    }
}
