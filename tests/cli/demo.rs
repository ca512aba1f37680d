//! The demo, from nothing to an answer and on.

use std::path::Path;

use serde_json::{Value, json};

use super::readers;
use super::shop::{
    IMAGES, TABLES, all_rows, clipmill, code, make, object, query, run_in, shop, stderr, stdout,
};

fn rows(closing: &Value, table: &str) -> usize {
    usize::try_from(closing["tables"][table]["rows"].as_u64().unwrap()).unwrap()
}

/// Computed and taken-over rows of all tables together.
fn work(closing: &Value) -> u64 {
    let count = |made: &Value, key: &str| made[key].as_u64().unwrap();
    closing["tables"]
        .as_object()
        .unwrap()
        .values()
        .map(|made| count(made, "computed") + count(made, "resumed"))
        .sum()
}

#[test]
fn the_closing_object_tells_what_there_is() {
    let shop = shop();
    let closing = &shop.closing;
    assert_eq!(closing["command"], "demo");
    assert_eq!(closing["exit_code"], 0);
    assert_eq!(closing["rejects"], json!({}));
    assert!(closing["seconds"].as_f64().unwrap() > 0.0);
    let expected = [IMAGES, IMAGES, 5 * IMAGES, 5 * IMAGES, 5 * IMAGES, 0];
    for (table, expected) in TABLES.iter().zip(expected) {
        assert_eq!(rows(closing, table), expected, "{table}");
        let counted = query(&shop.store(), &format!("SELECT COUNT(*) AS n FROM {table}"), "json");
        let counted: Value = serde_json::from_slice(&counted).unwrap();
        assert_eq!(counted[0]["n"], expected, "{table}");
    }
}

#[test]
fn deltalake_polars_and_duckdb_read_every_table() {
    let read = readers::assert_others_read_the_same(&shop().store());
    assert!(read.is_none_or(|read| TABLES.iter().all(|name| read.iter().any(|t| t == name))));
}

#[test]
fn a_device_is_taken_or_missed_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let demo = |device: &str| {
        let mut demo = clipmill();
        demo.args(["demo", "--untrained", "--images", "8", "--device", device, "--dir"]);
        demo.arg(dir.path()).output().unwrap()
    };
    let unknown = demo("tpu");
    assert_eq!(code(&unknown), 3);
    assert!(stderr(&unknown).contains("`auto`"), "{}", stderr(&unknown));
    if cfg!(not(feature = "cuda")) {
        let missed = demo("cuda");
        assert_eq!(code(&missed), 1);
        assert!(stderr(&missed).contains("has no CUDA"), "{}", stderr(&missed));
    }
    let taken = demo("auto");
    assert_eq!(code(&taken), 0, "{}", stderr(&taken));
    assert!(stderr(&taken).contains("(auto"), "{}", stderr(&taken));
}

#[test]
fn people_see_tables_answers_and_what_to_type_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = clipmill();
    demo.args(["demo", "--untrained", "--images", "12", "--dir"]).arg(dir.path());
    let first = demo.output().unwrap();
    assert_eq!(code(&first), 0, "{}", stderr(&first));
    let said = stdout(&first);
    let definition = dir.path().join("pipeline.toml");
    let definition = definition.display();
    for expected in [
        "│ caption_features ┆       0 ┆   60 ┆       60 ┆          0 ┆ new version │",
        "cosine(embedding, clip_text('A large red star in the middle .')) AS score",
        "images/s. Stages: images with image_features ",
        "the bottleneck was",
        ". Queues: members ",
        &format!("  clipmill run {definition}"),
        &format!("  clipmill query {definition} \"SELECT "),
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let progress = stderr(&first);
    assert!(progress.contains("wrote flickr30k-images.tar, flickr30k.tar.gz, clip"), "{progress}");
    assert!(progress.contains("\ncaptions: 60 in "), "{progress}");

    // The same again: everything is kept, nothing is made.
    let second = demo.output().unwrap();
    assert_eq!(code(&second), 0);
    assert!(stdout(&second).contains("Nothing to do: every table is up to date."));
    assert!(stderr(&second).contains("kept flickr30k-images.tar"), "{}", stderr(&second));
    let out = run_in(dir.path(), &[]);
    assert_eq!((code(&out), work(&object(&out))), (0, 0));
    for table in TABLES {
        assert_eq!(object(&out)["tables"][table]["version"], 0, "{table}");
    }
}

#[test]
fn a_run_in_a_folder_that_is_somebody_elses_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
    let out = clipmill().args(["demo", "--dir"]).arg(dir.path()).output().unwrap();
    assert_eq!(code(&out), 3);
    assert!(stderr(&out).contains("is not empty and holds no demo"), "{}", stderr(&out));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn ids(dir: &Path, table: &str) -> Vec<u8> {
    let sql = format!("SELECT image_id FROM {table} ORDER BY image_id");
    query(&dir.join("store"), &sql, "csv")
}

#[test]
fn other_archives_in_place_of_the_drawn_ones_are_run() {
    let ours = tempfile::tempdir().unwrap();
    let theirs = tempfile::tempdir().unwrap();
    make(ours.path(), 16, 1);
    let other = make(theirs.path(), 9, 2);
    assert_ne!(ids(ours.path(), "images"), ids(theirs.path(), "images"));
    for archive in ["flickr30k-images.tar", "flickr30k.tar.gz"] {
        std::fs::copy(theirs.path().join(archive), ours.path().join(archive)).unwrap();
    }
    let out = run_in(ours.path(), &[]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    for table in TABLES {
        assert_eq!(rows(&object(&out), table), rows(&other, table), "{table}");
    }
    for table in ["images", "image_features", "captions", "caption_features", "examples"] {
        assert_eq!(ids(ours.path(), table), ids(theirs.path(), table), "{table}");
    }
    // A demo there keeps the user's archives and has nothing to do.
    let out = clipmill().args(["demo", "--dir"]).arg(ours.path()).output().unwrap();
    assert!(stdout(&out).contains("Nothing to do"), "{}{}", stdout(&out), stderr(&out));
}

#[test]
fn one_seed_makes_one_demo() {
    let twin = tempfile::tempdir().unwrap();
    make(twin.path(), IMAGES, 0);
    assert_eq!(all_rows(&shop().store()), all_rows(&twin.path().join("store")));
}
