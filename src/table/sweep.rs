//! What writers that died left in a store.

use std::path::Path;

use super::folder::Folder;
use super::log::LOG_FOLDER;
use super::manifest;
use super::storage::Storage;
use crate::base::{Error, Result};
use crate::plan::trained::all_models_folder;

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

/// The same of the folders in which the notes of trained models lie.
pub(super) fn notes_of_models(storage: &dyn Storage, state: &Path) -> Result<()> {
    let models = all_models_folder(state);
    list(storage, &models)?
        .iter()
        .map(|table| models.join(table))
        .filter(|folder| folder.is_dir())
        .try_for_each(|folder| unfinished(storage, &folder))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::base::clock::SystemClock;
    use crate::base::files::write_atomic;
    use crate::plan::state_folder;
    use crate::plan::trained::models_folder;
    use crate::table::Store;

    #[test]
    fn unfinished_files_go_from_every_folder_of_the_state_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path(), Arc::new(SystemClock)).unwrap();
        let state = state_folder(store.root());
        let models = models_folder(&state, "clip");
        let left = [&state, &state.join("index"), &models].map(|f| f.join(".clipmill-x.tmp"));
        let stays = [
            state.join("settled.json"),
            state.join("models/a-file"),
            models.join("newest.json"),
            models.join("abc/config.json"),
        ];
        for path in left.iter().chain(&stays) {
            write_atomic(path, |_| Ok(())).unwrap();
        }
        store.sweep().unwrap();
        assert!(!left.iter().any(|path| path.exists()), "{left:?}");
        assert!(stays.iter().all(|path| path.exists()), "{stays:?}");
    }
}
