//! Every operation on storage fails once, is torn once, is late, also for two at once.

use std::sync::Arc;

use clipmill::base::Kind;
use clipmill::run::{Means, RunReport};

use super::faulty::{Fault, Faulty, is_below};
use super::shapes::{Packing, Plan, Shape};
use super::tables;

const PLAN: Plan =
    Plan { packing: Packing::Tar, before: 2, after: 7, bad: true, captions: true, part_rows: 64 };

/// Parts so small that every table has many, of rows out of an archive that is one stream.
const MANY_PARTS: Plan =
    Plan { packing: Packing::TarGz, before: 5, after: 14, bad: true, captions: true, part_rows: 2 };

/// Operations that are tried where there are too many to try them all.
const SOME: u64 = 12;

fn run(shape: &Shape, storage: &Arc<Faulty>) -> clipmill::base::Result<RunReport> {
    let means = Means { storage: Arc::clone(storage) as _, ..Means::default() };
    shape.house.run_on(&means, |_| ())
}

/// How many operations an undisturbed run does; those that change something, or listings.
fn operations(shape: &Shape, fault: Fault) -> u64 {
    shape.reset();
    let storage = Arc::new(Faulty::new(None));
    run(shape, &storage).unwrap();
    tables::assert_same(&tables::read(&shape.store()), &shape.new, "undisturbed");
    if fault == Fault::List { storage.listed() } else { storage.done() }
}

/// Has `most` operations fail, one a run; gives how many were tried and how many were told.
fn each_operation(fault: Fault, plan: Plan, most: u64) -> (u64, u64) {
    let shape = Shape::new(plan);
    let operations = operations(&shape, fault);
    // Not the same place of each round of a loop: the step is odd.
    let every = operations.div_ceil(most) | 1;
    // Torn are others than those that fail.
    let first = if fault == Fault::Torn { every / 2 } else { 0 };
    let (mut tried, mut failed) = (0, 0);
    for at in (first..operations).step_by(every as usize) {
        let when = format!("{fault:?} at {at} of {operations}");
        tried += 1;
        shape.reset();
        let result = run(&shape, &Arc::new(Faulty::new(Some((fault, at)))));
        let seen = tables::read(&shape.store());
        if result.is_ok() {
            tables::assert_same(&seen, &shape.new, &when);
        }
        tables::assert_whole_but_rejects(&seen, &shape.old, &shape.new, &when);
        if let Err(error) = result {
            failed += 1;
            assert_eq!(error.kind(), Kind::Io, "{when}: {error:?}");
            assert!(error.to_string().contains("the disk said no"), "{when}: {error:?}");
            assert!(is_below(error.place(), &shape.store()), "{when}: {error:?}");
        }
        let report = shape.house.run().unwrap_or_else(|error| panic!("{when}: {error:?}"));
        assert!(report.broken.is_empty(), "{when}: {:?}", report.broken);
        tables::assert_same(&tables::read(&shape.store()), &shape.new, &when);
        assert!(shape.house.run().unwrap().is_up_to_date(), "{when}: again is nothing");
    }
    println!("{fault:?}: {operations} operations, {tried} tried, {failed} told");
    (tried, failed)
}

/// Cleaning up may fail without a word; nothing else may.
fn assert_told((tried, failed): (u64, u64), at_least: u64) {
    assert!(tried >= at_least, "{tried} operations");
    assert!(failed > tried * 2 / 3, "{failed} of {tried} were told");
}

#[test]
fn each_operation_fails() {
    assert_told(each_operation(Fault::Fail, PLAN, u64::MAX), 40);
}

#[test]
fn each_operation_is_torn() {
    assert_told(each_operation(Fault::Torn, PLAN, u64::MAX), 40);
}

#[test]
fn operations_on_many_parts_of_a_stream_fail() {
    assert_told(each_operation(Fault::Fail, MANY_PARTS, SOME), SOME / 2);
}

#[test]
fn operations_on_many_parts_of_a_stream_are_torn() {
    assert_told(each_operation(Fault::Torn, MANY_PARTS, SOME), SOME / 2);
}

#[test]
fn each_listing_of_a_folder_fails() {
    let (tried, failed) = each_operation(Fault::List, MANY_PARTS, u64::MAX);
    assert!(tried >= 10 && failed * 2 > tried, "{failed} of {tried} were told");
}

/// Both wait for slow storage and, if they may, for each other.
#[test]
fn two_writers_on_slow_storage() {
    for (plan, wait) in [(MANY_PARTS, true), (MANY_PARTS, false), (PLAN, true)] {
        let shape = Shape::new(plan);
        for seed in 0..2 {
            let when = format!("{plan:?}, wait {wait}, seed {seed}");
            shape.reset();
            let writer = |seed| {
                let storage = Arc::new(Faulty::new(Some((Fault::Delay(seed), 0))));
                let means = Means { storage, ..Means::default() };
                shape.house.run_on(&means, |options| options.wait = wait)
            };
            let results = std::thread::scope(|scope| {
                let both = [seed, seed + 17].map(|seed| scope.spawn(move || writer(seed)));
                while !both.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                    let seen = tables::read(&shape.store());
                    tables::assert_whole(&seen, &shape.old, &shape.new, &when);
                }
                both.map(|writer| writer.join().unwrap())
            });
            let right = results.iter().filter(|result| result.is_ok()).count();
            assert!(right >= if wait { 2 } else { 1 }, "{when}: {results:?}");
            for error in results.iter().filter_map(|result| result.as_ref().err()) {
                assert_eq!(error.kind(), Kind::Busy, "{when}: {error:?}");
            }
            tables::assert_same(&tables::read(&shape.store()), &shape.new, &when);
            assert!(shape.house.run().unwrap().is_up_to_date(), "{when}: again is nothing");
        }
    }
}

#[test]
fn readers_of_slow_storage_see_whole_versions() {
    let shape = Shape::new(PLAN);
    for seed in 0..3 {
        shape.reset();
        let mut looks = 0;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                run(&shape, &Arc::new(Faulty::new(Some((Fault::Delay(seed), 0))))).unwrap()
            });
            while !writer.is_finished() {
                let when = format!("delays of seed {seed}");
                tables::assert_whole(&tables::read(&shape.store()), &shape.old, &shape.new, &when);
                looks += 1;
            }
            writer.join().unwrap();
        });
        assert!(looks > 3, "{looks} looks");
        tables::assert_same(&tables::read(&shape.store()), &shape.new, "delayed");
    }
}
