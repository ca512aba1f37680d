//! The binary, killed while it trains, and run again: bit for bit the losses of a run that nobody
//! disturbed. And a run that is stopped while it captions.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clipmill::nn::device::training_dtype;
use clipmill::plan::model::Dtype;

use crate::house::{House, StopAt};
use crate::studio::{CAPTIONS, STAGES, studio};

pub fn command(house: &House) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clipmill"));
    command.arg("run").arg(house.path("pipeline.toml")).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// All numbers but the speed, and the digests of the checkpoints.
pub fn numbers(house: &House, table: &str) -> (Vec<String>, Vec<String>) {
    let mut metrics = house.rows("metrics", &["stage", "run", "step", "epoch", "name", "value"]);
    metrics.retain(|row| !row.contains("tokens_per_second"));
    (metrics, house.rows(table, &["checkpoint", "digest", "validation_loss", "best"]))
}

/// The step of the newest checkpoint below the store; 0 where there is none.
pub fn newest(house: &House, table: &str) -> u64 {
    let below = house.path("store/_clipmill/checkpoints").join(table);
    let Ok(runs) = std::fs::read_dir(below) else { return 0 };
    runs.flatten()
        .flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten().flatten())
        .filter_map(|entry| entry.file_name().to_string_lossy().strip_prefix("step-")?.parse().ok())
        .max()
        .unwrap_or(0)
}

#[test]
fn killed_and_run_again_it_has_the_losses_of_an_undisturbed_run() {
    undisturbed("f32");
}

#[test]
fn so_it_has_in_bf16() {
    match training_dtype(Dtype::Bf16, &candle_core::Device::Cpu) {
        Ok(_) => undisturbed("bf16"),
        Err(error) => eprintln!("skipped: {error}"),
    }
}

fn undisturbed(compute: &str) {
    let stages = STAGES
        .replace("epochs = 3", &format!("epochs = 24\ncompute = \"{compute}\""))
        .replace("save_every = 2", "save_every = 1");
    let calm = studio(16, &stages);
    assert!(command(&calm).status().unwrap().success());
    let whole = numbers(&calm, "captioner");
    assert!(whole.0.len() > 100);

    let house = studio(16, &stages);
    let mut kills = 0;
    for pause_ms in [0, 15, 4, 30, 9] {
        let before = newest(&house, "captioner");
        let mut child = command(&house).spawn().unwrap();
        let begun = Instant::now();
        // It went on by a step, and then a moment that is never the same.
        while newest(&house, "captioner") == before && begun.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(2));
            if child.try_wait().unwrap().is_some() {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(pause_ms));
        child.kill().unwrap();
        if !child.wait().unwrap().success() {
            kills += 1;
        }
    }
    assert!(kills > 0, "the training was over before it was killed");
    assert!(command(&house).status().unwrap().success());
    assert_eq!(numbers(&house, "captioner"), whole);
}

#[test]
fn captions_of_a_stopped_run_are_seen_once_all_are_made_and_none_is_made_twice() {
    let captions = CAPTIONS
        .replace("captions = \"captions\"\nsplit = \"test\"\n", "")
        .replace("batch_size = 4", "batch_size = 1");
    let stages = STAGES.replace("epochs = 3", "epochs = 1") + &captions;
    let columns = ["image_id", "caption_index", "text", "score"];
    let calm = studio(30, &stages);
    calm.run().unwrap();
    let whole = calm.rows("generated", &columns);
    assert_eq!(whole.len(), 30);

    let house = studio(30, &stages);
    let report = house.run_with(|options| {
        options.progress = StopAt::new(Some("generated"), 8, &options.cancel);
    });
    let report = report.unwrap();
    assert!(report.interrupted);
    let of = |report: &clipmill::run::RunReport| {
        report.tables.iter().find(|made| made.table == "generated").unwrap().clone()
    };
    let kept = of(&report).computed;
    assert!((8..30).contains(&kept) && !of(&report).published, "{report:?}");
    for table in ["generated", "scores"] {
        assert!(house.store().snapshot(table).unwrap().is_none(), "{table}");
    }
    let goes_on = of(&house.run().unwrap());
    assert_eq!((goes_on.resumed, goes_on.computed), (kept, 30 - kept));
    assert_eq!(house.rows("generated", &columns), whole);
    assert!(house.run().unwrap().is_up_to_date());
}
