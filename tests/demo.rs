//! The whole demo: what its captioner says of pictures that no training saw, and what its search
//! finds. It is a binary of its own, since it takes both cores for the better part of a minute.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

mod readers;

use clipmill::cli::demo::{Says, Scene};
use serde_json::Value;

fn clipmill(args: &[&str], dir: &Path) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_clipmill"))
        .args(args)
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn rows(dir: &Path, sql: &str) -> Vec<Value> {
    let text = clipmill(&["query", "demo/store", sql, "--format", "json"], dir);
    serde_json::from_str(&text).unwrap()
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap()
}

#[test]
fn the_demo_says_something_true() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut args = vec!["demo", "--dir", "demo", "--format", "json"];
    let device = std::env::var("CLIPMILL_TEST_DEVICE").unwrap_or_default();
    if !device.is_empty() {
        args.extend(["--device", &device]);
    }
    let closing: Value = serde_json::from_str(&clipmill(&args, dir)).unwrap();
    println!("{closing}");
    let (exact, recall) =
        (closing["attributes_exact"].as_f64().unwrap(), closing["recall_at_1"].as_f64().unwrap());
    assert!(exact >= 0.95, "colour, shape and place are right in {exact} of the held-out scenes");
    assert!(recall >= 0.95, "the search finds the picture first for {recall} of the captions");

    // Held-out scenes are a tenth or so, all of them are captioned, and no training has them.
    let splits: BTreeMap<String, BTreeSet<String>> = rows(
        dir,
        "SELECT DISTINCT split, image_id FROM captions",
    )
    .iter()
    .fold(BTreeMap::new(), |mut all: BTreeMap<String, BTreeSet<String>>, row| {
        all.entry(text(row, "split").into()).or_default().insert(text(row, "image_id").into());
        all
    });
    let held = &splits["test"];
    assert!(held.len() >= 150, "{}", held.len());
    assert!(held.is_disjoint(&splits["train"]) && held.is_disjoint(&splits["val"]));
    let generated = rows(dir, "SELECT image_id, text FROM generated");
    let captioned: BTreeSet<String> =
        generated.iter().map(|row| text(row, "image_id").to_owned()).collect();
    assert_eq!((generated.len(), &captioned), (held.len(), held));

    // The share is that of the captions in the table.
    let images = u32::try_from(closing["tables"]["images"]["rows"].as_u64().unwrap()).unwrap();
    let scenes: BTreeMap<String, Scene> =
        Scene::series(0, images).into_iter().map(|scene| (scene.id.clone(), scene)).collect();
    let right = generated
        .iter()
        .filter(|row| Says::of(text(row, "text")).names(&scenes[text(row, "image_id")]))
        .count();
    assert!((exact - right as f64 / generated.len() as f64).abs() < 1e-9, "{right}");
    // Scenes with one shape and with two are both among them.
    let two = held.iter().filter(|id| scenes[*id].objects.len() == 2).count();
    assert!(two * 10 > held.len() && two * 2 < held.len(), "{two} of {}", held.len());

    // Others read every table as we do, those of a training, too.
    let read = readers::assert_others_read_the_same(&dir.join("demo/store"));
    assert!(read.is_none_or(|tables| tables.len() > 6));

    // People see the pictures' names beside what is said; a second demo trains nothing.
    let said = clipmill(&["demo", "--dir", "demo"], dir);
    assert!(said.contains("Nothing to do: every table is up to date."), "{said}");
    assert!(said.contains("what the captioner says"), "{said}");
    assert!(held.iter().filter(|id| said.contains(&format!("{id}.jpg"))).count() >= 10, "{said}");
    let share = format!("right in {:.1} % of {} held-out pictures", exact * 100.0, held.len());
    assert!(said.contains(&share), "{share}: {said}");
}
