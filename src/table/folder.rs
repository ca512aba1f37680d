//! One table's folder: where things lie in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::Cache;
use super::loaded::Loaded;
use super::storage::Storage;
use crate::base::clock::Clock;
use crate::base::{Digest, Error, Result};

/// Names that begin with `_` or `.` are hidden from readers, and from the vacuum of every
/// Delta program: what is staged lies below such a name.
const HIDDEN: &str = "_clipmill";

/// A table's folder and what acts on it.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    table: String,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    cache: Arc<Cache>,
}

impl Folder {
    pub(super) fn new(
        root: &Path,
        table: &str,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        cache: Arc<Cache>,
    ) -> Self {
        Self { path: root.join(table), table: table.to_owned(), storage, clock, cache }
    }

    /// The table's name.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// The folder itself; published parts lie directly in it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where parts and their manifests lie until a version has them.
    pub(super) fn staging(&self) -> PathBuf {
        self.path.join(HIDDEN).join("staged")
    }

    /// The note of parts that were found damaged.
    pub(super) fn damaged_note(&self) -> PathBuf {
        self.path.join(HIDDEN).join("damaged.json")
    }

    pub(super) fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    pub(super) fn shared_storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage)
    }

    pub(super) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// What the log says of the newest version; `None` where there is no table.
    pub(super) fn newest(&self) -> Result<Option<Arc<Loaded>>> {
        self.cache.newest(&self.path, &self.storage)
    }

    /// Has the log read anew the next time.
    pub(super) fn forget(&self) {
        self.cache.forget(&self.path);
    }

    /// Makes a folder of the table, durably.
    pub(super) fn make(&self, folder: &Path) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let made = self.storage.create_folder(folder).and_then(|()| {
            // the names of the new folders lie in those above
            let above = folder.ancestors().skip(1);
            let above = above.take_while(|above| above.starts_with(&self.path));
            above.chain(self.path.parent()).try_for_each(|above| self.storage.sync_folder(above))
        });
        made.map_err(|cause| Error::io("cannot make the folder", folder.display(), cause))
    }

    /// A name for a part that no other part has or had: its time and content.
    pub(super) fn free_name(&self, now_us: i64, digest: Digest) -> String {
        let stem = format!("part-{now_us:016}-{}", digest.short());
        let mut name = format!("{stem}.parquet");
        let mut tried = 1;
        while self.path.join(&name).exists() || self.staging().join(&name).exists() {
            tried += 1;
            name = format!("{stem}-{tried}.parquet");
        }
        name
    }

    /// Where a part's file is: published, or still staged.
    pub(super) fn find(&self, part: &str) -> PathBuf {
        let staged = self.staging().join(part);
        if staged.exists() { staged } else { self.path.join(part) }
    }
}
