//! Inputs that are not there: all of them are named, before any work.

use super::shop::{clipmill, code, object, shop, stderr};

#[test]
fn every_missing_input_is_named_at_once_with_where_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(shop().definition(), dir.path().join("pipeline.toml")).unwrap();
    let run = || {
        let mut command = clipmill();
        command.current_dir(dir.path()).args(["run", "pipeline.toml"]);
        command
    };
    let out = run().output().unwrap();
    assert_eq!(code(&out), 1);
    let said = stderr(&out);
    for missing in ["flickr30k-images.tar", "flickr30k.tar.gz", "clip"] {
        assert!(said.contains(&format!("put it at {missing}")), "{missing}: {said}");
    }
    assert!(said.contains("https://shannon.cs.illinois.edu/DenotationGraph/"), "{said}");
    assert!(!dir.path().join("store").exists(), "no work is begun");

    let out = run().args(["--format", "json"]).output().unwrap();
    let object = object(&out);
    assert_eq!(object["error"]["code"], "missing_input");
    assert_eq!(object["error"]["findings"].as_array().unwrap().len(), 3);
}

#[test]
fn a_digest_that_does_not_fit_stops_the_run() {
    let copy = shop().without_store();
    let wrong = format!("sources.photos.sha256={}", "0".repeat(64));
    let out = super::shop::run_in(copy.path(), &["--set", &wrong]);
    assert_eq!(code(&out), 1, "{}", stderr(&out));
    assert!(stderr(&out).contains("flickr30k-images.tar"), "{}", stderr(&out));
    assert!(stderr(&out).contains("sha256"), "{}", stderr(&out));
}
