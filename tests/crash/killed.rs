//! `kill -9` at random moments, several in a row.

use std::path::Path;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::binary;
use super::house::told;
use super::shapes::{Packing, Plan, Shape};
use super::tables;

/// Rows that are in flight when a run dies: those of an open part; the batches that wait for the
/// writer, the one it has and the one in the model.
const WAITING_BATCHES: u64 = 10;
const BATCH_ROWS: u64 = 2;
/// Between two looks at a store: short beside the sync of a file.
const LOOKS: Duration = Duration::from_micros(200);

pub const PLAN: Plan =
    Plan { packing: Packing::Tar, before: 8, after: 30, bad: false, captions: false, part_rows: 4 };

/// When to kill.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after the start.
    After(Duration),
    /// As soon as the store's folder changed for the n-th time: a part, a manifest, a commit, or
    /// a temporary file of one of them came or went.
    Change(usize),
    /// As soon as so many image features were computed since the log was begun.
    Computed(u64),
}

/// Names and sizes of all files of a store.
fn look(folder: &Path, found: &mut Vec<(std::path::PathBuf, u64)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => look(&path, found),
            Ok(meta) => found.push((path, meta.len())),
            Err(_) => {}
        }
    }
}

/// Starts a run and kills it at the moment; whether the kill came before the end.
fn disturb(shape: &Shape, moment: Moment, more: &[&str]) -> bool {
    let begun = Instant::now();
    let mut child = binary::run(shape.house.dir.path(), more).spawn().unwrap();
    match moment {
        Moment::After(wait) => std::thread::sleep(wait.saturating_sub(begun.elapsed())),
        Moment::Computed(rows) => {
            let features = || binary::computed(shape.house.dir.path()).remove("image_features");
            while features().unwrap_or(0) < rows && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Moment::Change(number) => {
            let (mut before, mut changes) = (Vec::new(), 0);
            look(&shape.store(), &mut before);
            while changes < number && child.try_wait().unwrap().is_none() {
                let mut now = Vec::new();
                look(&shape.store(), &mut now);
                if now != before {
                    before = now;
                    changes += 1;
                }
                // The run that is watched needs the cores too.
                std::thread::sleep(LOOKS);
            }
        }
    }
    binary::kill(&mut child)
}

/// Kills `kills` runs, up to three of them in a row, and lets one complete after each row.
fn survive(name: &str, plan: Plan, kills: usize, seed: u64, more: &[&str], processes: u64) {
    let shape = Shape::new(plan);
    let folder = shape.house.dir.path();
    let begun = Instant::now();
    binary::complete(folder, more);
    let length = begun.elapsed();
    tables::assert_same(&tables::read(&shape.store()), &shape.new, name);
    let mut files = Vec::new();
    look(&shape.store(), &mut files);
    let changes = files.len() * 3;

    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut killed = 0;
    let mut rows = 0;
    while killed < kills {
        rows += 1;
        assert!(rows <= 4 * kills, "{name}: only {killed} of {rows} rows of kills came in time");
        shape.reset();
        binary::forget(folder);
        let in_a_row = random.random_range(1..=3).min(kills - killed);
        let mut here = 0;
        for _ in 0..in_a_row {
            let moment = if random.random_bool(0.5) {
                Moment::After(length.mul_f64(random.random_range(0.05..0.95)))
            } else {
                Moment::Change(random.random_range(1..=changes))
            };
            if disturb(&shape, moment, more) {
                here += 1;
            }
            let when = format!("{name}, {moment:?}, row {rows}");
            tables::assert_whole(&tables::read(&shape.store()), &shape.old, &shape.new, &when);
        }
        binary::complete(folder, more);
        let when = format!("{name}, after row {rows}");
        tables::assert_same(&tables::read(&shape.store()), &shape.new, &when);
        told::check_all(&shape.house);
        assert_bound(&shape, plan, here as u64, processes, &when);
        let again = binary::complete(folder, more);
        for (table, made) in again["tables"].as_object().unwrap() {
            assert_eq!(made["published"], false, "{when}: {table} was published again");
        }
        killed += here;
    }
}

/// Rows that a kill may cost.
fn in_flight(plan: Plan) -> u64 {
    plan.part_rows as u64 + WAITING_BATCHES * BATCH_ROWS
}

/// At most what was in flight was computed twice.
fn assert_bound(shape: &Shape, plan: Plan, kills: u64, processes: u64, when: &str) {
    let in_flight = in_flight(plan);
    let computed = binary::computed(shape.house.dir.path());
    for table in ["image_features", "caption_features"] {
        let Some(needed) = shape.computed.get(table) else { continue };
        let rows = computed.get(table).copied().unwrap_or(0);
        assert!(rows >= *needed, "{when}: {table}: {rows} rows were computed, not {needed}");
        let most = needed + kills * processes * in_flight;
        assert!(rows <= most, "{when}: {table}: {rows} of {needed} rows computed, {kills} kills");
    }
}

#[test]
fn a_tar_with_rejects() {
    survive("tar", Plan { bad: true, ..PLAN }, 10, 1, &[], 1);
}

#[test]
fn a_stream() {
    survive("tar.gz", Plan { packing: Packing::TarGz, bad: true, ..PLAN }, 10, 2, &[], 1);
}

#[test]
fn a_folder() {
    survive("folder", Plan { packing: Packing::Folder, ..PLAN }, 10, 3, &[], 1);
}

#[test]
fn several_archives_and_no_store() {
    let plan = Plan { packing: Packing::Several, before: 0, bad: true, ..PLAN };
    survive("several", plan, 10, 4, &[], 1);
}

#[test]
fn captions_their_features_and_examples() {
    let plan = Plan { packing: Packing::TarGz, captions: true, bad: true, ..PLAN };
    survive("captions", plan, 10, 5, &[], 1);
}

#[test]
fn two_processes() {
    let plan = Plan { packing: Packing::Several, captions: true, bad: true, ..PLAN };
    survive("two processes", plan, 10, 6, &["--jobs", "2"], 2);
}

/// Rows that the killed run made are new or changed for the reason for which it made them.
#[test]
fn new_weights_of_a_killed_run_are_why_the_next_changes_rows() {
    let shape = Shape::new(Plan { before: 0, after: 120, ..PLAN });
    let folder = shape.house.dir.path();
    let new = shape.computed["image_features"];
    for (weights, note) in [
        (None, format!("+{new} -0 ~0: new {new}")),
        (Some(11), format!("+0 -0 ~{new}: weights_changed {new}")),
    ] {
        let killed = (0..5).any(|again| {
            match weights {
                None => shape.reset(),
                Some(seed) => shape.house.model(seed + again),
            }
            binary::forget(folder);
            disturb(&shape, Moment::Computed(40), &[])
        });
        assert!(killed, "{weights:?}: every run ended before its kill");
        let made = &binary::complete(folder, &[])["tables"]["image_features"];
        assert!(made["resumed"].as_u64().unwrap() > 0, "{weights:?}: {made}");
        assert_eq!(told::newest(&shape.house, "image_features"), note);
        told::check_all(&shape.house);
    }
}

/// A run that is long against what a kill may cost: one that began anew would be seen at once.
#[test]
fn late_in_a_long_run_little_is_lost() {
    for packing in [Packing::Tar, Packing::TarGz] {
        let plan = Plan { packing, before: 0, after: 320, ..PLAN };
        let shape = Shape::new(plan);
        let folder = shape.house.dir.path();
        let needed = shape.computed["image_features"];
        assert!(needed >= 10 * in_flight(plan), "{needed}");
        for late in [80, 160, 240] {
            let when = format!("{packing:?}, killed after {late} of {needed} rows");
            let mut killed = false;
            for _ in 0..5 {
                shape.reset();
                binary::forget(folder);
                killed = disturb(&shape, Moment::Computed(late), &[]);
                if killed {
                    break;
                }
            }
            assert!(killed, "{when}: every run ended before its kill");
            let before = binary::computed(folder)["image_features"];
            let report = binary::complete(folder, &[]);
            let made = &report["tables"]["image_features"];
            let resumed = made["resumed"].as_u64().unwrap();
            assert!(resumed > 0, "{when}: nothing was taken over: {made}");
            assert!(
                resumed + in_flight(plan) >= before,
                "{when}: {before} rows were computed, and {resumed} taken over"
            );
            assert_eq!(resumed + made["computed"].as_u64().unwrap(), needed, "{when}");
            assert_bound(&shape, plan, 1, 1, &when);
            tables::assert_same(&tables::read(&shape.store()), &shape.new, &when);
        }
    }
}
