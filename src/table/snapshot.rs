//! One version of a table, whole, as long as its reader holds it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use deltalake_core::DeltaTable;
use deltalake_core::kernel::Metadata;

use super::damaged;
use super::folder::Folder;
use super::loaded::Loaded;
use super::log;
use super::note::{self, Commit, CommitNote};
use super::part::{Damage, Part, glance, read_again, total_rows};
use super::read::{self, PartReader};
use crate::base::{Cancel, Error, Kind, Result};

/// A version of a table. Cheap to clone; what is published later does not change it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    folder: Folder,
    loaded: Arc<Loaded>,
}

impl Snapshot {
    /// The table's version; `None` where there is no table.
    pub(super) fn load(folder: &Folder, version: Option<i64>) -> Result<Option<Self>> {
        let Some(newest) = folder.newest()? else { return Ok(None) };
        let of = |loaded| Some(Self { folder: folder.clone(), loaded });
        let wanted = version.unwrap_or(newest.version);
        if wanted == newest.version {
            return Ok(of(newest));
        }
        let absent = |why: &str| {
            let last = newest.version;
            Error::new(Kind::Usage, format!("there is no version {wanted}{why}"))
                .at(folder.table())
                .help(format!(
                    "its versions end with {last}; `clipmill history` lists those that are there"
                ))
        };
        let number = u64::try_from(wanted).map_err(|cause| absent("").caused_by(cause))?;
        if wanted > newest.version {
            return Err(absent(""));
        }
        let opened = log::open(folder.path(), &folder.shared_storage(), Some(number))?
            .map_err(|cause| absent(" any more").caused_by(cause))?;
        Ok(of(Arc::new(Loaded::of(folder.path(), opened)?)))
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        self.folder.table()
    }

    /// The version's number, from 0.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.loaded.version
    }

    /// Its parts, in the order they are scanned: by smallest key.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.loaded.parts
    }

    /// Where the parts are, as absolute paths in the order of [`parts`](Self::parts).
    #[must_use]
    pub fn part_paths(&self) -> Vec<PathBuf> {
        self.parts().iter().map(|part| self.folder.path().join(&part.path)).collect()
    }

    /// Rows in all parts.
    #[must_use]
    pub fn rows(&self) -> u64 {
        total_rows(self.parts().iter().map(|part| part.rows))
    }

    /// The columns, with unit and meaning in their metadata.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.loaded.schema)
    }

    /// The columns that name a row.
    #[must_use]
    pub fn key(&self) -> &[String] {
        &self.loaded.key
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
        note::read(self.folder.path(), self.version())
    }

    /// The newest commit, of this version and those before it, that says what clipmill did: what
    /// other programs committed since, such as a compaction, has no note.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn noted_commit(&self) -> Result<Option<Commit>> {
        let mut commits = self.commits();
        commits.find(|commit| !matches!(commit, Ok(commit) if commit.note.is_none())).transpose()
    }

    /// The commits of this version and those before it, newest first, as far back as the log
    /// goes. Each is read when it is asked for.
    pub fn commits(&self) -> impl Iterator<Item = Result<Commit>> + use<> {
        let folder = self.folder.path().to_owned();
        (0..=self.version())
            .rev()
            .map_while(move |version| note::read(&folder, version).transpose())
    }

    /// As [`commits`](Self::commits), at most `limit` of them.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn history(&self, limit: Option<usize>) -> Result<Vec<Commit>> {
        self.commits().take(limit.unwrap_or(usize::MAX)).collect()
    }

    /// The parts whose files are not there any more: vacuumed, where the version is an old one.
    #[must_use]
    pub fn gone(&self) -> Vec<&Part> {
        let there = |part: &&Part| !self.folder.path().join(&part.path).exists();
        self.parts().iter().filter(there).collect()
    }

    /// That every part of an old version is still there to be read.
    ///
    /// # Errors
    /// [`Kind::Store`] when parts were vacuumed.
    pub fn whole(&self) -> Result<()> {
        let (gone, all) = (self.gone().len(), self.parts().len());
        if gone == 0 {
            return Ok(());
        }
        let parts = if all == 1 { "part" } else { "parts" };
        let what = format!(
            "version {} cannot be read any more: {gone} of its {all} {parts} were vacuumed or lost",
            self.version()
        );
        Err(Error::new(Kind::Store, what)
            .at(self.table())
            .help("`clipmill history` says which versions are whole"))
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
    /// and end, and those that are noted since somebody read them whole.
    #[must_use]
    pub fn damaged(&self) -> Vec<Damage> {
        let noted = damaged::known(&self.folder);
        let looked = self.parts().iter().map(|part| {
            let path = self.folder.path().join(&part.path);
            let what = glance(&path, part.size_bytes, part.seal.as_ref());
            let what = what.or_else(|| noted.get(&part.path).cloned())?;
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
        for part in self.parts() {
            cancel.check()?;
            let path = self.folder.path().join(&part.path);
            if let Some(what) = read_again(&path, part.size_bytes, part.seal.as_ref(), cancel)? {
                damages.push(Damage { path: part.path.clone(), what });
            }
        }
        Ok(damages)
    }

    /// The parts that are what was written, found by reading all of them again, and those that are
    /// not; for small tables, which are read whole anyway.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn sort_out(&self, cancel: &Cancel) -> Result<(Vec<&Part>, Vec<&Part>)> {
        let damaged = self.damaged().into_iter().chain(self.verify(cancel)?);
        let damaged: BTreeSet<String> = damaged.map(|damage| damage.path).collect();
        Ok(self.parts().iter().partition(|part| !damaged.contains(&part.path)))
    }

    /// That a part is what was written, found by reading all of it again.
    ///
    /// # Errors
    /// [`Kind::Store`] when it is not; as [`verify`](Self::verify) does.
    pub fn sound(&self, part: &Part, cancel: &Cancel) -> Result<()> {
        let path = self.folder.path().join(&part.path);
        match read_again(&path, part.size_bytes, part.seal.as_ref(), cancel)? {
            Some(what) => Err(read::damaged(&path, what)),
            None => Ok(()),
        }
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(super) fn delta(&self) -> Arc<DeltaTable> {
        Arc::clone(&self.loaded.delta)
    }

    /// Whether a checkpoint of the log is to be written anew.
    pub(super) fn is_replayed(&self) -> bool {
        self.loaded.replayed
    }

    pub(super) fn metadata(&self) -> Option<&Metadata> {
        self.loaded.metadata()
    }

    pub(super) fn project(&self, columns: &[&str]) -> Result<SchemaRef> {
        if columns.is_empty() {
            return Ok(self.schema());
        }
        let fields = columns.iter().map(|name| {
            let field = self.loaded.schema.fields().find(name).map(|(_, field)| Arc::clone(field));
            field.ok_or_else(|| {
                let names: Vec<_> =
                    self.loaded.schema.fields().iter().map(|f| f.name().as_str()).collect();
                Error::new(Kind::Query, format!("there is no column `{name}`"))
                    .at(self.table())
                    .help(format!("its columns are {}", names.join(", ")))
            })
        });
        Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
    }
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
                let Some(part) = self.snapshot.parts().get(self.part) else { return Ok(None) };
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
