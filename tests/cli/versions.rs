//! History, diff, restore, vacuum, verify, and queries over old versions.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use clipmill::base::Cancel;
use clipmill::base::clock::SystemClock;
use clipmill::plan::contract::{TableKind, builtin};
use clipmill::table::{Change, CommitNote, Outcome, PartLabel, Store, arrow_schema};
use serde_json::Value;
use tempfile::TempDir;

use super::shop::{clipmill, code, make, object, run_in, stderr, stdout};

const IMAGES: usize = 24;

fn ask(command: &str, place: &Path, more: &[&str]) -> Output {
    clipmill().arg(command).arg(place).args(more).output().unwrap()
}

fn told(command: &str, place: &Path, more: &[&str]) -> Value {
    let out = ask(command, place, &[more, &["--format", "json"]].concat());
    assert_eq!(code(&out), 0, "{}{}", stdout(&out), stderr(&out));
    object(&out)
}

fn store(dir: &TempDir) -> PathBuf {
    dir.path().join("store")
}

/// A demo, and a second run that draws other splits.
fn changed_captions() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), IMAGES, 0);
    let out = run_in(
        dir.path(),
        &["--set", "stages.captions.split={train=0.5, val=0.25, test=0.25, seed=9}"],
    );
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    dir
}

#[test]
fn history_diff_and_restore_of_a_change_of_settings() {
    let dir = changed_captions();
    let place = dir.path().join("pipeline.toml");
    let history = told("history", &place, &["captions"]);
    let versions = history["tables"]["captions"].as_array().unwrap();
    assert_eq!(versions.len(), 2);
    let (newest, first) = (&versions[0], &versions[1]);
    assert_eq!((&newest["version"], &newest["operation"]), (&1.into(), &"read_captions".into()));
    assert_eq!(first["reasons"]["new"], first["rows"]);
    let changed = newest["reasons"]["content_changed"].as_u64().unwrap();
    assert!(changed > 0 && newest["changed"] == changed, "{newest}");
    assert_eq!(newest["inputs"]["images"], 0);
    assert!(newest["at"].as_str().unwrap().ends_with('Z') && newest["whole"] == true);
    let all = told("history", &store(&dir), &["--limit", "1"]);
    assert_eq!(all["tables"].as_object().unwrap().len(), 6);
    let models = &all["tables"]["image_features"][0]["model"];
    assert_eq!(models.as_str().unwrap().len(), 64);

    let diff = told("diff", &place, &["captions", "0..1"]);
    assert_eq!((&diff["added"], &diff["removed"]), (&0.into(), &0.into()));
    assert_eq!(diff["changed"], changed);
    assert_eq!(diff["columns"]["split"], changed);
    assert_eq!(diff["rows"].as_array().unwrap().len() as u64, changed);
    let cell = &diff["rows"][0]["columns"]["split"];
    assert_ne!(cell["before"], cell["after"]);
    let few = ask("diff", &place, &["captions", "0..", "--limit", "2"]);
    assert!(stdout(&few).contains(&format!("{changed} changed")), "{}", stdout(&few));
    assert!(stdout(&few).contains("more rows") && stdout(&few).contains('→'), "{}", stdout(&few));

    let restored = told("restore", &place, &["captions", "0"]);
    assert_eq!((&restored["version"], &restored["changed"]), (&2.into(), &changed.into()));
    assert_eq!(told("diff", &place, &["captions", "0..2"])["changed"], 0);
    assert_eq!(told("restore", &place, &["captions", "0"])["published"], false);
    let newest = &told("history", &place, &["captions"])["tables"]["captions"][0].clone();
    assert_eq!((&newest["operation"], &newest["inputs"]["images"]), (&"restore".into(), &0.into()));
    // the definition as it is on disk made version 0: there is nothing to compute
    let again = run_in(dir.path(), &[]);
    assert_eq!(object(&again)["tables"]["captions"]["computed"], 0, "{}", stdout(&again));
    assert_eq!(object(&again)["tables"]["captions"]["version"], 2);
}

#[test]
fn queries_read_old_versions_and_say_which_there_are_not() {
    let dir = changed_captions();
    let place = store(&dir);
    let sql = "SELECT split, COUNT(*) AS n FROM captions GROUP BY split ORDER BY split";
    let at = |more: &[&str]| ask("query", &place, &[&[sql, "--format", "csv"], more].concat());
    let (old, new) = (at(&["--at", "0"]), at(&[]));
    assert_eq!(code(&old), 0, "{}", stderr(&old));
    assert_ne!(stdout(&old), stdout(&new));
    assert_eq!(stdout(&at(&["--at", "captions=0"])), stdout(&old));
    assert_eq!(stdout(&at(&["--at", "captions=1", "--at", "images=0"])), stdout(&new));
    for (more, number, said) in [
        (&["--at", "7"][..], 3, "no version 7"),
        (&["--at", "nope=0"], 3, "no table 'nope'"),
        (&["--at", "captions=x"], 3, "TABLE=VERSION"),
        (&["--at", "captions=-1"], 3, "TABLE=VERSION"),
    ] {
        let out = at(more);
        assert_eq!(code(&out), number, "{more:?}: {}", stderr(&out));
        assert!(stderr(&out).contains(said), "{more:?}: {}", stderr(&out));
    }
    let two = "SELECT 1 FROM captions c JOIN images i ON c.image_id = i.image_id";
    let out = ask("query", &place, &[two, "--at", "0"]);
    assert_eq!(code(&out), 3, "{}", stderr(&out));
    assert!(stderr(&out).contains("--at captions=0"), "{}", stderr(&out));

    let dry = told("vacuum", &place, &["--older-than", "0s", "--dry-run"]);
    assert!(dry["freed_bytes"].as_u64().unwrap() > 0, "{dry}");
    assert_eq!(stdout(&at(&["--at", "0"])), stdout(&old), "a dry run deletes nothing");
    assert_eq!(told("vacuum", &place, &[])["freed_bytes"], 0, "all of it is younger than 7 days");
    let done = told("vacuum", &place, &["--older-than", "0s"]);
    assert_eq!((&done["freed_bytes"], &done["dry_run"]), (&dry["freed_bytes"], &false.into()));
    assert_eq!(stdout(&at(&[])), stdout(&new));
    let out = at(&["--at", "0"]);
    assert_eq!(code(&out), 1);
    assert!(stderr(&out).contains("vacuumed"), "{}", stderr(&out));
    let out = ask("restore", &place, &["captions", "0"]);
    assert_eq!(code(&out), 1);
    assert!(stderr(&out).contains("vacuumed"), "{}", stderr(&out));
    assert!(stdout(&ask("history", &place, &["captions"])).contains("0 (vacuumed)"));
    let verified = told("verify", &dir.path().join("pipeline.toml"), &[]);
    assert_eq!(verified["faults"], Value::Array(Vec::new()));
}

#[test]
fn who_holds_the_store_is_in_nobodys_way() {
    let dir = changed_captions();
    let held = Store::open(&store(&dir), Arc::new(SystemClock)).unwrap();
    let lock = held.lock(false, &Cancel::new()).unwrap();
    for (command, more) in [("vacuum", &["--older-than", "0s"][..]), ("restore", &["images", "0"])]
    {
        let out = ask(command, &store(&dir), more);
        assert_eq!(code(&out), 1, "{command}");
        assert!(stderr(&out).contains("is being written by process"), "{}", stderr(&out));
    }
    assert_eq!(code(&ask("vacuum", &store(&dir), &["--dry-run"])), 0);
    drop(lock);
    assert_eq!(code(&ask("vacuum", &store(&dir), &["--older-than", "0s"])), 0);
    for wrong in [&["--older-than", "7"][..], &["--older-than", "x"], &["nope"]] {
        assert_eq!(code(&ask("vacuum", &store(&dir), wrong)), 3, "{wrong:?}");
    }
    for wrong in ["3", "a..b", "0..9"] {
        assert_eq!(code(&ask("diff", &store(&dir), &["images", wrong])), 3, "{wrong}");
    }
}

#[test]
fn a_set_changes_the_definition_that_a_store_remembers_and_is_refused_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), 10, 1);
    let place = store(&dir);
    let sql = "SELECT cosine(embedding, clip_text('a star')) AS s FROM image_features";
    let vectors = |more: &[&str]| ask("query", &place, &[&[sql], more].concat());
    assert_eq!(code(&vectors(&[])), 0);
    let out = vectors(&["--set", "models.clip.path=nowhere"]);
    assert_eq!(code(&out), 1, "{}", stdout(&out));
    assert!(stderr(&out).contains("nowhere"), "{}", stderr(&out));

    let built_in = include_str!("../../schemas/image_features.toml");
    let check = "\n[checks.two_long.l2_norm]\ncolumn = \"embedding\"\nmin = 1.9\nmax = 2.1\n";
    std::fs::write(dir.path().join("strict.toml"), format!("{built_in}{check}")).unwrap();
    let strict = ["image_features", "--set", "stages.image_features.contract=strict.toml"];
    let out = ask("verify", &place, &strict);
    assert_eq!(code(&out), 1, "{}", stdout(&out));
    assert!(stdout(&out).contains("two_long"), "{}", stdout(&out));
    let out = ask("history", &place, &["--set", "stages.nope.batch_size=1"]);
    assert_eq!(code(&out), 1, "{}", stdout(&out));
    assert!(stderr(&out).contains("nope"), "{}", stderr(&out));

    std::fs::remove_file(place.join("_clipmill/definition.json")).unwrap();
    let set = ["--set", "stages.image_features.batch_size=1"];
    for (command, more) in [
        ("query", &["SELECT 1 AS one FROM images"][..]),
        ("history", &[]),
        ("diff", &["images", "0..0"]),
        ("restore", &["images", "0"]),
        ("vacuum", &["--dry-run"]),
        ("verify", &[]),
    ] {
        let plain = ask(command, &place, more);
        assert_eq!(code(&plain), 0, "{command}: {}", stderr(&plain));
        let out = ask(command, &place, &[more, &set].concat());
        assert_eq!(code(&out), 3, "{command}: {}", stderr(&out));
        assert!(stderr(&out).contains("--set has no definition to change"), "{}", stderr(&out));
    }
    let out = ask("export-checkpoint", &place, &[&["-o", "x"][..], &set].concat());
    assert_eq!(code(&out), 3, "{}", stderr(&out));
}

/// Gives the store a table `metrics` with one number, whatever its contract says of it.
fn measure(store: &Store, value: f64) {
    let mut contract = builtin(TableKind::Metrics).unwrap();
    contract.checks.clear();
    let schema = arrow_schema(&contract);
    let column = |name: &str| -> ArrayRef {
        match name {
            "step" => Arc::new(Int64Array::from(vec![1])),
            "epoch" => Arc::new(Int32Array::from(vec![1])),
            "value" => Arc::new(Float64Array::from(vec![value])),
            "time" => Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC")),
            text => Arc::new(StringArray::from(vec![text])),
        }
    };
    let columns = schema.fields().iter().map(|field| column(field.name())).collect();
    let label = PartLabel { fingerprint: "f".into(), unit: String::new() };
    let mut writer = store.part_writer("metrics", &contract, label).unwrap();
    writer.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
    let change = Change {
        expected_version: store.snapshot("metrics").unwrap().map(|found| found.version()),
        remove: Vec::new(),
        add: vec![writer.finish().unwrap()],
        note: CommitNote::default(),
        reject_counts: std::collections::BTreeMap::new(),
        fidelity: None,
    };
    let outcome = store.publish("metrics", &contract, change).unwrap();
    assert!(matches!(outcome, Outcome::Published { .. }), "{outcome:?}");
}

#[test]
fn verify_holds_metrics_against_their_contract() {
    for (value, faults) in [(0.5, 0), (f64::NAN, 1)] {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), 8, 1);
        measure(&Store::open(&store(&dir), Arc::new(SystemClock)).unwrap(), value);
        let out = ask("verify", &store(&dir), &["metrics", "--format", "json"]);
        assert_eq!(code(&out), faults, "{}{}", stdout(&out), stderr(&out));
        let said = object(&out);
        assert_eq!(said["tables"]["metrics"]["faults"], faults, "{said}");
        assert_eq!(stdout(&out).contains("value_is_finite"), faults > 0, "{said}");
    }
}

#[test]
fn verify_reads_tables_sources_and_kept_digests() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), IMAGES, 0);
    let place = dir.path().join("pipeline.toml");
    let sound = told("verify", &place, &[]);
    assert_eq!(sound["inputs"]["archives"], 1);
    assert_eq!(sound["inputs"]["members"], IMAGES as u64);
    assert!(sound["inputs"]["files"].as_u64().unwrap() > 0, "{sound}");
    assert_eq!(sound["tables"]["images"]["rows"], IMAGES as u64);
    assert!(stdout(&ask("verify", &store(&dir), &[])).contains("as it was written"));

    // a bit of a part
    let held = Store::open(&store(&dir), Arc::new(SystemClock)).unwrap();
    let part = held.snapshot("images").unwrap().unwrap().part_paths()[0].clone();
    let bytes = std::fs::read(&part).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&part).unwrap();
    file.seek(SeekFrom::Start(20)).unwrap();
    file.write_all(&[bytes[20] ^ 4]).unwrap();
    drop(file);
    let out = ask("verify", &store(&dir), &["images", "--format", "json"]);
    assert_eq!(code(&out), 1, "{}", stderr(&out));
    let faults = object(&out)["faults"].clone();
    assert_eq!(faults.as_array().unwrap().len(), 1, "{faults}");
    assert_eq!(faults[0]["place"], part.display().to_string());
    assert_eq!(code(&ask("verify", &store(&dir), &["captions"])), 0);
    std::fs::write(&part, bytes).unwrap();
    assert_eq!(code(&ask("verify", &place, &[])), 0);

    // a kept digest that is not of these bytes
    let digests = store(&dir).join("_clipmill/digests.json");
    let kept = std::fs::read_to_string(&digests).unwrap();
    let mut forged: Value = serde_json::from_str(&kept).unwrap();
    let file = forged["files"].as_object_mut().unwrap().values_mut().next().unwrap();
    file["blake3"] = "ab".repeat(32).into();
    std::fs::write(&digests, forged.to_string()).unwrap();
    let out = ask("verify", &place, &[]);
    assert_eq!(code(&out), 1, "{}", stdout(&out));
    assert!(stdout(&out).contains("others than its kept digest"), "{}", stdout(&out));
    std::fs::write(&digests, kept).unwrap();

    // bytes inside the archive that nothing cheap shows: same size, same time, and of a member
    // that is not among those which are looked at where an index says that all is as it was
    let archive = dir.path().join("flickr30k-images.tar");
    let facts = std::fs::metadata(&archive).unwrap();
    let mut bytes = std::fs::read(&archive).unwrap();
    let mut contents =
        (0..bytes.len()).step_by(512).filter(|at| bytes[*at..].starts_with(b"\xff\xd8\xff"));
    let second = contents.nth(1).unwrap();
    bytes[second + 1000] ^= 1;
    std::fs::write(&archive, &bytes).unwrap();
    let file = std::fs::OpenOptions::new().append(true).open(&archive).unwrap();
    file.set_modified(facts.modified().unwrap()).unwrap();
    // the time of the change of the inode cannot be set back: the index is told the new one
    let index = std::fs::read_dir(store(&dir).join("_clipmill/index")).unwrap().next().unwrap();
    let index = index.unwrap().path();
    let mut kept = std::fs::read(&index).unwrap();
    let meta = std::fs::metadata(&archive).unwrap();
    let stamp = {
        use std::os::unix::fs::MetadataExt as _;
        [
            meta.size(),
            meta.mtime() as u64,
            meta.mtime_nsec() as u64,
            meta.ctime() as u64,
            meta.ctime_nsec() as u64,
            meta.ino(),
        ]
    };
    let at = b"clipmill members 3\n".len();
    for (n, field) in stamp.iter().enumerate() {
        kept[at + n * 8..at + n * 8 + 8].copy_from_slice(&field.to_le_bytes());
    }
    let body = kept.len() - 32;
    let sum = clipmill::base::Digest::of(&kept[..body]);
    kept[body..].copy_from_slice(sum.as_bytes());
    std::fs::write(&index, kept).unwrap();
    let out = ask("verify", &place, &["--format", "json"]);
    assert_eq!(code(&out), 1, "{}", stdout(&out));
    let faults = object(&out)["faults"].clone();
    assert_eq!(faults.as_array().unwrap().len(), 1, "{faults}");
    assert!(faults[0]["what"].as_str().unwrap().contains("kept index is wrong"), "{faults}");
}
