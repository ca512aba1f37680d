//! The binary, killed while it trains, and run again: bit for bit the losses of a run that nobody
//! disturbed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::house::House;
use crate::studio::{STAGES, studio};

fn command(house: &House) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clipmill"));
    command.arg("run").arg(house.path("pipeline.toml")).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// All numbers but the speed, and the digests of the checkpoints.
fn numbers(house: &House) -> (Vec<String>, Vec<String>) {
    let mut metrics = house.rows("metrics", &["stage", "run", "step", "epoch", "name", "value"]);
    metrics.retain(|row| !row.contains("tokens_per_second"));
    (metrics, house.rows("captioner", &["checkpoint", "digest", "validation_loss", "best"]))
}

/// How many checkpoints lie below the store.
fn checkpoints(house: &House) -> usize {
    let below = house.path("store/_clipmill/checkpoints/captioner");
    let Ok(runs) = std::fs::read_dir(below) else { return 0 };
    runs.flatten()
        .flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten().flatten())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("step-"))
        .count()
}

#[test]
fn killed_and_run_again_it_has_the_losses_of_an_undisturbed_run() {
    let stages =
        STAGES.replace("epochs = 3", "epochs = 8").replace("save_every = 2", "save_every = 1");
    let calm = studio(16, &stages);
    assert!(command(&calm).status().unwrap().success());
    let whole = numbers(&calm);
    assert!(whole.0.len() > 100);

    let house = studio(16, &stages);
    let mut kills = 0;
    for pause_ms in [0, 150, 40, 300, 90] {
        let mut child = command(&house).spawn().unwrap();
        let begun = Instant::now();
        // Some checkpoint is there, and then a moment that is never the same.
        while checkpoints(&house) == 0 && begun.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(pause_ms + 400));
        child.kill().unwrap();
        if !child.wait().unwrap().success() {
            kills += 1;
        }
    }
    assert!(kills > 0, "the training was over before it was killed");
    assert!(command(&house).status().unwrap().success());
    assert_eq!(numbers(&house), whole);
}
