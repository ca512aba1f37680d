//! What the log's file is told of a command, and that the terminal is told nothing twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use super::shop::{IMAGES, clipmill, code, object, shop, stderr};

/// The messages of a log's file, each with its level before it and without its time.
fn told(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    let line = |line: &str| {
        let (_time, rest) = line.split_once(' ').unwrap();
        rest.trim_start().to_owned()
    };
    text.lines().map(line).collect()
}

fn run(folder: &Path, more: &[&str]) -> Output {
    let mut command = clipmill();
    command.current_dir(folder).args(["run", "pipeline.toml", "--format", "json"]).args(more);
    command.output().unwrap()
}

#[test]
fn the_log_of_a_run_tells_its_story_and_no_line_comes_twice_on_the_terminal() {
    let copy = shop().without_store();
    let log = copy.path().join("run.log");
    let out = run(copy.path(), &["-v", "--log-file", "run.log"]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let closing = object(&out);
    let captions = closing["tables"]["captions"]["rows"].as_u64().unwrap();

    let lines = told(&log);
    let has = |line: &str| lines.iter().any(|told| told.starts_with(line));
    for line in [
        "INFO clipmill 0.",
        "INFO images: begun",
        "INFO caption_features: begun, ",
        "INFO image_features: model `clip`",
        &format!("INFO images: version 0 is published, {IMAGES} rows"),
        &format!("INFO captions: new version, version 0, {captions} rows, {captions} of them comp"),
        "INFO Took ",
        "INFO ends with exit code 0",
    ] {
        assert!(has(line), "{line}: {lines:#?}");
    }
    let ends = |task: &str| {
        let mut of_task = lines.iter().filter_map(|line| line.strip_prefix(task));
        of_task.any(|line| line.ends_with("/s") && line.contains(" in "))
    };
    assert!(ends("INFO images: ") && ends("INFO caption_features: "), "{lines:#?}");
    assert!(lines[0].ends_with("begins: run pipeline.toml --format json -v --log-file run.log"));

    // `-v` adds how tasks begin to the lines that are there anyway.
    let said = stderr(&out);
    let plain = |line: &str| line.trim_start().trim_start_matches("INFO ").to_owned();
    let shown: Vec<String> = said.lines().map(plain).collect();
    assert!(shown.iter().any(|line| line.starts_with("images: begun")), "{said}");
    assert!(shown.iter().any(|line| line.starts_with("image_features: model `clip`")), "{said}");
    assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), shown.len(), "{said}");

    // Quiet on the terminal, and a second command is told below the first.
    let out = run(copy.path(), &["-q", "--log-file", "run.log", "--retry-rejects"]);
    assert_eq!((code(&out), stderr(&out)), (0, String::new()));
    let more = told(&log).split_off(lines.len());
    assert!(more.iter().any(|line| line.starts_with("INFO images: unchanged, ")), "{more:#?}");
}

#[test]
fn the_log_has_the_error_that_ended_a_command_and_the_terminal_has_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("run.log");
    std::fs::write(dir.path().join("pipeline.toml"), "[pipeline]\nname = 3\n").unwrap();
    for (definition, what) in [("nowhere.toml", "is not there"), ("pipeline.toml", "store")] {
        for verbose in [&["-v"][..], &[]] {
            let mut command = clipmill();
            command.current_dir(dir.path()).args(["run", definition, "--log-file", "run.log"]);
            let out = command.args(verbose).output().unwrap();
            assert_eq!(code(&out), 1, "{definition}: {}", stderr(&out));
            assert!(!stderr(&out).contains("ERROR"), "{}", stderr(&out));
            let lines = told(&log);
            let wrong = |line: &String| line.starts_with("ERROR ") && line.contains(what);
            assert!(lines.iter().any(wrong), "{definition}: {lines:#?}");
            assert_eq!(lines.last().unwrap(), "INFO ends with exit code 1");
            std::fs::remove_file(&log).unwrap();
        }
    }
    let mut command = clipmill();
    command.current_dir(dir.path()).args(["check", "pipeline.toml", "--log-file", "run.log"]);
    assert_eq!(code(&command.output().unwrap()), 1);
    let lines = told(&log);
    assert!(lines.iter().any(|line| line.starts_with("ERROR pipeline.toml:")), "{lines:#?}");
}
