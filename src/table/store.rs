//! A store: a folder of tables.

use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::folder::Folder;
use super::lock::{Holder, StoreLock};
use super::log::LOG_FOLDER;
use super::part::{PartLabel, StagedPart, read_again};
use super::publish::{self, Change, Outcome};
use super::read::{self, PartReader};
use super::snapshot::Snapshot;
use super::storage::{Disk, Naming, Storage, write_durable};
use super::writer::PartWriter;
use super::{lock, manifest, schema, sweep};
use crate::base::clock::Clock;
use crate::base::files::{above, missing_folders};
use crate::base::{Cancel, Error, Kind, Result};
use crate::plan::contract::Contract;

/// The file that makes a folder a store.
pub const MARKER: &str = "clipmill.json";
/// The version of what a store looks like.
pub const STORE_FORMAT: u32 = 1;
const MARKER_CAP_BYTES: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
}

/// A folder of tables. Cheap to clone; every call blocks, and may come from any thread.
#[derive(Debug, Clone)]
pub struct Store {
    root: Arc<Path>,
    clock: Arc<dyn Clock>,
    storage: Arc<dyn Storage>,
    cache: Arc<Cache>,
}

impl Store {
    /// Opens the store in `root`, and makes it where there is none.
    ///
    /// # Errors
    /// [`Kind::Store`] when the folder holds something else or a newer format, [`Kind::Io`] when
    /// it cannot be written.
    pub fn create(root: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::create_on(root, clock, Arc::new(Disk))
    }

    /// As [`create`](Self::create), on another storage.
    ///
    /// # Errors
    /// As [`create`](Self::create) does.
    pub fn create_on(
        root: &Path,
        clock: Arc<dyn Clock>,
        storage: Arc<dyn Storage>,
    ) -> Result<Self> {
        let io = |what| move |cause| Error::io(what, root.display(), cause);
        if !root.join(MARKER).exists() {
            vacant(root, storage.as_ref())?;
            let new = missing_folders(root);
            let mut above_new = new.iter().map(|new| above(new));
            storage
                .create_folder(root)
                .and_then(|()| above_new.try_for_each(|above| storage.sync_folder(above)))
                .map_err(io("cannot make the store"))?;
            let text = serde_json::to_vec(&Marker { format: STORE_FORMAT }).unwrap_or_default();
            let path = root.join(MARKER);
            match write_durable(storage.as_ref(), &path, &text, Naming::New) {
                Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(io("cannot make the store")(cause));
                }
                _ => {}
            }
        }
        Self::open_on(root, clock, storage)
    }

    /// Opens the store in `root`.
    ///
    /// # Errors
    /// [`Kind::Store`] when it is no store, or one of a newer clipmill.
    pub fn open(root: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_on(root, clock, Arc::new(Disk))
    }

    /// Looks at the store in `root` without changing anything: where there is none yet it is as
    /// one without tables.
    ///
    /// # Errors
    /// As [`create`](Self::create) does, but for what it would write.
    pub fn look(root: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        if root.join(MARKER).exists() {
            return Self::open(root, clock);
        }
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        vacant(root, storage.as_ref())?;
        let root = std::path::absolute(root)
            .map_err(|cause| Error::io("cannot name", root.display(), cause))?;
        Ok(Self { root: root.into(), clock, storage, cache: Arc::default() })
    }

    /// Whether there is a store in its folder yet; see [`look`](Self::look).
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.root.join(MARKER).exists()
    }

    /// As [`open`](Self::open), on another storage.
    ///
    /// # Errors
    /// As [`open`](Self::open) does.
    pub fn open_on(root: &Path, clock: Arc<dyn Clock>, storage: Arc<dyn Storage>) -> Result<Self> {
        let fault = |what: String| Error::new(Kind::Store, what).at(root.display());
        let path = root.join(MARKER);
        if !path.exists() {
            return Err(fault(format!("is no store: it holds no {MARKER}"))
                .help("`clipmill run` makes the store of a pipeline"));
        }
        let bytes = crate::base::files::read_capped(&path, MARKER_CAP_BYTES)?;
        let marker: Marker = serde_json::from_slice(&bytes)
            .map_err(|cause| fault(format!("has a broken {MARKER}")).caused_by(cause))?;
        if marker.format > STORE_FORMAT {
            return Err(fault(format!(
                "has format {}, and this clipmill reads up to {STORE_FORMAT}",
                marker.format
            ))
            .help("use the clipmill that wrote it, or a newer one"));
        }
        // `..` and links are resolved: object stores take no such path
        let root =
            root.canonicalize().map_err(|cause| Error::io("cannot find", root.display(), cause))?;
        Ok(Self { root: root.into(), clock, storage, cache: Arc::default() })
    }

    /// The store's folder, as an absolute path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The names of its tables, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn tables(&self) -> Result<Vec<String>> {
        let mut names = self
            .storage
            .list(&self.root)
            .map_err(|cause| Error::io("cannot list", self.root.display(), cause))?;
        names.retain(|name| is_table_name(name));
        let mut tables = Vec::new();
        for name in names {
            let log = self.root.join(&name).join(LOG_FOLDER);
            let entries = match self.storage.list(&log) {
                Ok(entries) => entries,
                // a file, or a folder without a log
                Err(cause) if matches!(cause.kind(), NotFound | NotADirectory) => continue,
                Err(cause) => return Err(Error::io("cannot list", log.display(), cause)),
            };
            let is_commit =
                |entry: &String| entry.ends_with(".json") && !entry.starts_with(['.', '_']);
            if entries.iter().any(is_commit) {
                tables.push(name);
            }
        }
        Ok(tables)
    }

    /// The newest version of a table; `None` where there is no such table.
    ///
    /// # Errors
    /// [`Kind::Store`] when its log cannot be read.
    pub fn snapshot(&self, table: &str) -> Result<Option<Snapshot>> {
        Snapshot::load(&self.folder(table)?, None)
    }

    /// A given version of a table.
    ///
    /// # Errors
    /// [`Kind::Usage`] where there is no such table or version.
    pub fn snapshot_at(&self, table: &str, version: i64) -> Result<Snapshot> {
        match Snapshot::load(&self.folder(table)?, Some(version))? {
            Some(snapshot) => Ok(snapshot),
            None => Err(self.no_table(table)),
        }
    }

    /// The error of a table that is not there.
    pub(super) fn no_table(&self, table: &str) -> Error {
        let names = self.tables().unwrap_or_default();
        let error = Error::new(Kind::Usage, format!("there is no table `{table}`"));
        error.at(self.root.display()).help(format!("its tables are {}", names.join(", ")))
    }

    /// The right to write; held by one at a time, in all processes of this machine and, where
    /// the file system shares locks, of others. With `wait` the call returns when it is free.
    ///
    /// # Errors
    /// [`Kind::Busy`] naming who holds it, [`Kind::Interrupted`] on `cancel`.
    pub fn lock(&self, wait: bool, cancel: &Cancel) -> Result<StoreLock> {
        StoreLock::take(&self.root, self.clock.as_ref(), wait, cancel)
    }

    /// Who writes the store at the moment, if somebody does.
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        lock::holder(&self.root)
    }

    /// A writer of one part of `table`. Needs no lock: a staged part is in nobody's way.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the name is none of a table.
    pub fn part_writer(
        &self,
        table: &str,
        contract: &Contract,
        label: PartLabel,
    ) -> Result<PartWriter> {
        Ok(PartWriter::new(self.folder(table)?, contract, label))
    }

    /// The parts of `table` that are durable and in no version yet, oldest first: what a run
    /// computed that was stopped, died, or broke the contract.
    ///
    /// # Errors
    /// When the folder or the table's log cannot be read.
    pub fn staged(&self, table: &str) -> Result<Vec<StagedPart>> {
        let folder = self.folder(table)?;
        let mut staged = manifest::list(&folder)?;
        if !staged.is_empty()
            && let Some(now) = Snapshot::load(&folder, None)?
        {
            staged.retain(|part| !now.parts().iter().any(|known| known.path == part.path));
        }
        Ok(staged)
    }

    /// The rows of a staged part.
    ///
    /// # Errors
    /// [`Kind::Store`] when it is missing or damaged.
    pub fn scan_staged(
        &self,
        table: &str,
        contract: &Contract,
        part: &StagedPart,
        columns: &[&str],
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let whole = schema::arrow_schema(contract);
        let places =
            columns.iter().filter_map(|name| whole.index_of(name).ok()).collect::<Vec<_>>();
        let schema =
            if columns.is_empty() { Ok(whole.as_ref().clone()) } else { whole.project(&places) };
        let schema = schema.map_err(|cause| {
            Error::new(Kind::Internal, "cannot choose columns").at(table).caused_by(cause)
        })?;
        PartReader::open(&self.folder(table)?.find(&part.path), schema.into(), table)
    }

    /// That a staged part is what was written, found by reading all of it again.
    ///
    /// # Errors
    /// [`Kind::Store`] when it is not; when it cannot be read, or on `cancel`.
    pub fn sound_staged(&self, table: &str, part: &StagedPart, cancel: &Cancel) -> Result<()> {
        let path = self.folder(table)?.find(&part.path);
        match read_again(&path, part.size_bytes, Some(&part.seal), cancel)? {
            Some(what) => Err(read::damaged(&path, what)),
            None => Ok(()),
        }
    }

    /// Removes what writers that died left behind and nobody can use: unfinished files, staged
    /// parts that were never announced. Ask for the [`lock`](Self::lock) first.
    ///
    /// # Errors
    /// When a folder cannot be read or a file cannot be removed.
    pub fn sweep(&self) -> Result<()> {
        let names = self.storage.list(&self.root);
        let names = names.map_err(|cause| Error::io("cannot list", self.root.display(), cause))?;
        names
            .iter()
            .filter(|name| is_table_name(name) && self.root.join(name).is_dir())
            .try_for_each(|name| sweep::table(&self.folder(name)?))?;
        let state = crate::plan::state_folder(&self.root);
        sweep::unfinished(self.storage.as_ref(), &state)?;
        sweep::unfinished(self.storage.as_ref(), &state.join("index"))?;
        sweep::notes_of_models(self.storage.as_ref(), &state)
    }

    /// Throws staged parts away, such as those of another fingerprint. Ask for the
    /// [`lock`](Self::lock) first.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn discard_staged(&self, table: &str, parts: &[StagedPart]) -> Result<()> {
        let folder = self.folder(table)?;
        let published = Snapshot::load(&folder, None)?;
        for part in parts {
            // the manifest first: a manifest without its part would promise too much
            manifest::remove(&folder, &part.path)?;
            let known = published.as_ref().map_or(&[][..], Snapshot::parts);
            if known.iter().any(|known| known.path == part.path) {
                continue;
            }
            let path = folder.find(&part.path);
            match self.storage.remove(&path) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("cannot remove", path.display(), cause));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes a new version of `table`, in one atomic step, if its contract holds. Ask for the
    /// [`lock`](Self::lock) first; without it the worst is [`Kind::Busy`].
    ///
    /// Rows that the base version has under the same contract are not read again; keys are.
    ///
    /// # Errors
    /// [`Kind::Busy`] when the table is not at `change.expected_version` any more,
    /// [`Kind::Store`] when a part is damaged, [`Kind::Io`] when the disk refuses. Readers then
    /// have the old version, or, where only the last sync failed, the new one, whole.
    #[expect(clippy::needless_pass_by_value, reason = "a change is used up")]
    pub fn publish(&self, table: &str, contract: &Contract, change: Change) -> Result<Outcome> {
        publish::publish(&self.folder(table)?, contract, &change)
    }

    pub(super) fn folder(&self, table: &str) -> Result<Folder> {
        if !is_table_name(table) {
            return Err(Error::new(Kind::Usage, format!("`{table}` is no name of a table"))
                .help("a table's name is of a-z, 0-9 and _, and begins with a letter"));
        }
        let storage = Arc::clone(&self.storage);
        let (clock, cache) = (Arc::clone(&self.clock), Arc::clone(&self.cache));
        Ok(Folder::new(&self.root, table, storage, clock, cache))
    }

    /// The folder of a table; it may not be there yet.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the name is none of a table.
    pub fn table_folder(&self, table: &str) -> Result<PathBuf> {
        Ok(self.folder(table)?.path().to_owned())
    }
}

/// A store is made where nothing else is.
fn vacant(root: &Path, storage: &dyn Storage) -> Result<()> {
    let names = storage.list(root);
    let names = names.map_err(|cause| Error::io("cannot list", root.display(), cause))?;
    // Another run may make the same store at this very moment.
    let strange = |name: &&String| !name.starts_with(['.', '_']) && *name != MARKER;
    match names.iter().find(strange) {
        None => Ok(()),
        Some(other) => {
            Err(Error::new(Kind::Store, format!("is no store, and not empty: it holds `{other}`"))
                .at(root.display())
                .help("name an empty or a new folder as `store` of the pipeline"))
        }
    }
}

fn is_table_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
