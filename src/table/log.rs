//! The Delta log on disk: reads by `object_store`, durable writes through [`Storage`].

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use deltalake_core::kernel::transaction::TransactionError;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, logstore_with};
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::TryStreamExt as _;
use futures::future::ready;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
    UploadPart,
};
use url::Url;

use super::runtime;
use super::storage::{Naming, Storage, write_durable};
use crate::base::{Error, Kind, Result};

/// The folder of a table's log.
pub(super) const LOG_FOLDER: &str = "_delta_log";

/// Files as `object_store` serves them, except that a put is synced before it has a name:
/// `LocalFileSystem` leaves that to the operating system, and a commit that a power cut takes
/// back would be a lost version.
#[derive(Debug)]
struct DurableFiles {
    files: LocalFileSystem,
    storage: Arc<dyn Storage>,
    /// Whether checkpoints are seen; without them the log is its commits.
    checkpoints: bool,
}

/// What says which checkpoint is the newest.
const HINT: &str = "_last_checkpoint";

/// Whether a file of the log is a checkpoint, or tells of one.
fn is_checkpoint(name: Option<&str>) -> bool {
    name.is_some_and(|name| name == HINT || name.contains(".checkpoint."))
}

impl DurableFiles {
    fn shown(
        &self,
        listed: BoxStream<'static, StoreResult<ObjectMeta>>,
    ) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        if self.checkpoints {
            return listed;
        }
        let seen = |meta: &ObjectMeta| ready(!is_checkpoint(meta.location.filename()));
        Box::pin(listed.try_filter(seen))
    }
}

/// Puts a whole file, durably.
fn put(
    storage: &dyn Storage,
    path: &FsPath,
    location: &Path,
    parts: &[PutPayload],
    naming: Naming,
) -> StoreResult<PutResult> {
    let chunks = parts.iter().flat_map(PutPayload::iter);
    let bytes: Vec<u8> = chunks.flat_map(|chunk| chunk.iter().copied()).collect();
    let failed = |source: std::io::Error| {
        let path = location.to_string();
        match source.kind() {
            std::io::ErrorKind::AlreadyExists => {
                object_store::Error::AlreadyExists { path, source: Box::new(source) }
            }
            _ => object_store::Error::Generic { store: "disk", source: Box::new(source) },
        }
    };
    if let Some(folder) = path.parent() {
        storage.create_folder(folder).map_err(failed)?;
    }
    write_durable(storage, path, &bytes, naming).map_err(failed)?;
    Ok(PutResult { e_tag: None, version: None })
}

/// A large file that comes in parts: what is of a checkpoint beyond 10 MB.
#[derive(Debug)]
struct Upload {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    location: Path,
    parts: Vec<PutPayload>,
}

#[async_trait::async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.push(data);
        Box::pin(ready(Ok(())))
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        let parts = std::mem::take(&mut self.parts);
        put(self.storage.as_ref(), &self.path, &self.location, &parts, Naming::Replace)
    }

    async fn abort(&mut self) -> StoreResult<()> {
        self.parts.clear();
        Ok(())
    }
}

impl fmt::Display for DurableFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "durable {}", self.files)
    }
}

#[async_trait::async_trait]
impl ObjectStore for DurableFiles {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> StoreResult<PutResult> {
        let naming = match options.mode {
            PutMode::Create => Naming::New,
            PutMode::Overwrite => Naming::Replace,
            PutMode::Update(_) => {
                return Err(object_store::Error::NotImplemented {
                    operation: "put of an expected version".into(),
                    implementer: self.to_string(),
                });
            }
        };
        let path = self.files.path_to_filesystem(location)?;
        put(self.storage.as_ref(), &path, location, &[payload], naming)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload {
            storage: Arc::clone(&self.storage),
            path: self.files.path_to_filesystem(location)?,
            location: location.clone(),
            parts: Vec::new(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        // a checkpoint that is not listed is asked for by who has just written it
        if self.checkpoints || location.filename() != Some(HINT) {
            return self.files.get_opts(location, options).await;
        }
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        Err(object_store::Error::NotFound { path: location.to_string(), source: source.into() })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.shown(self.files.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.shown(self.files.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        let mut listed = self.files.list_with_delimiter(prefix).await?;
        listed.objects.retain(|meta| self.checkpoints || !is_checkpoint(meta.location.filename()));
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.files.copy_opts(from, to, options).await
    }
}

/// The log of the table in `folder`, which must be an absolute path.
pub(super) fn log_store(folder: &FsPath, storage: Arc<dyn Storage>) -> Result<LogStoreRef> {
    log_of(folder, storage, true)
}

fn log_of(folder: &FsPath, storage: Arc<dyn Storage>, checkpoints: bool) -> Result<LogStoreRef> {
    let url = Url::from_directory_path(folder).map_err(|()| {
        Error::new(Kind::Internal, "is no absolute path, as a table's log needs")
            .at(folder.display())
    })?;
    let files = Arc::new(DurableFiles { files: LocalFileSystem::new(), storage, checkpoints });
    logstore_with(files, &url, StorageConfig::default()).map_err(|cause| error(folder, &cause))
}

/// A table's state, and how it was come by.
pub(super) struct Opened {
    pub(super) delta: DeltaTable,
    /// Whether a checkpoint could not be used, so that every commit was read.
    pub(super) replayed: bool,
}

/// The state at `version`, or the newest, of the table in `folder`.
///
/// A checkpoint is only a short cut. Where it cannot be used and every commit is there, these
/// are read one by one, and a warning says so.
pub(super) fn open(
    folder: &FsPath,
    storage: &Arc<dyn Storage>,
    version: Option<u64>,
) -> Result<std::result::Result<Opened, DeltaTableError>> {
    let store = log_store(folder, Arc::clone(storage))?;
    let cause = match runtime::wait(load(store, version))? {
        Ok(delta) => return Ok(Ok(Opened { delta, replayed: false })),
        Err(cause) => cause,
    };
    if !commit_path(folder, 0).exists() || checkpoint_names(folder, storage.as_ref()).is_empty() {
        return Ok(Err(cause));
    }
    let store = log_of(folder, Arc::clone(storage), false)?;
    match runtime::wait(load(store, version))? {
        Ok(delta) => {
            warn_once(folder, &cause);
            Ok(Ok(Opened { delta, replayed: true }))
        }
        Err(second) => {
            tracing::debug!(%second, "the log cannot be read without its checkpoint either");
            Ok(Err(cause))
        }
    }
}

/// One line a table: a command may open it many times.
fn warn_once(folder: &FsPath, cause: &DeltaTableError) {
    static TOLD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.insert(folder.to_owned()) {
        tracing::warn!(
            "{}: a checkpoint of the log is damaged; every commit is there and was read instead, \
             and the next version writes the checkpoint anew",
            folder.display()
        );
        tracing::debug!(%cause, "why the checkpoint cannot be used");
    }
}

/// The names of checkpoints and of the hint, oldest first.
fn checkpoint_names(folder: &FsPath, storage: &dyn Storage) -> Vec<String> {
    let mut names = storage.list(&folder.join(LOG_FOLDER)).unwrap_or_default();
    names.retain(|name| !name.starts_with('.') && is_checkpoint(Some(name)));
    names
}

/// Removes the checkpoints of versions before `version`, some of which are damaged. Every commit
/// must be there.
pub(super) fn remove_checkpoints_before(folder: &FsPath, storage: &dyn Storage, version: u64) {
    for name in checkpoint_names(folder, storage) {
        let of = name.split('.').next().and_then(|number| number.parse::<u64>().ok());
        if of.is_some_and(|of| of < version)
            && let Err(cause) = storage.remove(&folder.join(LOG_FOLDER).join(&name))
        {
            tracing::warn!(%cause, "a damaged checkpoint is left: {name}");
        }
    }
}

async fn load(
    log: LogStoreRef,
    version: Option<u64>,
) -> std::result::Result<DeltaTable, DeltaTableError> {
    let mut table = DeltaTable::new(log);
    match version {
        Some(version) => table.load_version(version).await?,
        None => table.load().await?,
    }
    Ok(table)
}

/// The state of a table after all that was committed since it was loaded.
pub(super) async fn advance(
    mut table: DeltaTable,
) -> std::result::Result<DeltaTable, DeltaTableError> {
    table.update_incremental(None).await?;
    Ok(table)
}

/// The file of a commit.
pub(super) fn commit_path(folder: &FsPath, version: i64) -> PathBuf {
    folder.join(LOG_FOLDER).join(format!("{version:020}.json"))
}

/// Whether a commit failed because another writer was first.
pub(super) fn lost_the_race(cause: &DeltaTableError) -> bool {
    matches!(
        cause,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction {
                source: TransactionError::MaxCommitAttempts(_)
                    | TransactionError::CommitConflict(_)
                    | TransactionError::VersionAlreadyExists(_),
            }
    )
}

/// An error of the Delta log, in this house's words; one of the disk keeps its kind and help.
pub(super) fn error(folder: &FsPath, cause: &DeltaTableError) -> Error {
    let whole = cause.to_string();
    tracing::debug!(cause = %whole, "a log cannot be used");
    let said = said(&whole);
    let log = folder.join(LOG_FOLDER);
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(cause);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            let io = std::io::Error::new(io.kind(), said);
            return Error::io("cannot use the table's log", log.display(), io);
        }
        source = inner.source();
    }
    let table = folder.file_name().unwrap_or_default().display();
    Error::new(Kind::Store, format!("cannot read the log of table `{table}`: {said}"))
        .at(log.display())
        .apart_from_rows()
        .help(format!(
            "restore the folder from a copy; or delete {}, and run again: the table is computed \
             anew",
            folder.display()
        ))
}

/// Characters of a cause that are shown.
const SAID_MOST: usize = 240;

/// The first line of what a library says, fit for people: a backtrace goes, and of a structure that
/// is written out only the file's name stays.
fn said(cause: &str) -> String {
    let line = cause.lines().next().unwrap_or_default();
    let mut said = match line.split_once("ParsedLogPath {") {
        None => line.to_owned(),
        Some((before, _)) => {
            let names =
                line.split("filename: \"").skip(1).filter_map(|rest| rest.split('"').next());
            let mut files: Vec<&str> = Vec::new();
            for name in names {
                if !files.contains(&name) {
                    files.push(name);
                }
            }
            format!("{before}{}", files.join(" to "))
        }
    };
    if said.chars().count() > SAID_MOST {
        said = said.chars().take(SAID_MOST).collect();
        said.push('…');
    }
    said
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;

    use super::super::storage::{Disk, StoredFile};
    use super::*;

    /// Tells what passes it.
    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<&'static str>>);

    impl Told {
        fn tell(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl Storage for Told {
        fn create_folder(&self, folder: &FsPath) -> std::io::Result<()> {
            Disk.create_folder(folder)
        }
        fn create(&self, path: &FsPath) -> std::io::Result<Box<dyn StoredFile>> {
            self.tell("create");
            Disk.create(path)
        }
        fn rename(&self, from: &FsPath, to: &FsPath) -> std::io::Result<()> {
            self.tell("rename");
            Disk.rename(from, to)
        }
        fn link(&self, from: &FsPath, to: &FsPath) -> std::io::Result<()> {
            Disk.link(from, to)
        }
        fn remove(&self, path: &FsPath) -> std::io::Result<()> {
            Disk.remove(path)
        }
        fn sync_folder(&self, folder: &FsPath) -> std::io::Result<()> {
            self.tell("sync");
            Disk.sync_folder(folder)
        }
        fn list(&self, folder: &FsPath) -> std::io::Result<Vec<String>> {
            Disk.list(folder)
        }
    }

    #[test]
    fn a_file_in_parts_passes_the_storage_too() {
        let dir = tempfile::tempdir().unwrap();
        let told = Arc::new(Told::default());
        let storage: Arc<dyn Storage> = told.clone();
        let files = DurableFiles { files: LocalFileSystem::new(), storage, checkpoints: true };
        let path = dir.path().join("00000000000000000019.checkpoint.parquet");
        let location = Path::from_absolute_path(&path).unwrap();
        let read = runtime::wait(async move {
            let mut upload = files.put_multipart(&location).await.unwrap();
            upload.put_part(vec![1; 6 << 20].into()).await.unwrap();
            upload.put_part(vec![2; 5 << 20].into()).await.unwrap();
            upload.complete().await.unwrap();
            files.get(&location).await.unwrap().bytes().await.unwrap()
        });
        let read = read.unwrap();
        assert_eq!((read.len(), read[0], read[read.len() - 1]), (11 << 20, 1, 2));
        assert_eq!(*told.0.lock().unwrap(), ["create", "rename", "sync"]);
    }

    #[test]
    fn a_cause_is_one_line_without_structures() {
        let path = |version: u64| {
            format!(
                "ParsedLogPath {{ size: 3, filename: \"{version:020}.json\", version: {version} }}"
            )
        };
        let gap = format!("kernel: found gap: {} -> {}", path(0), path(2));
        assert_eq!(
            said(&format!("{gap}: {gap}\n   0: a::frame\n   1: another")),
            "kernel: found gap: 00000000000000000000.json to 00000000000000000002.json"
        );
        assert_eq!(said("Json error: unexpected 'g'\n  0: frame"), "Json error: unexpected 'g'");
        assert_eq!(said(&"ü".repeat(1000)).chars().count(), SAID_MOST + 1);
        assert_eq!(said(""), "");
    }
}
