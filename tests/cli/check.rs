//! `check`: everything that is wrong, at once, for people and for scripts.

use std::path::Path;

use super::shop::{clipmill, code, object, stderr, stdout};

const WRONG: &str = include_str!("wrong.toml");
const GOOD: &str = include_str!("../../src/cli/demo/untrained.toml");

/// A folder with `wrong.toml` and `good.toml`, in which the binary is run.
fn check(args: &[&str]) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("wrong.toml"), WRONG).unwrap();
    std::fs::write(dir.path().join("good.toml"), GOOD).unwrap();
    clipmill().current_dir(dir.path()).arg("check").args(args).output().unwrap()
}

#[test]
fn people_see_every_error_with_its_line_and_the_nearest_name() {
    let out = check(&["wrong.toml"]);
    assert_eq!((code(&out), stdout(&out)), (1, String::new()));
    insta::with_settings!({snapshot_path => "../snapshots"}, {
        insta::assert_snapshot!("check_human", stderr(&out));
    });
}

#[test]
fn scripts_see_every_error_with_line_and_column() {
    let out = check(&["wrong.toml", "good.toml", "gone.toml", "--format", "json"]);
    assert_eq!(code(&out), 1);
    insta::with_settings!({snapshot_path => "../snapshots"}, {
        insta::assert_snapshot!("check_json", serde_json::to_string_pretty(&object(&out)).unwrap());
    });
}

#[test]
fn one_wrong_file_among_several_fails_and_the_others_are_told() {
    let out = check(&["wrong.toml", "good.toml"]);
    assert_eq!(code(&out), 1);
    let said = stderr(&out);
    assert!(said.contains("good.toml: ok, makes images, image_features, captions"), "{said}");
    assert!(said.contains("wrong.toml:"), "{said}");
    let out = check(&["good.toml", "good.toml"]);
    assert_eq!(code(&out), 0);
}

#[test]
fn a_value_from_the_command_line_is_checked_too() {
    let out = check(&["good.toml", "--set", "stages.image_features.batch_size=0"]);
    assert_eq!(code(&out), 1);
    let said = stderr(&out);
    assert!(said.contains("--set:1:"), "{said}");
    assert!(said.contains("stages.image_features.batch_size=0"), "{said}");
    assert!(!said.contains("good.toml:"), "the file is not to blame: {said}");
    let out = check(&["good.toml", "--set", "stages.image_features.batch_size=8"]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
}

#[test]
fn an_unknown_kind_is_one_error_and_no_consequence_of_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let text = GOOD.replace("[sources.photos.tar]", "[sources.photos.trr]");
    std::fs::write(dir.path().join("p.toml"), text).unwrap();
    let out = clipmill()
        .current_dir(dir.path())
        .args(["check", "p.toml", "--format", "json"])
        .output()
        .unwrap();
    let errors = object(&out)["errors"].clone();
    assert_eq!(errors.as_array().unwrap().len(), 1, "{errors}");
    assert_eq!(errors[0]["message"], "unknown kind `trr`");
}

#[test]
fn the_definitions_that_we_ship_are_good_without_their_data() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    let out = clipmill().arg("check").args(&files).args(["--format", "json"]).output().unwrap();
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let object = object(&out);
    assert_eq!(object["errors"], serde_json::json!([]));
    assert_eq!(object["files"].as_array().unwrap().len(), files.len());
}

#[test]
fn contracts_that_a_definition_names_are_checked_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let captions = include_str!("../../schemas/captions.toml");
    let broken = captions
        .replace("[columns.text]", "[columns.text]\ntyp = \"string\"")
        .replace("[checks.text_is_there.length]", "[checks.text_is_there.lenght]");
    std::fs::write(dir.path().join("mine.toml"), &broken).unwrap();
    std::fs::write(dir.path().join("good.toml"), captions).unwrap();
    std::fs::write(dir.path().join("p.toml"), GOOD).unwrap();
    let check = |contracts: &[&str]| {
        let mut command = clipmill();
        command.current_dir(dir.path()).args(["check", "p.toml", "--format", "json"]);
        for contract in contracts {
            command.args(["--set", contract]);
        }
        command.output().unwrap()
    };
    let out = check(&["stages.captions.contract=good.toml"]);
    assert_eq!(code(&out), 0, "{}", stdout(&out));
    let sets = ["stages.captions.contract=mine.toml", "stages.images.contract=gone.toml"];
    let out = check(&sets);
    assert_eq!(code(&out), 1);
    let errors = object(&out)["errors"].clone();
    let said: Vec<String> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|e| format!("{}: {}", e["file"].as_str().unwrap(), e["message"].as_str().unwrap()))
        .collect();
    assert_eq!(said.len(), 3, "{errors}");
    assert!(said.iter().any(|e| e.ends_with(": missing input: gone.toml")), "{said:?}");
    for wrong in ["unknown key in `[columns.text]`: `typ`", "unknown kind of check `lenght`"] {
        let at = said.iter().position(|e| e.contains(wrong)).unwrap_or_else(|| panic!("{said:?}"));
        assert!(said[at].starts_with("mine.toml: "), "{said:?}");
        assert!(errors[at]["line"].as_u64().unwrap() > 1, "{errors}");
    }
}
