//! What the next run takes over, and what it does not.

use clipmill::plan::Reason;
use clipmill::run::{RunReport, TableReport};

use super::house::{self, StopAt, told};
use super::shapes::{Packing, Plan, Shape};
use super::tables;

const PLAN: Plan = Plan {
    packing: Packing::TarGz,
    before: 0,
    after: 40,
    bad: false,
    captions: true,
    part_rows: 4,
};

/// More images than the queues of a run hold.
const MANY: Plan = Plan { after: 260, captions: false, part_rows: 8, ..PLAN };

fn stopped(shape: &Shape, task: &'static str, after: i64) -> RunReport {
    let report = shape.house.run_with(|options| {
        options.progress = StopAt::new(Some(task), after, &options.cancel);
    });
    let report = report.unwrap();
    assert!(report.interrupted);
    report
}

fn table<'r>(report: &'r RunReport, name: &str) -> &'r TableReport {
    report.tables.iter().find(|made| made.table == name).unwrap()
}

#[test]
fn a_stopped_stream_goes_on_member_by_member() {
    let shape = Shape::new(PLAN);
    stopped(&shape, "caption_features", 30);
    let report = shape.house.run().unwrap();
    let made = table(&report, "caption_features");
    let before = 80 - made.computed;
    assert!((30..80).contains(&before), "{before} were made before");
    tables::assert_same(&tables::read(&shape.store()), &shape.new, "stopped");
}

/// A first run, and one over changed contents, stopped in each stage that can be stopped half-way.
#[test]
fn readers_of_a_stopped_run_see_whole_tables_and_nothing_is_made_twice() {
    for (packing, before, bad) in
        [(Packing::Tar, 0, true), (Packing::Tar, 8, true), (Packing::TarGz, 8, false)]
    {
        let shape = Shape::new(Plan { packing, before, bad, captions: true, ..MANY });
        for (task, table) in
            [("images", "image_features"), ("caption_features", "caption_features")]
        {
            let when = format!("{packing:?} after {before}, stopped at {task}");
            shape.reset();
            let report = stopped(&shape, task, 32);
            let seen = tables::read(&shape.store());
            tables::assert_whole_but_rejects(&seen, &shape.old, &shape.new, &when);
            let made = self::table(&report, table);
            assert!(made.computed > 0 && !made.published, "{when}: {made:?}");
            let note = report.notes.iter().find(|note| note.starts_with(&format!("{table}: ")));
            let stays = if before > 0 { "version 0 stays" } else { "there is no version" };
            assert!(note.is_some_and(|note| note.contains(stays)), "{when}: {:?}", report.notes);
            let store = shape.house.store();
            let kept: u64 = store.staged(table).unwrap().iter().map(|part| part.rows).sum();
            assert_eq!(kept, made.computed, "{when}");

            let report = shape.house.run().unwrap();
            let goes_on = self::table(&report, table);
            assert_eq!(goes_on.resumed, kept, "{when}: {goes_on:?}");
            assert_eq!(kept + goes_on.computed, shape.computed[table], "{when}: {goes_on:?}");
            tables::assert_same(&tables::read(&shape.store()), &shape.new, &when);
            assert!(shape.house.run().unwrap().is_up_to_date(), "{when}");
        }
    }
}

#[test]
fn new_weights_stopped_half_way_are_taken_up() {
    let shape = Shape::new(MANY);
    shape.house.run().unwrap();
    let old = tables::read(&shape.store());
    shape.house.model(11);
    stopped(&shape, "images", 32);
    let between = tables::read(&shape.store());
    assert_eq!(between["image_features"], old["image_features"], "never two models in one version");
    let report = shape.house.run().unwrap();
    let made = table(&report, "image_features");
    assert!(made.resumed >= 28, "{made:?}");
    assert_eq!(made.resumed + made.computed, 260, "{made:?}");
    assert_eq!(made.counts.get(Reason::Resumed), made.resumed);
    assert_eq!(told::newest(&shape.house, "image_features"), "+0 -0 ~260: weights_changed 260");
    told::check_all(&shape.house);
    let again = shape.house.run().unwrap();
    assert!(again.is_up_to_date());
}

#[test]
fn rows_of_a_part_that_rotted_are_computed_again() {
    let shape = Shape::new(MANY);
    shape.house.run().unwrap();
    shape.house.model(11);
    stopped(&shape, "images", 32);
    let staged = shape.store().join("image_features/_clipmill/staged");
    let part = std::fs::read_dir(&staged)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "parquet"))
        .unwrap();
    // The middle, which the seal of the end does not cover where the part is large.
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(&part, bytes).unwrap();
    let report = shape.house.run().unwrap();
    assert!(report.broken.is_empty());
    assert_eq!(table(&report, "image_features").rows, 260);
    assert!(shape.house.run().unwrap().is_up_to_date());
}

#[test]
fn what_a_dead_run_left_lying_is_swept_away() {
    let shape = Shape::new(PLAN);
    shape.house.run().unwrap();
    let staged = shape.store().join("image_features/_clipmill/staged");
    let log = shape.store().join("image_features/_delta_log");
    let left = [
        staged.join(".part.parquet.77-1.tmp"),
        staged.join("part-0000000000000001-abc.parquet"),
        log.join(".00000000000000000007.json.77-2.tmp"),
        shape.store().join("_clipmill/.clipmill-x.tmp"),
    ];
    for path in &left {
        house::put(path, b"half a file");
    }
    assert!(shape.house.run().unwrap().is_up_to_date());
    for path in &left {
        assert!(!path.exists(), "{} is still there", path.display());
    }
    tables::assert_same(&tables::read(&shape.store()), &shape.new, "swept");
}

#[test]
fn rows_that_wait_too_long_become_durable_before_their_part_is_full() {
    let shape = Shape::new(Plan { part_rows: 100_000, ..PLAN });
    let text = std::fs::read_to_string(shape.house.path("pipeline.toml")).unwrap();
    let text = text.replace("part_rows = 100000", "part_rows = 100000\npart_seconds = 0");
    shape.house.define(&text);
    shape.house.run().unwrap();
    shape.house.model(11);
    stopped(&shape, "caption_features", 20);
    let store = shape.house.store();
    let rows: u64 = store.staged("caption_features").unwrap().iter().map(|part| part.rows).sum();
    assert!((20..80).contains(&rows), "{rows} rows are durable");
}
