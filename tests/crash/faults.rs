//! Every operation on storage fails once, is torn once, is late.

use std::sync::Arc;

use clipmill::base::Kind;
use clipmill::run::{Means, RunReport};

use super::faulty::{Fault, Faulty, is_below};
use super::shapes::{Packing, Plan, Shape};
use super::tables;

const PLAN: Plan =
    Plan { packing: Packing::Tar, before: 2, after: 7, bad: true, captions: true, part_rows: 64 };

fn run(shape: &Shape, storage: &Arc<Faulty>) -> clipmill::base::Result<RunReport> {
    let means = Means { storage: Arc::clone(storage) as _, ..Means::default() };
    shape.house.run_on(&means, |_| ())
}

/// How many operations an undisturbed run does.
fn operations(shape: &Shape) -> u64 {
    shape.reset();
    let storage = Arc::new(Faulty::new(None));
    run(shape, &storage).unwrap();
    tables::assert_same(&tables::read(&shape.store()), &shape.new, "undisturbed");
    storage.done()
}

fn each_operation(fault: Fault, plan: Plan, every: usize) {
    let shape = Shape::new(plan);
    let operations = operations(&shape);
    assert!(operations > 40, "{operations} operations");
    let mut failed = 0;
    for at in (0..operations).step_by(every) {
        let when = format!("{fault:?} at {at} of {operations}");
        shape.reset();
        let result = run(&shape, &Arc::new(Faulty::new(Some((fault, at)))));
        let seen = tables::read(&shape.store());
        if result.is_ok() {
            tables::assert_same(&seen, &shape.new, &when);
        }
        tables::assert_whole_after_error(&seen, &shape.old, &shape.new, &when);
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
    // Cleaning up may fail without a word; nothing else may.
    let tried = operations.div_ceil(every as u64);
    assert!(failed > tried * 2 / 3, "{failed} of {tried} were told");
}

#[test]
fn each_operation_fails() {
    each_operation(Fault::Fail, PLAN, 1);
}

#[test]
fn each_operation_is_torn() {
    each_operation(Fault::Torn, PLAN, 1);
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
