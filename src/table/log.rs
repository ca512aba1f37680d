//! The Delta log on disk: reads by `object_store`, durable writes through [`Storage`].

use std::fmt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use deltalake_core::kernel::transaction::TransactionError;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, logstore_with};
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use url::Url;

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
        let bytes: Vec<u8> = payload.iter().flat_map(|chunk| chunk.iter().copied()).collect();
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
            self.storage.create_folder(folder).map_err(failed)?;
        }
        write_durable(self.storage.as_ref(), &path, &bytes, naming).map_err(failed)?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.files.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.files.copy_opts(from, to, options).await
    }
}

/// The log of the table in `folder`, which must be an absolute path.
pub(super) fn log_store(folder: &FsPath, storage: Arc<dyn Storage>) -> Result<LogStoreRef> {
    let url = Url::from_directory_path(folder).map_err(|()| {
        Error::new(Kind::Internal, "is no absolute path, as a table's log needs")
            .at(folder.display())
    })?;
    let files = Arc::new(DurableFiles { files: LocalFileSystem::new(), storage });
    logstore_with(files, &url, StorageConfig::default()).map_err(|cause| error(folder, cause))
}

/// The table's state at `version`, or the newest.
pub(super) async fn load(
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
pub(super) fn error(folder: &FsPath, cause: DeltaTableError) -> Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&cause);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            let kind = io.kind();
            let io = std::io::Error::new(kind, cause.to_string());
            return Error::io("cannot use the table's log", folder.display(), io);
        }
        source = inner.source();
    }
    Error::new(Kind::Store, "cannot read the table's log")
        .at(folder.display())
        .help("if its _delta_log was changed by hand, restore it from a copy")
        .caused_by(cause)
}
