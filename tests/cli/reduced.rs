//! Runs in a reduced numeric type: what they say of its cost, and contracts that bound it.

use std::path::Path;

use super::shop::{clipmill, code, object, run_in, shop, stderr, stdout};

const INT8: [&str; 2] = ["--set", "models.clip.dtype=int8"];

/// A contract of image features that no reduced type keeps, and the argument that names it.
fn impossible(folder: &Path) -> [&'static str; 2] {
    let built_in = include_str!("../../schemas/image_features.toml");
    let check = "\n[checks.as_in_f32.fidelity]\nmin_cosine = 1\nneighbour_overlap = 0\n";
    std::fs::write(folder.join("near.toml"), format!("{built_in}{check}")).unwrap();
    ["--set", "stages.image_features.contract=near.toml"]
}

#[test]
fn a_run_in_a_reduced_type_says_how_near_f32_it_is() {
    for dtype in ["int8", "bf16"] {
        let dir = shop().without_store();
        let set = format!("models.clip.dtype={dtype}");
        let out = run_in(dir.path(), &["--set", &set]);
        if code(&out) != 0 && stderr(&out).contains("lacks AVX-512 BF16") {
            eprintln!("skipped bf16: {}", stderr(&out));
            continue;
        }
        assert_eq!(code(&out), 0, "{}", stderr(&out));
        let closing = object(&out);
        for table in ["image_features", "caption_features"] {
            let found = &closing["fidelity"][table];
            let rows = closing["tables"][table]["rows"].as_u64().unwrap();
            let compared = found["rows"].as_u64().unwrap();
            // Equal captions are compared once.
            assert!(compared <= rows.min(256) && compared > 8, "{dtype}, {table}: {found}");
            let number = |name: &str| found[name].as_f64().unwrap();
            assert!(number("min_cosine") > 0.9 && number("min_cosine") < 1.0, "{dtype}: {found}");
            assert!(number("min_cosine") <= number("median_cosine"), "{dtype}: {found}");
            let overlap = number("neighbour_overlap");
            assert!(overlap > 0.3 && overlap <= 1.0, "{dtype}: {found}");
        }
        assert_eq!(
            closing["fidelity"]["image_features"]["rows"],
            closing["tables"]["images"]["rows"]
        );
        // What is up to date is not computed, in no type.
        let again = object(&run_in(dir.path(), &["--set", &set]));
        assert_eq!(again["fidelity"], serde_json::json!({}));
    }
}

#[test]
fn people_read_it_too_and_f32_says_nothing() {
    let dir = shop().without_store();
    let human = |more: &[&str]| {
        let definition = dir.path().join("pipeline.toml");
        let out = clipmill().arg("run").arg(definition).args(more).output().unwrap();
        assert_eq!(code(&out), 0, "{}", stderr(&out));
        stdout(&out)
    };
    let said = human(&INT8);
    let line = said.lines().find(|line| line.starts_with("image_features, ")).unwrap();
    assert!(line.contains(" rows in f32 too: cosine to f32 at least 0.9"), "{line}");
    assert!(line.ends_with(" % of the nearest neighbours the same."), "{line}");
    let said = human(&[]);
    assert!(!said.contains("f32"), "{said}");
}

#[test]
fn a_bound_that_does_not_hold_breaks_the_contract_again_and_again() {
    let dir = shop().without_store();
    let strict = [INT8, impossible(dir.path())].concat();
    let first = run_in(dir.path(), &strict);
    assert_eq!(code(&first), 4, "{}", stderr(&first));
    let first = object(&first);
    let broken = first["broken"].as_array().unwrap();
    assert_eq!(broken.len(), 1, "{first}");
    assert_eq!(
        (&broken[0]["table"], &broken[0]["check"]),
        (&"image_features".into(), &"as_in_f32".into())
    );
    let row = broken[0]["rows"][0].as_str().unwrap();
    assert!(row.starts_with("min_cosine: 0.9"), "{row}");
    assert_eq!(broken[0]["rows"].as_array().unwrap().len(), 1, "the other bound holds");
    assert!(first["tables"]["image_features"]["version"].is_null(), "{first}");

    // The rows are taken over, and what was found of them with them.
    let again = run_in(dir.path(), &strict);
    assert_eq!(code(&again), 4, "{}", stderr(&again));
    let again = object(&again);
    assert_eq!(again["tables"]["image_features"]["computed"], 0);
    assert_eq!(again["broken"], first["broken"]);
    assert_eq!(again["fidelity"]["image_features"], first["fidelity"]["image_features"]);

    let mended = run_in(dir.path(), &INT8);
    assert_eq!(code(&mended), 0, "{}", stderr(&mended));
    let made = &object(&mended)["tables"]["image_features"];
    assert_eq!((&made["computed"], &made["resumed"]), (&0.into(), &made["rows"]));
}

#[test]
fn several_processes_compare_too() {
    let dir = shop().without_store();
    let strict = [&INT8[..], &impossible(dir.path()), &["--jobs", "2"]].concat();
    let broken = run_in(dir.path(), &strict);
    assert_eq!(code(&broken), 4, "{}", stderr(&broken));
    let out = run_in(dir.path(), &[&INT8[..], &["--jobs", "2"]].concat());
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let closing = object(&out);
    let found = &closing["fidelity"]["image_features"];
    assert!(found["rows"].as_u64().unwrap() > 0 && found["min_cosine"].as_f64().unwrap() > 0.9);
    assert_eq!(closing["tables"]["image_features"]["computed"], 0, "all are taken over");
}
