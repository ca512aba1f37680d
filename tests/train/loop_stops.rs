//! A training that stops goes on with the numbers it would have had.

use std::path::Path;

use clipmill::base::Kind;
use clipmill::plan::captioner::{Compute, Course, Schedule, WarmUp};
use clipmill::train::journal::{self, Metric};

use crate::lesson::{StopAfter, Tiny, course, train};

fn never() -> StopAfter {
    StopAfter::new(u64::MAX)
}

/// Everything measured but the speed, bit for bit.
fn numbers(folder: &Path) -> Vec<(u64, u32, String, u64)> {
    journal::read(&folder.join("kept"))
        .unwrap()
        .into_iter()
        .filter(|metric| metric.name != "tokens_per_second")
        .map(|Metric { step, epoch, name, value, .. }| (step, epoch, name, value.to_bits()))
        .collect()
}

fn undisturbed(course: &Course) -> Vec<(u64, u32, String, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let outcome = train(dir.path(), &mut Tiny::new(), course, &never()).unwrap();
    assert!(outcome.finished);
    numbers(dir.path())
}

#[test]
fn stopped_anywhere_it_goes_on_bit_for_bit() {
    for accumulate in [1, 3] {
        let course = Course { accumulate, schedule: Schedule::Cosine, ..course() };
        let whole = undisturbed(&course);
        let losses: Vec<_> = whole.iter().filter(|(_, _, name, _)| name == "loss").collect();
        assert_eq!(losses.len(), if accumulate == 1 { 40 } else { 16 });
        assert!(f64::from_bits(losses[losses.len() - 1].3) < f64::from_bits(losses[0].3) * 0.9);
        for steps in [1, 2, 5, 9, 10] {
            let dir = tempfile::tempdir().unwrap();
            let mut done = 0;
            loop {
                // A new model each time: everything that counts comes from the checkpoint.
                let outcome =
                    train(dir.path(), &mut Tiny::new(), &course, &StopAfter::new(steps)).unwrap();
                assert_eq!(outcome.resumed_at, done);
                done += outcome.steps;
                if outcome.finished {
                    break;
                }
                assert_eq!(outcome.steps, steps);
            }
            assert_eq!(numbers(dir.path()), whole, "stopped every {steps} steps");
        }
    }
}

#[test]
fn a_crash_loses_no_more_than_the_steps_since_a_checkpoint() {
    let whole = undisturbed(&course());
    let dir = tempfile::tempdir().unwrap();
    // The loss is spoilt in the 14th call: the training dies between two checkpoints.
    let mut spoilt = Tiny::new();
    spoilt.spoil_after = Some(13 + 3);
    let error = train(dir.path(), &mut spoilt, &course(), &never()).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.to_string().contains("the loss is no number in step"), "{error}");
    assert!(error.to_string().contains(" i"), "names the images: {error}");
    let outcome = train(dir.path(), &mut Tiny::new(), &course(), &never()).unwrap();
    assert!(outcome.finished && outcome.resumed_at > 0 && outcome.steps < 40);
    assert_eq!(numbers(dir.path()), whole);
}

#[test]
fn half_a_checkpoint_is_none() {
    let whole = undisturbed(&course());
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), &mut Tiny::new(), &course(), &StopAfter::new(7)).unwrap();
    let unfinished = dir.path().join("kept/.step-0000000099.unfinished");
    std::fs::create_dir_all(&unfinished).unwrap();
    std::fs::write(unfinished.join("model.safetensors"), b"half").unwrap();
    train(dir.path(), &mut Tiny::new(), &course(), &never()).unwrap();
    assert!(!unfinished.exists());
    assert_eq!(numbers(dir.path()), whole);
}

#[test]
fn the_best_and_the_last_checkpoints_stay() {
    let dir = tempfile::tempdir().unwrap();
    // Long enough that the validation loss rises again.
    let course = Course { learning_rate: 0.3, epochs: 6, ..course() };
    let outcome = train(dir.path(), &mut Tiny::new(), &course, &never()).unwrap();
    let losses: Vec<(u64, f64)> = journal::read(&dir.path().join("kept"))
        .unwrap()
        .into_iter()
        .filter(|metric| metric.name == "validation_loss")
        .map(|metric| (metric.step, metric.value))
        .collect();
    let best = losses.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
    assert!(best < 50, "the best is an early one: {losses:?}");
    let steps: Vec<u64> = outcome.checkpoints.iter().map(|c| c.state.step).collect();
    assert_eq!(steps, [best, 50, 60]);
    assert!(outcome.checkpoints.iter().all(|c| c.state.best.unwrap().step <= c.state.step));
    assert_eq!(outcome.checkpoints[2].state.best.unwrap().step, best);

    let patient = Course { patience: Some(2), ..course };
    let dir = tempfile::tempdir().unwrap();
    let stop = never();
    let outcome = train(dir.path(), &mut Tiny::new(), &patient, &stop).unwrap();
    assert!(outcome.finished && outcome.steps == best + 20, "{}", outcome.steps);
    assert!(stop.notes.lock().unwrap().iter().any(|note| note.contains("the training ends")));
    assert!(stop.words.lock().unwrap()["captioner"].contains("tokens/s"));
}

#[test]
fn memory_that_is_too_small_names_the_batch_size() {
    let dir = tempfile::tempdir().unwrap();
    let mut learner = Tiny::new();
    learner.no_memory = true;
    let error = train(dir.path(), &mut learner, &course(), &never()).unwrap_err();
    assert_eq!(error.kind(), Kind::Device);
    assert!(error.what().contains("batch_size of 4"), "{error}");
    assert_eq!(error.help_text(), Some("lower what is 4"), "as the learner has it");
}

#[test]
fn a_loss_that_is_no_number_names_its_step_and_what_may_be_set() {
    let error = |learner: &mut Tiny, course: &Course| {
        let dir = tempfile::tempdir().unwrap();
        train(dir.path(), learner, course, &never()).unwrap_err()
    };
    for compute in [Compute::F32, Compute::Bf16] {
        let course = Course { compute, ..course() };
        let mut spoilt = Tiny::new();
        spoilt.spoil_after = Some(0);
        let error = error(&mut spoilt, &course);
        assert!(error.what().contains("in step 1 (epoch 1, batch 1)"), "{error}");
        let asks = error.help_text().unwrap().contains("`compute = \"f32\"`");
        assert_eq!(asks, compute == Compute::Bf16, "{error:?}");
    }
    let mut spoilt = Tiny::new();
    spoilt.spoils_validation = true;
    let error = error(&mut spoilt, &course());
    assert_eq!(error.what(), "the validation loss is no number after step 10 (epoch 1)");
}

#[test]
fn a_warm_up_without_end_is_told() {
    let told = |steps| {
        let (dir, stop) = (tempfile::tempdir().unwrap(), never());
        let course = Course { warmup_steps: WarmUp::Steps(steps), ..course() };
        train(dir.path(), &mut Tiny::new(), &course, &stop).unwrap();
        let notes = stop.notes.lock().unwrap();
        notes
            .iter()
            .any(|note| note.contains("rises to the end") && note.ends_with("all steps are 40"))
    };
    assert!(told(40) && !told(39));
}

#[test]
fn an_accumulated_step_is_that_of_the_large_batch() {
    // Batches are drawn in another order, so one step an epoch is compared: all captions.
    let large = Course { batch_rows: 64, epochs: 3, warmup_steps: WarmUp::Steps(0), ..course() };
    let small = Course { batch_rows: 4, accumulate: 64, ..large.clone() };
    let value = |(_, _, _, bits): &(u64, u32, String, u64)| f64::from_bits(*bits);
    let (one, many) = (undisturbed(&large), undisturbed(&small));
    assert_eq!(one.len(), many.len());
    for (one, many) in one.iter().zip(&many) {
        assert_eq!((one.0, &one.2), (many.0, &many.2));
        assert!((value(one) - value(many)).abs() < 1e-5, "{one:?} {many:?}");
    }
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), &mut Tiny::new(), &course(), &StopAfter::new(7)).unwrap();
    let newest = dir.path().join("kept/step-0000000007");
    std::fs::write(newest.join("state.json"), b"{").unwrap();
    let error = train(dir.path(), &mut Tiny::new(), &course(), &never()).unwrap_err();
    assert_eq!(error.kind(), Kind::Store);
    assert!(error.to_string().contains("step-0000000007/state.json"), "{error}");
    std::fs::remove_dir_all(&newest).unwrap();
    assert!(train(dir.path(), &mut Tiny::new(), &course(), &never()).unwrap().finished);
}
