//! One version of a table, whole, as long as its reader holds it.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use deltalake_core::{DeltaTable, DeltaTableError};

use super::folder::Folder;
use super::note::{self, Commit, CommitNote};
use super::part::{Damage, Part, glance, read_again};
use super::read::PartReader;
use super::{log, runtime};
use crate::base::{Cancel, Error, Kind, Result};

/// The table property that names the key's columns, as a JSON list.
pub(super) const KEY_PROPERTY: &str = "clipmill.key";
/// The table property that names the contract.
pub(super) const CONTRACT_PROPERTY: &str = "clipmill.contract";

/// A version of a table. Cheap to clone; what is published later does not change it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    folder: Folder,
    delta: Arc<DeltaTable>,
    version: i64,
    parts: Arc<[Part]>,
    schema: SchemaRef,
    key: Arc<[String]>,
}

impl Snapshot {
    /// The table's version; `None` where there is no table.
    pub(super) fn load(folder: &Folder, version: Option<i64>) -> Result<Option<Self>> {
        if !folder.path().join(log::LOG_FOLDER).is_dir() {
            return Ok(None);
        }
        let wanted = match version {
            Some(version) => Some(u64::try_from(version).map_err(|cause| {
                Error::new(Kind::Usage, format!("there is no version {version}"))
                    .at(folder.table())
                    .caused_by(cause)
            })?),
            None => None,
        };
        let store = log::log_store(folder.path(), folder.shared_storage())?;
        let loaded = runtime::wait(log::load(store, wanted))?;
        let delta = match (loaded, version) {
            (Ok(delta), _) => delta,
            (Err(DeltaTableError::NotATable(_)), None) => return Ok(None),
            (Err(cause), Some(version)) => {
                return Err(Error::new(Kind::Usage, format!("cannot open version {version}"))
                    .at(folder.table())
                    .help("`clipmill history` lists the versions that are there")
                    .caused_by(cause));
            }
            (Err(cause), None) => return Err(log::error(folder.path(), cause)),
        };
        Self::of(folder, delta).map(Some)
    }

    fn of(folder: &Folder, delta: DeltaTable) -> Result<Self> {
        let state = delta.snapshot().map_err(|cause| log::error(folder.path(), cause))?;
        #[expect(deprecated, reason = "the one call that gives tags and statistics as written")]
        let mut parts: Vec<Part> =
            state.log_data().iter().map(|file| Part::from_add(&file.add_action())).collect();
        parts.sort_by(|a, b| a.order().cmp(&b.order()));
        let key = state
            .metadata()
            .configuration()
            .get(KEY_PROPERTY)
            .and_then(|text| serde_json::from_str::<Vec<String>>(text).ok())
            .unwrap_or_default();
        let schema = plain(&state.snapshot().arrow_schema());
        let version = i64::try_from(state.version()).unwrap_or(i64::MAX);
        Ok(Self {
            folder: folder.clone(),
            version,
            parts: parts.into(),
            schema,
            key: key.into(),
            delta: Arc::new(delta),
        })
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        self.folder.table()
    }

    /// The version's number, from 0.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Its parts, in the order they are scanned: by smallest key.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Where the parts are, as absolute paths in the order of [`parts`](Self::parts).
    #[must_use]
    pub fn part_paths(&self) -> Vec<PathBuf> {
        self.parts.iter().map(|part| self.folder.path().join(&part.path)).collect()
    }

    /// Rows in all parts.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// The columns, with unit and meaning in their metadata.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The columns that name a row.
    #[must_use]
    pub fn key(&self) -> &[String] {
        &self.key
    }

    /// What the commit of this version says of itself; `None` where another program wrote it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn note(&self) -> Result<Option<CommitNote>> {
        Ok(self.commit()?.and_then(|commit| commit.note))
    }

    /// The commit of this version; `None` where its entry was cleaned up.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn commit(&self) -> Result<Option<Commit>> {
        note::read(self.folder.path(), self.version)
    }

    /// This version and those before it, newest first, as far back as the log goes and at most
    /// `limit`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn history(&self, limit: Option<usize>) -> Result<Vec<Commit>> {
        let mut commits = Vec::new();
        for version in (0..=self.version).rev().take(limit.unwrap_or(usize::MAX)) {
            match note::read(self.folder.path(), version)? {
                Some(commit) => commits.push(commit),
                None => break,
            }
        }
        Ok(commits)
    }

    /// Every row, part after part, each batch with the number of its part in
    /// [`parts`](Self::parts). `columns` are given in that order; none means all. A batch has
    /// at most 8192 rows, or 1024 where it holds lists.
    ///
    /// # Errors
    /// [`Kind::Query`] for a column that is not there. The iterator ends after its first error:
    /// [`Kind::Store`] where a part is missing or damaged.
    pub fn scan(&self, columns: &[&str]) -> Result<Scan> {
        Ok(Scan {
            schema: self.project(columns)?,
            snapshot: self.clone(),
            part: 0,
            reader: None,
            failed: false,
        })
    }

    /// The rows of one part, as [`scan`](Self::scan) gives them.
    ///
    /// # Errors
    /// As [`scan`](Self::scan) does.
    pub fn scan_part(
        &self,
        part: &Part,
        columns: &[&str],
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let path = self.folder.path().join(&part.path);
        PartReader::open(&path, self.project(columns)?, self.table())
    }

    /// The parts whose files are not as they were written, found by looking at each file's size
    /// and end.
    #[must_use]
    pub fn damaged(&self) -> Vec<Damage> {
        let looked = self.parts.iter().map(|part| {
            let path = self.folder.path().join(&part.path);
            let what = glance(&path, part.size_bytes, part.seal.as_ref())?;
            Some(Damage { path: part.path.clone(), what })
        });
        looked.flatten().collect()
    }

    /// The parts whose files are not as they were written, found by reading all of them again.
    ///
    /// # Errors
    /// When a file cannot be opened for a reason other than damage, or on `cancel`.
    pub fn verify(&self, cancel: &Cancel) -> Result<Vec<Damage>> {
        let mut damages = Vec::new();
        for part in self.parts.iter() {
            cancel.check()?;
            let path = self.folder.path().join(&part.path);
            if let Some(what) = read_again(&path, part.size_bytes, part.seal.as_ref(), cancel)? {
                damages.push(Damage { path: part.path.clone(), what });
            }
        }
        Ok(damages)
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(super) fn delta(&self) -> Arc<DeltaTable> {
        Arc::clone(&self.delta)
    }

    pub(super) fn project(&self, columns: &[&str]) -> Result<SchemaRef> {
        if columns.is_empty() {
            return Ok(self.schema());
        }
        let fields = columns.iter().map(|name| {
            let field = self.schema.fields().find(name).map(|(_, field)| Arc::clone(field));
            field.ok_or_else(|| {
                let names: Vec<_> =
                    self.schema.fields().iter().map(|f| f.name().as_str()).collect();
                Error::new(Kind::Query, format!("there is no column `{name}`"))
                    .at(self.table())
                    .help(format!("its columns are {}", names.join(", ")))
            })
        });
        Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
    }
}

/// Delta keeps each field's metadata as JSON; strings are given as they are.
fn plain(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let metadata = field.metadata().iter().map(|(name, value)| {
            let text = serde_json::from_str::<String>(value).unwrap_or_else(|_| value.clone());
            (name.clone(), text)
        });
        field.as_ref().clone().with_metadata(metadata.collect())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The rows of a version; see [`Snapshot::scan`].
pub struct Scan {
    snapshot: Snapshot,
    schema: SchemaRef,
    part: usize,
    reader: Option<PartReader>,
    failed: bool,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("part", &self.part).finish_non_exhaustive()
    }
}

impl Scan {
    /// The columns of every batch.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn advance(&mut self) -> Result<Option<(usize, RecordBatch)>> {
        loop {
            if self.reader.is_none() {
                let Some(part) = self.snapshot.parts.get(self.part) else { return Ok(None) };
                let path = self.snapshot.folder.path().join(&part.path);
                let schema = Arc::clone(&self.schema);
                self.reader = Some(PartReader::open(&path, schema, self.snapshot.table())?);
            }
            match self.reader.as_mut().and_then(PartReader::next) {
                Some(batch) => return Ok(Some((self.part, batch?))),
                None => {
                    self.reader = None;
                    self.part += 1;
                }
            }
        }
    }
}

impl Iterator for Scan {
    type Item = Result<(usize, RecordBatch)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.transpose()
    }
}
