//! The binary as a process that can be watched and killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The binary, deaf to the terminal's and the user's colours.
pub fn clipmill() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("clipmill"));
    command.env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// `clipmill run`, with a log of every batch that is computed.
pub fn run(folder: &Path, more: &[&str]) -> Command {
    let mut command = clipmill();
    command
        .arg("run")
        .arg(folder.join("pipeline.toml"))
        .args(["--format", "json", "--log-level", "debug", "--log-file"])
        .arg(folder.join("run.log"))
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Runs to the end; gives the closing object.
pub fn complete(folder: &Path, more: &[&str]) -> serde_json::Value {
    let out = run(folder, more).stderr(Stdio::piped()).output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// What a process wrote to standard error.
pub fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// `kill -9`; whether it came before the end.
pub fn kill(child: &mut Child) -> bool {
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

/// The rows that were computed since the log was begun, by table: of finished and of killed runs.
pub fn computed(folder: &Path) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    let text = std::fs::read_to_string(folder.join("run.log")).unwrap_or_default();
    for line in text.lines().filter(|line| line.contains("computed table=")) {
        let field = |name: &str| {
            let at = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            at.unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        *rows.entry(field("table=")).or_default() += field("rows=").parse::<u64>().unwrap();
    }
    rows
}

/// Forgets what was computed so far.
pub fn forget(folder: &Path) {
    let _ = std::fs::remove_file(folder.join("run.log"));
}
