//! Logs that were read are kept, and only followed from then on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use deltalake_core::DeltaTableError;

use super::loaded::Loaded;
use super::storage::Storage;
use super::{log, runtime};
use crate::base::{FileStamp, Result};

/// The newest version that was seen of each table; all clones of a store share one.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<BTreeMap<PathBuf, Known>>);

#[derive(Debug, Clone)]
struct Known {
    loaded: Arc<Loaded>,
    /// Of the commit's file: a table that was deleted and made again has another.
    stamp: FileStamp,
}

impl Cache {
    /// The newest version of the table in `folder`; `None` where there is no table.
    ///
    /// Two looks at the log's folder tell that nothing was committed since the last call; after
    /// a commit only what is new is read. A log that cannot be followed is read from its
    /// beginning.
    pub(super) fn newest(
        &self,
        folder: &Path,
        storage: &Arc<dyn Storage>,
    ) -> Result<Option<Arc<Loaded>>> {
        let known = self.known(folder);
        if let Some(known) = &known {
            if !log::commit_path(folder, known.loaded.version + 1).exists() {
                return Ok(Some(Arc::clone(&known.loaded)));
            }
            let delta = known.loaded.delta.as_ref().clone();
            match runtime::wait(log::advance(delta))? {
                Ok(delta) => {
                    let replayed = known.loaded.replayed;
                    let loaded = Loaded::of(folder, log::Opened { delta, replayed })?;
                    return self.keep(folder, loaded).map(Some);
                }
                Err(cause) => tracing::debug!(%cause, "the log is read from its beginning"),
            }
        }
        if !folder.join(log::LOG_FOLDER).is_dir() {
            return Ok(None);
        }
        match log::open(folder, storage, None)? {
            Ok(opened) => self.keep(folder, Loaded::of(folder, opened)?).map(Some),
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(cause) => Err(log::error(folder, &cause)),
        }
    }

    /// What is kept of a table, if its log still is the one that was read.
    fn known(&self, folder: &Path) -> Option<Known> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(folder).cloned()?;
        let now = FileStamp::at(&log::commit_path(folder, known.loaded.version)).ok()?;
        (now == known.stamp).then_some(known)
    }

    /// Forgets what was read of a table.
    pub(super) fn forget(&self, folder: &Path) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(folder);
    }

    fn keep(&self, folder: &Path, loaded: Loaded) -> Result<Arc<Loaded>> {
        let loaded = Arc::new(loaded);
        // where the commit's file was cleaned away, nothing tells a new log from this one
        if let Ok(stamp) = FileStamp::at(&log::commit_path(folder, loaded.version)) {
            let known = Known { loaded: Arc::clone(&loaded), stamp };
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(folder.to_owned(), known);
        }
        Ok(loaded)
    }
}
