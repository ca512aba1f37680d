//! Tables end to end: parts, commits, contracts, locks, faults of the disk.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Int32Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{DataType, Field, Float32Type};
use clipmill::base::clock::{Clock, SystemClock};
use clipmill::base::environment::Environment;
use clipmill::base::{Cancel, Kind};
use clipmill::flow::{Fidelity, RejectClass};
use clipmill::plan::contract::{Check, CheckKind, Column, ColumnType, Contract};
use clipmill::table::storage::{Disk, Storage, StoredFile};
use clipmill::table::{Change, CommitNote, Outcome, PartLabel, Snapshot, StagedPart, Store};

const WIDTH: i32 = 4;

fn contract() -> Contract {
    let column = |name: &str, kind, nullable, unit: &str| Column {
        name: name.into(),
        kind,
        nullable,
        unit: unit.into(),
        meaning: format!("the {name}"),
    };
    let check = |name: &str, kind| Check { name: name.into(), kind };
    Contract {
        name: "features".into(),
        description: "test".into(),
        key: vec!["image_id".into(), "caption_index".into()],
        columns: vec![
            column("image_id", ColumnType::String, false, ""),
            column("caption_index", ColumnType::Int32, false, ""),
            column("text", ColumnType::String, true, ""),
            column("embedding", ColumnType::ListFloat32, false, "unit length"),
        ],
        checks: vec![
            check("key", CheckKind::UniqueKey {}),
            check("numbers", CheckKind::Finite { column: "embedding".into() }),
            check("norm", CheckKind::L2Norm { column: "embedding".into(), min: 0.99, max: 1.01 }),
            check("images", CheckKind::RowsPerImage { min: 1, max: Some(2) }),
            check("refused", CheckKind::RejectShare { max: 0.5, class: None }),
        ],
    }
}

type Row = (String, i32, Option<String>, Vec<f32>);

fn row(image: &str, index: i32) -> Row {
    (image.into(), index, Some(format!("{image} 图 {index}")), vec![0.5; 4])
}

fn batch(rows: &[Row]) -> RecordBatch {
    let values: Float32Array = rows.iter().flat_map(|r| r.3.clone()).collect::<Vec<_>>().into();
    let element = Arc::new(Field::new("item", DataType::Float32, true));
    let list = FixedSizeListArray::new(element, WIDTH, Arc::new(values), None);
    RecordBatch::try_from_iter_with_nullable([
        (
            "image_id",
            Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.0))) as ArrayRef,
            false,
        ),
        ("caption_index", Arc::new(rows.iter().map(|r| Some(r.1)).collect::<Int32Array>()), false),
        ("text", Arc::new(rows.iter().map(|r| r.2.clone()).collect::<StringArray>()), true),
        ("embedding", Arc::new(list), false),
    ])
    .unwrap()
}

fn store(root: &Path) -> Store {
    Store::create(root, Arc::new(SystemClock)).unwrap()
}

fn stage(store: &Store, rows: &[Row], unit: &str) -> StagedPart {
    let label = PartLabel { fingerprint: "f".into(), unit: unit.into() };
    let mut writer = store.part_writer("features", &contract(), label).unwrap();
    writer.write(&batch(rows)).unwrap();
    writer.finish().unwrap()
}

fn change(expected: Option<i64>, remove: &[&str], add: Vec<StagedPart>) -> Change {
    let remove = remove.iter().map(|path| (*path).to_owned()).collect();
    let note = CommitNote { operation: "test".into(), added: 7, ..CommitNote::default() };
    Change {
        expected_version: expected,
        remove,
        add,
        note,
        reject_counts: BTreeMap::new(),
        fidelity: None,
    }
}

fn publish(store: &Store, change: Change) -> Outcome {
    store.publish("features", &contract(), change).unwrap()
}

fn latest(store: &Store) -> Snapshot {
    store.snapshot("features").unwrap().unwrap()
}

fn read(snapshot: &Snapshot) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in snapshot.scan(&[]).unwrap() {
        let (_, batch) = batch.unwrap();
        let images = batch.column(0).as_string::<i32>();
        let indices = batch.column(1).as_primitive::<arrow::datatypes::Int32Type>();
        let texts = batch.column(2).as_string::<i32>();
        let lists: &ListArray = batch.column(3).as_list();
        for at in 0..batch.num_rows() {
            let text = texts.is_valid(at).then(|| texts.value(at).to_owned());
            let vector = lists.value(at).as_primitive::<Float32Type>().values().to_vec();
            rows.push((images.value(at).to_owned(), indices.value(at), text, vector));
        }
    }
    rows
}

#[test]
fn a_version_replaces_another_whole_and_the_old_one_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store with space"));
    assert!(store.snapshot("features").unwrap().is_none());
    assert!(store.tables().unwrap().is_empty());
    let first = stage(&store, &[row("b", 1), row("a", 0), row("b", 0)], "0-2");
    assert_eq!(store.staged("features").unwrap(), std::slice::from_ref(&first));
    let outcome = publish(&store, change(None, &[], vec![first]));
    assert_eq!(outcome, Outcome::Published { version: 0, rows: 3 });
    let old = latest(&store);
    assert_eq!(read(&old), [row("a", 0), row("b", 0), row("b", 1)], "sorted by key");
    assert!(store.staged("features").unwrap().is_empty());
    assert_eq!(store.tables().unwrap(), ["features"]);
    assert_eq!(old.schema(), clipmill::table::arrow_schema(&contract()));
    assert_eq!(old.note().unwrap().unwrap().added, 7);
    assert_eq!(old.parts()[0].label.unit, "0-2");
    assert_eq!(old.key(), contract().key);

    let second = stage(&store, &[row("c", 0)], "3");
    let gone = old.parts()[0].path.clone();
    publish(&store, change(Some(0), &[&gone], vec![second]));
    assert_eq!(read(&latest(&store)), [row("c", 0)]);
    assert_eq!(read(&old).len(), 3);
    assert_eq!(read(&store.snapshot_at("features", 0).unwrap()).len(), 3);
    assert_eq!(latest(&store).history(None).unwrap().len(), 2);
    assert_eq!(store.snapshot_at("features", 9).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn a_log_with_any_numbers_of_rows_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let written = store(dir.path());
    let parts = ["a", "b", "c"].map(|image| stage(&written, &[row(image, 0)], image));
    publish(&written, change(None, &[], parts.into()));
    let log = dir.path().join("features/_delta_log/00000000000000000000.json");
    let text = std::fs::read_to_string(&log).unwrap();
    let (right, wrong) = (r#"\"numRecords\":1"#, format!(r#"\"numRecords\":{}"#, i64::MAX));
    assert_eq!(text.matches(right).count(), 3, "{text}");
    std::fs::write(&log, text.replace(right, &wrong)).unwrap();

    let store = store(dir.path());
    assert_eq!(latest(&store).rows(), u64::MAX);
    assert_eq!(read(&latest(&store)).len(), 3);
    let more = change(Some(0), &[], vec![stage(&store, &[row("d", 0)], "d")]);
    let outcome = publish(&store, more);
    assert_eq!(outcome, Outcome::Published { version: 1, rows: u64::MAX });
}

#[test]
fn a_broken_contract_shows_rows_and_keeps_the_old_version_and_the_parts() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let first = stage(&store, &[row("a", 0)], "0");
    publish(&store, change(None, &[], vec![first]));
    let mut long = row("z", 0);
    long.3 = vec![1.0; 4];
    let mut nan = row("y", 0);
    nan.3[1] = f32::NAN;
    let bad = stage(&store, &[row("a", 0), row("m", 0), row("m", 1), row("m", 2), long, nan], "1");
    let mut wrong = change(Some(0), &[], vec![bad.clone()]);
    wrong.reject_counts = BTreeMap::from([(RejectClass::BadLine, 8)]);
    let Outcome::Broken(breaches) = publish(&store, wrong) else { panic!("published") };
    let shown: Vec<_> = breaches.iter().map(|b| (b.check.as_str(), b.count)).collect();
    assert_eq!(shown, [("key", 2), ("numbers", 1), ("norm", 2), ("images", 1), ("refused", 8)]);
    assert!(breaches[0].rows[0].contains("image_id=a, caption_index=0"), "{:?}", breaches[0]);
    assert!(breaches[2].rows.iter().any(|r| r.contains("norm 2")), "{:?}", breaches[2]);
    assert_eq!(latest(&store).version(), 0);
    assert_eq!(store.staged("features").unwrap(), std::slice::from_ref(&bad));
    store.discard_staged("features", &[bad]).unwrap();
    assert!(store.staged("features").unwrap().is_empty());
}

#[test]
fn a_share_of_rejects_is_bounded_by_class() {
    let bound = |max: f64, class: Option<&str>| {
        let kind = CheckKind::RejectShare { max, class: class.map(str::to_owned) };
        Check { name: format!("{class:?} {max}"), kind }
    };
    let mut contract = contract();
    contract.checks = vec![
        bound(0.2, Some("truncated_image")),
        bound(0.1, Some("truncated_image")), // 2 of 12 are
        bound(0.0, Some("bad_line")),        // 1 of 12 is
        bound(0.0, Some("image_too_large")),
        bound(0.25, None), // 3 of 12 are: at the bound
        bound(0.24, None),
    ];
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let rows: Vec<_> = (0..9).map(|n| row(&format!("i{n}"), 0)).collect();
    let mut change = change(None, &[], vec![stage(&store, &rows, "0")]);
    change.reject_counts =
        BTreeMap::from([(RejectClass::TruncatedImage, 2), (RejectClass::BadLine, 1)]);
    let outcome = store.publish("features", &contract, change).unwrap();
    let Outcome::Broken(breaches) = outcome else { panic!("published") };
    let shown: Vec<_> = breaches.iter().map(|b| (b.check.as_str(), b.count)).collect();
    let broken =
        [("Some(\"truncated_image\") 0.1", 2), ("Some(\"bad_line\") 0", 1), ("None 0.24", 3)];
    assert_eq!(shown, broken);
    assert_eq!(breaches[0].rows, ["truncated_image: 2"]);
    let said = format!("{:?}", breaches[0]);
    assert!(said.contains("at most 10.000 % are rejects of truncated_image; 2 of 12"), "{said}");
}

#[test]
fn features_of_a_reduced_type_stay_near_f32() {
    let bound = |min_cosine, median_cosine, neighbour_overlap| {
        let kind = CheckKind::Fidelity { min_cosine, median_cosine, neighbour_overlap };
        Check { name: format!("{kind:?}"), kind }
    };
    let mut contract = contract();
    contract.checks = vec![
        bound(Some(0.9), Some(0.95), Some(0.8)), // at the bounds
        bound(Some(0.91), None, None),
        bound(None, Some(0.96), Some(0.81)),
    ];
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let measured =
        Fidelity { rows: 256, min_cosine: 0.9, median_cosine: 0.95, neighbour_overlap: 0.8 };
    let mut writer = store
        .part_writer("features", &contract, PartLabel { fingerprint: "f".into(), unit: "0".into() })
        .unwrap()
        .with_fidelity(Some(measured));
    writer.write(&batch(&[row("a", 0)])).unwrap();
    let part = writer.finish().unwrap();
    // What was measured is kept beside rows that no version has yet.
    assert_eq!(store.staged("features").unwrap(), std::slice::from_ref(&part));
    assert_eq!(store.staged("features").unwrap()[0].fidelity, Some(measured));

    let mut with = change(None, &[], vec![part.clone()]);
    with.fidelity = Some(measured);
    let outcome = store.publish("features", &contract, with).unwrap();
    let Outcome::Broken(breaches) = outcome else { panic!("published") };
    let shown: Vec<_> = breaches.iter().map(|b| (b.check.as_str(), b.rows.as_slice())).collect();
    let (least, both) = (&contract.checks[1].name, &contract.checks[2].name);
    let rows = |of: &[&str]| of.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>();
    let (one, two) = (
        rows(&["min_cosine: 0.900000"]),
        rows(&["median_cosine: 0.950000", "neighbour_overlap: 0.800000"]),
    );
    assert_eq!(shown, [(least.as_str(), one.as_slice()), (both.as_str(), two.as_slice())]);
    let said = format!("{:?}", breaches[1]);
    assert!(said.contains("`median_cosine` is at least 0.96, `neighbour_overlap`"), "{said}");
    assert!(said.contains("of 256 rows in the reduced type against f32"), "{said}");

    // f32, or a run that computes no row, has nothing to hold against a bound.
    let outcome = store.publish("features", &contract, change(None, &[], vec![part])).unwrap();
    assert!(matches!(outcome, Outcome::Published { .. }), "{outcome:?}");
}

#[test]
fn who_comes_second_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let part = stage(&store, &[row("a", 0)], "0");
    publish(&store, change(None, &[], vec![part]));
    let other = stage(&store, &[row("b", 0)], "1");
    let late = store.publish("features", &contract(), change(None, &[], vec![other])).unwrap_err();
    assert_eq!(late.kind(), Kind::Busy);
    assert!(late.what().contains("version 0 now") && late.what().contains("`test`"), "{late}");
    assert_eq!(store.staged("features").unwrap().len(), 1);
}

#[test]
fn damage_is_seen_and_a_foreign_folder_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("s"));
    let parts = ["a", "b", "c"].map(|id| stage(&store, &[row(id, 0)], id));
    publish(&store, change(None, &[], parts.to_vec()));
    let now = latest(&store);
    assert!(now.damaged().is_empty() && now.verify(&Cancel::new()).unwrap().is_empty());
    let paths = now.part_paths();
    std::fs::remove_file(&paths[0]).unwrap();
    std::fs::OpenOptions::new().write(true).open(&paths[1]).unwrap().set_len(9).unwrap();
    // as long, but of other rows
    std::fs::copy(&paths[2], dir.path().join("x")).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&paths[2]).unwrap();
    file.write_all(b"PAR2").unwrap();
    let damaged = now.damaged();
    assert_eq!(damaged.len(), 3, "{damaged:?}");
    assert_eq!(now.scan(&[]).unwrap().next().unwrap().unwrap_err().kind(), Kind::Store);

    let foreign = Store::create(dir.path(), Arc::new(SystemClock)).unwrap_err();
    assert!(foreign.what().contains("no store"), "{foreign}");
    let marker = dir.path().join("s/clipmill.json");
    let mut file = std::fs::OpenOptions::new().write(true).truncate(true).open(marker).unwrap();
    file.write_all(b"{\"format\":2}").unwrap();
    let newer = Store::open(&dir.path().join("s"), Arc::new(SystemClock)).unwrap_err();
    assert!(newer.what().contains("format 2"), "{newer}");
}

/// Fails from the `n`-th operation on, tearing the write it fails at.
#[derive(Debug)]
struct Failing {
    left: Arc<AtomicI64>,
}

impl Failing {
    fn step(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
    }
}

struct FailingFile {
    file: Box<dyn StoredFile>,
    storage: Failing,
}

impl Write for FailingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(cause) = self.storage.step() {
            let _ = self.file.write(&bytes[..bytes.len() / 2]);
            return Err(cause);
        }
        self.file.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl StoredFile for FailingFile {
    fn sync(&mut self) -> io::Result<()> {
        self.storage.step()?;
        self.file.sync()
    }
}

impl Storage for Failing {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        Disk.create_folder(folder)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        self.step()?;
        let storage = Failing { left: Arc::clone(&self.left) };
        Ok(Box::new(FailingFile { file: Disk.create(path)?, storage }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        Disk.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        Disk.link(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.remove(path)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        Disk.sync_folder(folder)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.step()?;
        Disk.list(folder)
    }
}

/// Computes what a run would: uses what is staged, computes what is not, publishes.
fn attempt(store: &Store) -> clipmill::base::Result<()> {
    let wanted = [("0", vec![row("a", 0)]), ("1", vec![row("b", 0), row("b", 1)])];
    let mut add = store.staged("features")?;
    for (unit, rows) in wanted {
        if !add.iter().any(|part| part.label.unit == unit) {
            let label = PartLabel { fingerprint: "f".into(), unit: unit.into() };
            let mut writer = store.part_writer("features", &contract(), label)?;
            writer.write(&batch(&rows))?;
            add.push(writer.finish()?);
        }
    }
    let base = store.snapshot("features")?.expect("made before");
    if base.parts().iter().any(|part| part.label.unit == "1") {
        return Ok(());
    }
    let old = base.parts()[0].path.clone();
    store.publish("features", &contract(), change(Some(base.version()), &[&old], add)).map(drop)
}

#[test]
fn a_disk_that_fails_at_any_operation_leaves_the_old_version_or_the_new_one() {
    let new = [row("a", 0), row("b", 0), row("b", 1)];
    let old = [row("old", 0)];
    for n in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let sound = store(dir.path());
        let part = stage(&sound, &old, "old");
        publish(&sound, change(None, &[], vec![part]));
        let left = Arc::new(AtomicI64::new(n));
        let failing = Arc::new(Failing { left: Arc::clone(&left) });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let result = Store::open_on(dir.path(), clock, failing).and_then(|store| attempt(&store));
        let now = read(&latest(&sound));
        assert!(now == old || now == new, "operation {n}: {now:?}");
        assert!(result.is_err() || now == new, "operation {n}: said it was done");
        if let Err(error) = &result {
            assert_eq!(error.kind(), Kind::Io, "operation {n}: {error}");
            assert!(error.help_text().unwrap_or_default().contains("disk is full"), "{error:?}");
        }
        attempt(&sound).unwrap();
        assert_eq!(read(&latest(&sound)), new, "operation {n}: second try");
        assert!(latest(&sound).verify(&Cancel::new()).unwrap().is_empty());
        if left.load(Ordering::SeqCst) >= 0 {
            assert!(n > 20, "the seam is used");
            return;
        }
    }
}

#[test]
fn the_names_of_a_new_store_and_of_the_folders_above_it_are_synced() {
    let dir = tempfile::tempdir().unwrap();
    let operations = |root: &str| {
        let left = Arc::new(AtomicI64::new(100));
        let failing = Arc::new(Failing { left: Arc::clone(&left) });
        Store::create_on(&dir.path().join(root), Arc::new(SystemClock), failing).unwrap();
        100 - left.load(Ordering::SeqCst)
    };
    let there = operations("");
    assert_eq!(operations("new/store") - there, 2);
    assert_eq!(operations("new/other") - there, 1);
    assert_eq!(operations("new/other"), 0);
}

const COMMITS: i32 = 40;

/// Run by the test below in three processes; does nothing where no store is named.
#[test]
fn one_of_three_writers() {
    let environment = Environment::of_process();
    let Some(root) = environment.get("CLIPMILL_TEST_STORE") else { return };
    let me = environment.get("CLIPMILL_TEST_WRITER").unwrap();
    let store = Store::open(Path::new(root), Arc::new(SystemClock)).unwrap();
    for n in 0..COMMITS {
        let part = stage(&store, &[row(&format!("{me}-{n}"), 0)], &format!("{me}-{n}"));
        let _lock = store.lock(true, &Cancel::new()).unwrap();
        let base = store.snapshot("features").unwrap().map(|now| now.version());
        let outcome = publish(&store, change(base, &[], vec![part]));
        assert!(matches!(outcome, Outcome::Published { .. }), "{outcome:?}");
    }
}

#[test]
fn three_processes_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let writers: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|writer| {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "one_of_three_writers"])
                .env("CLIPMILL_TEST_STORE", dir.path())
                .env("CLIPMILL_TEST_WRITER", writer)
                .spawn()
                .unwrap()
        })
        .collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let now = latest(&store);
    assert_eq!(now.version(), i64::from(3 * COMMITS - 1));
    assert_eq!((now.rows(), read(&now).len()), (120, 120));
    assert_eq!(now.history(None).unwrap().len(), 120);
    let log = std::fs::read_dir(dir.path().join("features/_delta_log")).unwrap();
    let names = log.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().any(|name| name.contains("checkpoint.parquet")), "no checkpoint");
    assert!(now.parts().iter().all(|part| part.seal.is_some()), "seals outlive a checkpoint");
}

#[test]
fn a_point_look_up_finds_its_rows_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let rows: Vec<Row> = (0..20_000).map(|n| row(&format!("{n:06}"), n % 2)).collect();
    let parts = rows.chunks(10_000).map(|rows| stage(&store, rows, &rows[0].0)).collect();
    publish(&store, change(None, &[], parts));
    let now = latest(&store);
    for wanted in [0, 8191, 8192, 10_000, 19_999] {
        let found = now.lookup(&format!("{wanted:06}"), &["image_id", "embedding"]).unwrap();
        let texts: Vec<_> = found.iter().flat_map(|b| b.column(0).as_string::<i32>()).collect();
        assert_eq!(texts, [Some(format!("{wanted:06}").as_str())]);
    }
    assert!(now.lookup("000000x", &[]).unwrap().is_empty());
    assert_eq!(now.lookup("0", &["nope"]).unwrap_err().kind(), Kind::Query);
}

#[test]
fn deltalake_polars_and_duckdb_read_what_was_written() {
    let environment = Environment::of_process();
    let Some(python) = environment.get("CLIPMILL_PYTHON") else {
        eprintln!("skipped: CLIPMILL_PYTHON names no Python with deltalake, polars and duckdb");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut rows: Vec<Row> = (0..300).map(|n| row(&format!("{:04}", n / 2), n % 2)).collect();
    rows[7].2 = None;
    let gone = stage(&store, &[row("gone", 0)], "gone");
    publish(&store, change(None, &[], vec![gone]));
    let old = latest(&store).parts()[0].path.clone();
    let parts = rows.chunks(200).map(|rows| stage(&store, rows, &rows[0].0)).collect();
    publish(&store, change(Some(0), &[&old], parts));
    assert_eq!(read(&latest(&store)), rows);
    let expected = serde_json::json!({
        "types": {
            "image_id": "string",
            "caption_index": "int32",
            "text": "string",
            "embedding": "list<element: float>",
        },
        "rows": rows,
    });
    let path = dir.path().join("expected.json");
    clipmill::base::files::write_atomic(&path, |file| {
        serde_json::to_writer(file, &expected).unwrap();
        Ok(())
    })
    .unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/delta_readers.py");
    let output = std::process::Command::new(python)
        .arg(script)
        .arg(dir.path().join("features"))
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"rows\": 300"));
}
