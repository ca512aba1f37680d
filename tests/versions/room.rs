//! A table that tests write versions of, with a clock they set.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Int32Array, ListArray, RecordBatch, StringArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float32Type, Int32Type};
use clipmill::base::clock::Clock;
use clipmill::plan::contract::{Check, CheckKind, Column, ColumnType, Contract};
use clipmill::table::storage::{Disk, Storage, StoredFile};
use clipmill::table::{Change, CommitNote, Outcome, PartLabel, Snapshot, StagedPart, Store};

pub const TABLE: &str = "features";

/// Text and vector by image and number.
pub type Rows = BTreeMap<(String, i32), (Option<String>, Vec<f32>)>;

/// One row.
pub fn row(id: &str, text: &str, first: f32) -> ((String, i32), (Option<String>, Vec<f32>)) {
    ((id.to_owned(), 0), (Some(text.to_owned()), vec![first, 1.0]))
}

pub fn contract() -> Contract {
    let column = |name: &str, kind, nullable| Column {
        name: name.into(),
        kind,
        nullable,
        unit: String::new(),
        meaning: format!("the {name}"),
    };
    let check = |name: &str, kind| Check { name: name.into(), kind };
    Contract {
        name: TABLE.into(),
        description: "test".into(),
        key: vec!["image_id".into(), "caption_index".into()],
        columns: vec![
            column("image_id", ColumnType::String, false),
            column("caption_index", ColumnType::Int32, false),
            column("text", ColumnType::String, true),
            column("embedding", ColumnType::ListFloat32, false),
        ],
        checks: vec![
            check("key", CheckKind::UniqueKey {}),
            check("numbers", CheckKind::Finite { column: "embedding".into() }),
        ],
    }
}

pub fn batch(rows: &Rows) -> RecordBatch {
    let values: Float32Array =
        rows.values().flat_map(|row| row.1.clone()).collect::<Vec<_>>().into();
    let element = Arc::new(Field::new("element", DataType::Float32, false));
    let offsets = OffsetBuffer::from_lengths(rows.values().map(|row| row.1.len()));
    let list = ListArray::new(element, offsets, Arc::new(values), None);
    RecordBatch::try_from_iter_with_nullable([
        (
            "image_id",
            Arc::new(StringArray::from_iter_values(rows.keys().map(|key| &key.0))) as ArrayRef,
            false,
        ),
        (
            "caption_index",
            Arc::new(rows.keys().map(|key| Some(key.1)).collect::<Int32Array>()),
            false,
        ),
        ("text", Arc::new(rows.values().map(|row| row.0.clone()).collect::<StringArray>()), true),
        ("embedding", Arc::new(list), false),
    ])
    .unwrap()
}

pub fn read(snapshot: &Snapshot) -> Rows {
    let mut rows = Rows::new();
    for batch in snapshot.scan(&[]).unwrap() {
        let (_, batch) = batch.unwrap();
        let (images, texts) =
            (batch.column(0).as_string::<i32>(), batch.column(2).as_string::<i32>());
        let indices = batch.column(1).as_primitive::<Int32Type>();
        let lists: &ListArray = batch.column(3).as_list();
        for at in 0..batch.num_rows() {
            let text = texts.is_valid(at).then(|| texts.value(at).to_owned());
            let vector = lists.value(at).as_primitive::<Float32Type>().values().to_vec();
            let old = rows.insert((images.value(at).to_owned(), indices.value(at)), (text, vector));
            assert!(old.is_none(), "a key comes twice");
        }
    }
    rows
}

/// A clock that stands still until it is set.
#[derive(Debug, Default)]
pub struct Stopped(pub AtomicI64);

impl Clock for Stopped {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Counts the bytes that pass to the disk.
#[derive(Debug, Default, Clone)]
pub struct Counting(pub Arc<AtomicU64>);

struct CountingFile(Box<dyn StoredFile>, Arc<AtomicU64>);

impl Write for CountingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.fetch_add(written as u64, Ordering::SeqCst);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl StoredFile for CountingFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Storage for Counting {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.create_folder(folder)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        Ok(Box::new(CountingFile(Disk.create(path)?, Arc::clone(&self.0))))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.link(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.sync_folder(folder)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        Disk.list(folder)
    }
}

/// A store with one table.
pub struct Room {
    pub dir: tempfile::TempDir,
    pub store: Store,
    pub clock: Arc<Stopped>,
    pub written: Counting,
}

impl Room {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, written) = (Arc::new(Stopped::default()), Counting::default());
        let shared: Arc<dyn Storage> = Arc::new(written.clone());
        let store = Store::create_on(dir.path(), clock.clone() as Arc<dyn Clock>, shared).unwrap();
        Self { dir, store, clock, written }
    }

    /// The same folder, opened by somebody else.
    pub fn again(&self) -> Store {
        Store::open(self.dir.path(), self.clock.clone() as Arc<dyn Clock>).unwrap()
    }

    pub fn stage(&self, rows: &Rows) -> StagedPart {
        let label = PartLabel { fingerprint: "f".into(), unit: "u".into() };
        let mut writer = self.store.part_writer(TABLE, &contract(), label).unwrap();
        writer.write(&batch(rows)).unwrap();
        writer.finish().unwrap()
    }

    /// A version that loses `remove` and has `add`; its number.
    pub fn publish(&self, remove: Vec<String>, add: Vec<StagedPart>, note: CommitNote) -> i64 {
        let expected_version = self.store.snapshot(TABLE).unwrap().map(|now| now.version());
        let reject_counts = BTreeMap::new();
        let change = Change { expected_version, remove, add, note, reject_counts, fidelity: None };
        match self.store.publish(TABLE, &contract(), change).unwrap() {
            Outcome::Published { version, .. } => version,
            Outcome::Broken(breaches) => panic!("{breaches:?}"),
        }
    }

    /// A version with these rows, `part_rows` a part; parts that would be equal to old ones stay.
    pub fn set(&self, rows: &Rows, part_rows: usize) -> i64 {
        let now = self.store.snapshot(TABLE).unwrap();
        let mut remove: Vec<String> =
            now.iter().flat_map(|now| now.parts()).map(|part| part.path.clone()).collect();
        let rows: Vec<_> = rows.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let mut add = Vec::new();
        for chunk in rows.chunks(part_rows) {
            let staged = self.stage(&chunk.iter().cloned().collect());
            let same = now.iter().flat_map(|now| now.parts()).find(|part| {
                part.seal.as_ref().is_some_and(|seal| seal.digest == staged.seal.digest)
            });
            match same {
                Some(same) => {
                    remove.retain(|path| *path != same.path);
                    self.store.discard_staged(TABLE, &[staged]).unwrap();
                }
                None => add.push(staged),
            }
        }
        let note = CommitNote { operation: "test".into(), ..CommitNote::default() };
        self.publish(remove, add, note)
    }

    pub fn now(&self) -> Snapshot {
        self.store.snapshot(TABLE).unwrap().unwrap()
    }

    pub fn at(&self, version: i64) -> Snapshot {
        self.store.snapshot_at(TABLE, version).unwrap()
    }
}
