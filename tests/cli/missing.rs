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
fn every_input_that_cannot_be_read_is_named_at_once_by_plan_and_run() {
    let copy = shop().without_store();
    let put = |name: &str, bytes: &[u8]| std::fs::write(copy.path().join(name), bytes).unwrap();
    put("flickr30k-images.tar", &[7; 4096]);
    put("flickr30k.tar.gz", b"BZh91AY&SY");
    for command in ["plan", "run"] {
        let mut asked = clipmill();
        let out = asked.current_dir(copy.path()).args([command, "pipeline.toml"]).output().unwrap();
        let said = stderr(&out);
        assert_eq!(code(&out), 1, "{said}");
        assert!(said.contains("flickr30k-images.tar: is no tar archive"), "{said}");
        assert!(said.contains("flickr30k.tar.gz: is packed with bzip2"), "{said}");
        assert_eq!(said.matches("error: ").count(), 2, "{said}");
        assert_eq!(said.matches("help: ").count(), 2, "{said}");
    }
    let out = super::shop::run_in(copy.path(), &[]);
    let error = &object(&out)["error"];
    assert_eq!(error["code"], "bad_input");
    assert_eq!(error["others"].as_array().unwrap().len(), 1);
    assert!(!copy.path().join("store/images").exists(), "nothing is made");
}

/// Root may read everything, so the binary runs as somebody else where the tests run as root.
#[test]
fn what_is_missing_and_what_may_not_be_read_is_named_at_once() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    let copy = shop().without_store();
    let root = copy.path();
    let allow = |name: &str, mode| {
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let is_root = std::fs::metadata(root).unwrap().uid() == 0;
    allow("", 0o777);
    let run = |args: &[&str]| {
        let mut command = clipmill();
        command.current_dir(root).args(args);
        if is_root {
            command.uid(65534).gid(65534);
        }
        command.output()
    };
    if !run(&["--version"]).is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: nobody else may run the binary where it lies");
        return;
    }
    allow("flickr30k-images.tar", 0);
    allow("clip/model.safetensors", 0);
    std::fs::remove_file(root.join("flickr30k.tar.gz")).unwrap();
    let sealed = "sources.photos.paths=sealed/*.tar";
    std::fs::create_dir(root.join("sealed")).unwrap();
    for (set, photos) in [(None, "flickr30k-images.tar"), (Some(sealed), "sealed")] {
        allow("sealed", 0);
        let sets = set.map_or(vec![], |set| vec!["--set", set]);
        for command in ["plan", "run"] {
            let out = run(&[&[command, "pipeline.toml"], &sets[..]].concat()).unwrap();
            let said = stderr(&out);
            assert_eq!(code(&out), 1, "{said}");
            assert!(said.contains(&format!("unreadable input: {photos}")), "{said}");
            assert!(said.contains("unreadable input: clip/model.safetensors"), "{said}");
            assert!(said.contains("missing input: flickr30k.tar.gz"), "{said}");
            assert!(said.contains("Permission denied"), "{said}");
            assert!(said.contains("check who owns it"), "{said}");
        }
    }
    allow("sealed", 0o700);
    assert!(!root.join("store").exists(), "no work is begun");
}

#[test]
fn a_pipe_has_no_digest_and_keeps_nobody_waiting() {
    let copy = shop().without_store();
    let pipe = copy.path().join("flickr30k-images.tar");
    std::fs::remove_file(&pipe).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let digest = format!("sources.photos.sha256={}", "0".repeat(64));
    let out = super::shop::run_in(copy.path(), &["--set", &digest]);
    assert_eq!(code(&out), 1);
    assert!(stderr(&out).contains("flickr30k-images.tar is no file"), "{}", stderr(&out));
    let out = clipmill().arg("lock").arg(copy.path().join("pipeline.toml")).output().unwrap();
    assert_eq!(code(&out), 1);
    assert!(stderr(&out).contains("no file"), "{}", stderr(&out));
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

/// The shop with a captioner in its definition, whose GPT-2 is not there.
fn with_captioner(folder: &std::path::Path) {
    let file = folder.join("pipeline.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let more = "\n[models.gpt2.gpt2]\npath = \"gpt2\"\n\n[stages.captioner.train]\n\
                examples = \"examples\"\nmodel = \"gpt2\"\n";
    std::fs::write(&file, text + more).unwrap();
}

#[test]
fn tables_that_need_no_missing_input_are_made_alone() {
    let copy = shop().without_store();
    with_captioner(copy.path());
    let out = super::shop::run_in(copy.path(), &[]);
    assert_eq!(code(&out), 1);
    assert!(stderr(&out).contains("gpt2"), "{}", stderr(&out));
    let out = super::shop::run_in(copy.path(), &["--only", "captioner"]);
    assert!(stderr(&out).contains("gpt2"), "{}", stderr(&out));
    let out = super::shop::run_in(copy.path(), &["--only", "captionr"]);
    assert_eq!(code(&out), 3);
    assert!(stderr(&out).contains("no stage makes a table `captionr`"), "{}", stderr(&out));

    let only = ["--only", "examples", "--only", "caption_features"];
    let file = copy.path().join("pipeline.toml");
    let planned = || clipmill().arg("plan").arg(&file).args(only).output().unwrap();
    assert_eq!(code(&planned()), 0, "{}", stderr(&planned()));
    let out = super::shop::run_in(copy.path(), &[&only[..], &["--jobs", "2"]].concat());
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let tables = &object(&out)["tables"];
    assert_eq!(tables["caption_features"]["rows"], 5 * super::shop::IMAGES, "{tables}");
    assert!(tables.get("captioner").is_none(), "{tables}");
    let said = String::from_utf8(planned().stdout).unwrap();
    assert!(said.contains("Nothing to do"), "{said}");

    // An image has no row in what is trained.
    let ids = super::shop::query(&file, "SELECT min(image_id) AS id FROM images", "csv");
    let ids = String::from_utf8(ids).unwrap();
    let id = ids.lines().nth(1).unwrap();
    let out = clipmill().arg("explain").arg(&file).args([id, "--format", "json"]).output().unwrap();
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let rows = object(&out)["rows"].as_array().unwrap().len();
    assert_eq!(rows, 1 + 1 + 3 * 5, "images, features, and five captions of three tables");

    // A query needs the model of its column, and nothing else.
    for name in ["flickr30k-images.tar", "flickr30k.tar.gz"] {
        std::fs::remove_file(copy.path().join(name)).unwrap();
    }
    for table in ["image_features", "caption_features", "examples"] {
        let sql =
            format!("SELECT image_id, cosine(embedding, clip_text('a star')) AS s FROM {table}");
        super::shop::query(&file, &sql, "json");
        super::shop::query(&copy.path().join("store"), &sql, "json");
    }
    std::fs::remove_dir_all(copy.path().join("clip")).unwrap();
    let sql = "SELECT cosine(embedding, clip_text('a star')) AS s FROM image_features";
    let out = clipmill().arg("query").arg(&file).arg(sql).output().unwrap();
    assert_eq!(code(&out), 1);
    assert!(stderr(&out).contains("missing input"), "{}", stderr(&out));
    assert!(!stderr(&out).contains("gpt2"), "{}", stderr(&out));
}

#[test]
fn the_readme_fetches_what_the_definition_of_flickr30k_needs() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let section = readme.split("\n## Real Flickr30k\n").nth(1).unwrap();
    let recipe = section.split("```").nth(1).unwrap();
    assert_eq!(recipe.lines().skip(1).count(), 5, "{recipe}");
    let text = std::fs::read_to_string(root.join("pipelines/flickr30k.toml")).unwrap();
    let definition: toml::Table = text.parse().unwrap();
    let kinds = |block: &str| -> Vec<toml::Table> {
        let named = definition[block].as_table().unwrap().values();
        named
            .map(|kind| {
                kind.as_table().unwrap().values().next().unwrap().as_table().unwrap().clone()
            })
            .collect()
    };
    let models = kinds("models");
    let needed: std::collections::BTreeSet<&str> =
        models.iter().map(|model| model["obtain"].as_str().unwrap()).collect();
    let fetched = recipe.lines().filter(|line| line.contains(" download "));
    assert_eq!(fetched.collect::<std::collections::BTreeSet<_>>(), needed);
    for model in &models {
        let folder = model["path"].as_str().unwrap().strip_prefix("../").unwrap();
        let obtain = model["obtain"].as_str().unwrap();
        assert!(obtain.ends_with(&format!("--local-dir {folder}")), "{obtain}");
    }
    let moved = recipe.lines().find(|line| line.contains("mv ")).unwrap();
    for source in kinds("sources") {
        let archive = source["paths"].as_str().unwrap().strip_prefix("../data/").unwrap();
        assert!(moved.contains(&format!("~/Downloads/{archive} ")), "{moved}");
    }
}

#[test]
fn a_split_file_that_cannot_be_read_is_told_before_any_work() {
    let copy = shop().without_store();
    let file = copy.path().join("pipeline.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let from = text.find("split = {").unwrap();
    let line = text[from..].lines().next().unwrap();
    let listed = "[sources.parts.splits]\ntrain = \"train.txt.gz\"\n\n[models.";
    let text = text.replace(line, "splits = \"parts\"").replacen("[models.", listed, 1);
    std::fs::write(&file, text).unwrap();
    // The beginning of a gzip, and no more.
    std::fs::write(copy.path().join("train.txt.gz"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03").unwrap();
    for command in ["plan", "run"] {
        let mut asked = clipmill();
        let out = asked.current_dir(copy.path()).args([command, "pipeline.toml"]).output().unwrap();
        let said = stderr(&out);
        assert_eq!(code(&out), 1, "{said}");
        assert!(said.contains("train.txt.gz: "), "{said}");
    }
    assert!(!copy.path().join("store/images").exists(), "nothing is made");
}

#[test]
fn many_shards_that_are_not_there_are_one_error_with_all_their_names() {
    let copy = shop().without_store();
    let shards = "sources.photos.paths=shards/{00..19}.tar";
    let mut asked = clipmill();
    asked.current_dir(copy.path()).args(["run", "pipeline.toml", "--set", shards]);
    let out = asked.args(["--format", "json"]).output().unwrap();
    let findings = object(&out)["error"]["findings"].clone();
    let [finding] = findings.as_array().unwrap().as_slice() else { panic!("{findings}") };
    let said = finding["message"].as_str().unwrap();
    assert!(said.starts_with("20 missing inputs: shards/00.tar, shards/01.tar, "), "{said}");
    assert!(said.ends_with("shards/19.tar"), "{said}");
}
