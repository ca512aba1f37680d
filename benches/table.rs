//! Versions of tables: `cargo bench --bench table`.
//!
//! Opening and publishing after 1,000 commits; one changed row of a million features, and of a
//! million captions and their features by a run. `CLIPMILL_BENCH_ROWS`, `CLIPMILL_BENCH_WIDTH` and
//! `CLIPMILL_BENCH_COMMITS` make it smaller; features take `rows × width × 4` bytes of disk, twice.
//! `cargo bench --bench table -- commits features run` chooses.
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

#[path = "../tests/house/mod.rs"]
mod house;
#[path = "../tests/versions/room.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod room;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use clipmill::base::clock::SystemClock;
use clipmill::base::environment::Environment;
use clipmill::base::files::write_atomic;
use clipmill::base::progress::Silent;
use clipmill::base::{Cancel, Result};
use clipmill::nn::clip::write_random;
use clipmill::run::{Options, RunReport};
use clipmill::table::{CommitNote, Store};
use house::quick_clip;
use room::{Room, Rows, TABLE, row};

/// Rows of a part, as a run makes them.
const PART_ROWS: usize = 4096;

fn setting(name: &str, usual: usize) -> usize {
    let environment = Environment::of_process();
    environment.get(name).and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let made = work();
    (start.elapsed(), made)
}

fn commits() {
    let all = setting("CLIPMILL_BENCH_COMMITS", 1000) as i64;
    let room = Room::new();
    let mut publishing = Vec::new();
    for n in 0..all {
        // one part in ten changes, as in a table that is kept up to date
        let part = room.stage(&Rows::from([row(&n.to_string(), "a caption", 1.0)]));
        let parts = room.store.snapshot(TABLE).unwrap();
        let old = parts.iter().flat_map(|now| now.parts()).next().map(|part| part.path.clone());
        let remove = old.filter(|_| n % 10 != 0).into_iter().collect();
        let (took, version) = timed(|| room.publish(remove, vec![part], CommitNote::default()));
        assert_eq!(version, n);
        publishing.push(took);
    }
    let tail = publishing.split_off(publishing.len().saturating_sub(100));
    let cold: Vec<_> =
        (0..20).map(|_| timed(|| room.again().snapshot(TABLE).unwrap().unwrap()).0).collect();
    let warm: Vec<_> = (0..20).map(|_| timed(|| room.now()).0).collect();
    let (past, versions) = timed(|| room.now().past(None).unwrap().len());
    println!("after {all} commits, {} parts:", room.now().parts().len());
    println!("  opening             {:>10.1?}  (at most 100 ms)", median(cold));
    println!("  opening again       {:>10.1?}", median(warm));
    println!("  publishing, first   {:>10.1?}", median(publishing.into_iter().take(100).collect()));
    println!("  publishing, last    {:>10.1?}", median(tail));
    println!("  history of {versions:<8} {past:>10.1?}");
}

fn features() {
    let rows = setting("CLIPMILL_BENCH_ROWS", 1_000_000);
    let width = setting("CLIPMILL_BENCH_WIDTH", 512);
    let room = Room::new();
    let mut state = 1_u64;
    let mut number = || {
        // Knuth's MMIX generator: bytes that do not compress, as those of features do not
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0
    };
    let mut parts = Vec::new();
    let mut middle = Rows::new();
    for first in (0..rows).step_by(PART_ROWS) {
        let part: Rows = (first..rows.min(first + PART_ROWS))
            .map(|n| {
                let vector = (0..width).map(|_| number()).collect();
                ((format!("{n:010}"), 0), (None, vector))
            })
            .collect();
        parts.push(room.stage(&part));
        if first <= rows / 2 {
            middle = part;
        }
    }
    let (first, _) = timed(|| room.publish(Vec::new(), parts, CommitNote::default()));
    let table: u64 = room.now().parts().iter().map(|part| part.size_bytes).sum();
    let before = room.written.0.load(Ordering::SeqCst);
    let key = middle.keys().next().unwrap().0.clone();
    let now = room.now();
    let old = now.parts().iter().find(|part| {
        let seal = part.seal.as_ref().unwrap();
        seal.min_key[0] == clipmill::table::KeyPart::Text(key.clone())
    });
    let old = old.unwrap().path.clone();
    middle.values_mut().next().unwrap().1[0] = 7.0;
    let (changing, version) = timed(|| {
        let part = room.stage(&middle);
        room.publish(vec![old], vec![part], CommitNote::default())
    });
    let written = room.written.0.load(Ordering::SeqCst) - before;
    let (opening, newest) = timed(|| room.again().snapshot(TABLE).unwrap().unwrap());
    let (comparing, diff) =
        timed(|| room.at(version - 1).diff(&newest, None, &Cancel::new()).unwrap());
    assert_eq!((diff.added, diff.removed, diff.changed), (0, 0, 1));
    println!("{rows} features of {width} numbers, {} parts, {table} bytes:", newest.parts().len());
    println!("  publishing all      {first:>10.1?}");
    println!("  opening             {opening:>10.1?}");
    println!("  one changed row     {changing:>10.1?}");
    let share = written as f64 * 100.0 / table as f64;
    println!("    bytes written     {written:>10}  = {share:.2} %  (at most 1 %)");
    println!("  diff of the two     {comparing:>10.1?}");
}

fn run(folder: &Path) -> Result<RunReport> {
    let file = folder.join("pipeline.toml");
    let text = clipmill::base::files::read_text_capped(&file, 1 << 20)?;
    let pipeline =
        clipmill::definition::parse("pipeline.toml", &text, &Environment::default(), &[])?;
    let plan = clipmill::plan::resolve(&pipeline, &file)?;
    let options = Options {
        cancel: Cancel::new(),
        progress: Arc::new(Silent),
        clock: Arc::new(SystemClock),
        retry_rejects: false,
        only: Vec::new(),
        wait: false,
    };
    clipmill::run::run(&plan, &options)
}

/// Every file below a folder, with size and time.
fn files(folder: &Path, found: &mut BTreeMap<PathBuf, (u64, SystemTime)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let facts = entry.metadata().unwrap();
        if facts.is_dir() {
            files(&entry.path(), found);
        } else {
            found.insert(entry.path(), (facts.len(), facts.modified().unwrap()));
        }
    }
}

/// A table's newest version: parts and bytes.
fn size(store: &Store, table: &str) -> (usize, u64) {
    let now = store.snapshot(table).unwrap().unwrap();
    (now.parts().len(), now.parts().iter().map(|part| part.size_bytes).sum())
}

/// Captions and their features by a run, as a user's: the way from a file to a published version.
fn run_of_captions() {
    let rows = setting("CLIPMILL_BENCH_ROWS", 1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let write = |changed: Option<usize>| {
        write_atomic(&dir.path().join("captions.token"), |to| {
            for n in 0..rows {
                // longer than the other: captions behind it move in the file
                let verb = if changed == Some(n) { "holds another" } else { "shows" };
                let (id, word) = (10_000_000_000 + n as u64 / 5, (n * 7919) % 10_007);
                writeln!(to, "{id}.jpg#{}\tpicture {n} {verb} thing {word} .", n % 5).unwrap();
            }
            Ok(())
        })
        .unwrap();
    };
    let definition = "[pipeline]\nname = \"bench\"\nstore = \"store\"\n\
                      [sources.sentences.flickr]\npaths = \"captions.token\"\n\
                      [models.clip.huggingface]\npath = \"clip\"\n\
                      [stages.captions.read_captions]\nsource = \"sentences\"\n\
                      [stages.caption_features.embed_captions]\n\
                      captions = \"captions\"\nmodel = \"clip\"\n";
    write_atomic(&dir.path().join("pipeline.toml"), |to| {
        to.write_all(definition.as_bytes()).unwrap();
        Ok(())
    })
    .unwrap();
    // features as wide as those of the other table
    let config = quick_clip(setting("CLIPMILL_BENCH_WIDTH", 512));
    write_random(&dir.path().join("clip"), &config, 7, &["a picture shows a thing ."]).unwrap();
    write(None);
    let (first, _) = timed(|| run(dir.path()).unwrap());
    let store = Store::open(&dir.path().join("store"), Arc::new(SystemClock)).unwrap();
    let tables = ["captions", "caption_features"];
    let sizes = tables.map(|table| size(&store, table));
    write(Some(rows / 2));
    let mut before = BTreeMap::new();
    files(store.root(), &mut before);
    let (second, report) = timed(|| run(dir.path()).unwrap());
    println!("{rows} captions and their features by a run:");
    println!("  first run           {first:>10.1?}");
    println!("  one changed caption {second:>10.1?}");
    for (table, (parts, bytes)) in tables.into_iter().zip(sizes) {
        let made = report.tables.iter().find(|made| made.table == table).unwrap();
        assert_eq!((made.computed, made.published), (1, true), "{table}");
        let mut after = BTreeMap::new();
        // parts, log and all else of the table
        files(&store.root().join(table), &mut after);
        let new = after.iter().filter(|(path, facts)| before.get(*path) != Some(facts));
        let written: u64 = new.map(|(_, facts)| facts.0).sum();
        let share = written as f64 * 100.0 / bytes as f64;
        println!("  {table}: {parts} parts, {bytes} bytes");
        println!("    bytes written     {written:>10}  = {share:.2} %  (at most 1 %)");
        assert!(rows < 1_000_000 || share <= 1.0, "{table}: {share} %");
    }
}

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let all: [(&str, fn()); 3] =
        [("commits", commits), ("features", features), ("run", run_of_captions)];
    for (name, measure) in all {
        if chosen.is_empty() || chosen.iter().any(|one| one == name) {
            measure();
        }
    }
}
