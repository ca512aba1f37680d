//! Captions and their scores beside transformers and `pycocoevalcap`.
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

#[path = "caption/captions.rs"]
mod captions;
#[path = "caption/generate.rs"]
mod generate;
#[path = "caption/real.rs"]
mod real;
#[path = "caption/scores.rs"]
mod scores;
#[path = "caption/words.rs"]
mod words;

use std::path::PathBuf;

use clipmill::base::environment::Environment;
use serde_json::Value;

/// A file that `tests/golden/*.py` wrote.
fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(path)).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn setting(name: &str) -> Option<PathBuf> {
    let found = Environment::of_process().get(name).map(PathBuf::from);
    if found.is_none() {
        eprintln!("skipped: {name} is not set");
    }
    found
}
