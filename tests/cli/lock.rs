//! Locks: what is written, what an edit is said to rebuild, what a locked run refuses, and that git
//! merges two of them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::shop::{all_rows, clipmill, code, make, object, shop, stderr, stdout};

/// The binary, run in `dir`.
fn at(dir: &Path, args: &[&str]) -> Output {
    clipmill().current_dir(dir).args(args).output().unwrap()
}

/// A setting of the demo's image features, and one that makes others.
const SCALED: &str = "normalize = true";
const PLAIN: &str = "normalize = false";

fn good(out: &Output) {
    assert_eq!(code(out), 0, "{}{}", stdout(out), stderr(out));
}

fn edit(dir: &Path, from: &str, to: &str) {
    let path = dir.join("pipeline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn lock_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("clipmill.lock")).unwrap()
}

/// A folder with a made and locked demo.
fn locked_demo(seed: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), 9, seed);
    good(&at(dir.path(), &["lock", "pipeline.toml"]));
    dir
}

/// A demo's definition alone, locked without data, weights and store.
fn bare() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(shop().definition(), dir.path().join("pipeline.toml")).unwrap();
    good(&at(dir.path(), &["lock", "pipeline.toml"]));
    dir
}

#[test]
fn a_lock_is_the_same_wherever_and_whenever_it_is_written() {
    let dir = locked_demo(1);
    let first = lock_of(dir.path());
    let out = at(dir.path(), &["lock", "pipeline.toml", "--format", "json"]);
    let closing = object(&out);
    assert_eq!(closing["files"][0]["changed"], false);
    assert_eq!(closing["files"][0]["absent"], serde_json::json!([]));
    assert_eq!(closing["files"][0]["tables"]["images"]["rows"], 9);
    // The same demo elsewhere, made in two steps: other parts and versions, the same content.
    let twin = tempfile::tempdir().unwrap();
    make(twin.path(), 9, 1);
    edit(twin.path(), SCALED, PLAIN);
    good(&at(twin.path(), &["run", "pipeline.toml"]));
    edit(twin.path(), PLAIN, SCALED);
    good(&at(twin.path(), &["run", "pipeline.toml"]));
    good(&at(twin.path(), &["lock", "pipeline.toml"]));
    let without_versions = |text: &str| {
        text.lines().filter(|line| !line.starts_with("version = ")).collect::<Vec<_>>().join("\n")
    };
    let second = lock_of(twin.path());
    assert_ne!(first, second, "the versions differ");
    assert_eq!(without_versions(&first), without_versions(&second));
    assert!(!first.contains(dir.path().to_str().unwrap()), "paths are relative: {first}");
}

#[test]
fn check_locked_needs_neither_data_nor_weights_nor_store() {
    let whole = locked_demo(1);
    let dir = tempfile::tempdir().unwrap();
    for name in ["pipeline.toml", "clipmill.lock"] {
        std::fs::copy(whole.path().join(name), dir.path().join(name)).unwrap();
    }
    let out = at(dir.path(), &["check", "--locked", "pipeline.toml"]);
    good(&out);
    assert_eq!(stderr(&out), "pipeline.toml: agrees with clipmill.lock\n");

    // What changes no row: a comment, the store's place, the size of a batch.
    edit(dir.path(), "[pipeline]", "# a comment\n[pipeline]");
    edit(dir.path(), "store = \"store\"", "store = \"../elsewhere\"");
    edit(dir.path(), SCALED, "normalize = true\nbatch_size = 3");
    good(&at(dir.path(), &["check", "--locked", "pipeline.toml"]));

    // What does.
    edit(dir.path(), SCALED, PLAIN);
    let out = at(dir.path(), &["check", "--locked", "pipeline.toml"]);
    assert_eq!(code(&out), 2);
    insta::with_settings!({snapshot_path => "../snapshots"}, {
        insta::assert_snapshot!("check_locked_human", stderr(&out));
    });
    let out = at(
        dir.path(),
        &["check", "--locked", "pipeline.toml", "--format", "github", "--junit", "out/check.xml"],
    );
    assert_eq!(code(&out), 2);
    let xml = std::fs::read_to_string(dir.path().join("out/check.xml")).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots"}, {
        insta::assert_snapshot!("check_locked_github", stdout(&out));
        insta::assert_snapshot!("check_locked_junit", xml);
    });
    // Nothing was made to find that out.
    assert!(!dir.path().join("store").exists());

    // The same on the command line alone; and what `--set` puts right again.
    let set = ["--set", "stages.image_features.normalize=true"];
    good(&at(dir.path(), &[&["check", "--locked", "pipeline.toml"][..], &set].concat()));
}

/// What is edited, into what, and which tables a run would make anew: all rows, or changed ones.
type Edit = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

#[test]
fn edits_rebuild_what_depends_on_them() {
    let cases: &[Edit] = &[
        (
            "path = \"clip\"",
            "path = \"clip2\"",
            &[("image_features", "all"), ("caption_features", "all"), ("examples", "all")],
        ),
        (
            "dtype = \"f32\"",
            "dtype = \"bf16\"",
            &[("image_features", "all"), ("caption_features", "all"), ("examples", "all")],
        ),
        (
            "clean = [\"whitespace\"]",
            "clean = [\"whitespace\", \"zero_width\"]",
            &[("captions", "all"), ("caption_features", "changed"), ("examples", "all")],
        ),
        (
            "seed = 0",
            "seed = 1",
            &[("captions", "changed"), ("caption_features", "changed"), ("examples", "changed")],
        ),
        (
            "paths = \"flickr30k.tar.gz\"",
            "paths = \"other.tar.gz\"",
            &[("captions", "changed"), ("caption_features", "changed"), ("examples", "changed")],
        ),
        (
            "paths = \"flickr30k-images.tar\"",
            "paths = \"*.tar\"",
            &[
                ("images", "changed"),
                ("image_features", "changed"),
                ("captions", "changed"),
                ("caption_features", "changed"),
                ("examples", "changed"),
            ],
        ),
        (
            "[stages.caption_features.embed_captions]",
            "[stages.texts.embed_captions]",
            &[("texts", "all")],
        ),
        ("obtain = ", "max_members = 20_000_000\nobtain = ", &[]),
    ];
    for (from, to, expected) in cases {
        let dir = bare();
        edit(dir.path(), from, to);
        let out = at(dir.path(), &["check", "--locked", "pipeline.toml", "--format", "json"]);
        let lock = &object(&out)["files"][0]["lock"];
        assert_eq!(code(&out), if expected.is_empty() { 0 } else { 2 }, "{to}: {lock}");
        let rebuilds: Vec<(&str, &str)> = lock["rebuilds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| (r["table"].as_str().unwrap(), r["rows"].as_str().unwrap()))
            .collect();
        let mut rebuilds = rebuilds;
        let mut expected = expected.to_vec();
        rebuilds.sort_unstable();
        expected.sort_unstable();
        assert_eq!(rebuilds, expected, "{to}: {lock}");
        assert_eq!(lock["agrees"], expected.is_empty());
    }
}

#[test]
fn without_a_lock_there_is_nothing_to_compare() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(shop().definition(), dir.path().join("pipeline.toml")).unwrap();
    for command in ["check", "run"] {
        let args = [command, "--locked", "pipeline.toml"];
        let out = if command == "run" {
            clipmill().arg("run").arg("--locked").arg(shop().definition()).output().unwrap()
        } else {
            at(dir.path(), &args)
        };
        assert_eq!(code(&out), 1, "{command}");
        assert!(stderr(&out).contains("clipmill.lock: is not there"), "{}", stderr(&out));
        assert!(stderr(&out).contains("help: `clipmill lock "), "{}", stderr(&out));
    }
    std::fs::write(dir.path().join("clipmill.lock"), "format = 1\n").unwrap();
    let out = at(dir.path(), &["check", "--locked", "pipeline.toml", "--format", "github"]);
    assert_eq!(code(&out), 1);
    assert!(
        stdout(&out).starts_with("::error file=pipeline.toml,title=missing input::clipmill.lock:"),
        "{}",
        stdout(&out)
    );
    std::fs::write(dir.path().join("clipmill.lock"), "<<<<<<< a\n=======\n>>>>>>> b\n").unwrap();
    let out = at(dir.path(), &["check", "--locked", "pipeline.toml"]);
    assert_eq!(code(&out), 1);
    assert!(stderr(&out).contains("conflict markers in line 1"), "{}", stderr(&out));
    assert_eq!(code(&at(dir.path(), &["lock"])), 3);
}

#[test]
fn a_locked_run_names_everything_that_the_lock_does_not_before_any_work() {
    let dir = locked_demo(1);
    let before = all_rows(&dir.path().join("store"));
    good(&at(dir.path(), &["run", "--locked", "pipeline.toml"]));

    let other = tempfile::tempdir().unwrap();
    make(other.path(), 8, 2);
    std::fs::copy(
        other.path().join("flickr30k-images.tar"),
        dir.path().join("flickr30k-images.tar"),
    )
    .unwrap();
    let weights = "clip/model.safetensors";
    let right = std::fs::read(dir.path().join(weights)).unwrap();
    std::fs::copy(other.path().join(weights), dir.path().join(weights)).unwrap();
    edit(dir.path(), "seed = 0", "seed = 3");
    let out = at(dir.path(), &["run", "--locked", "pipeline.toml", "--format", "json"]);
    assert_eq!(code(&out), 1);
    let findings = object(&out)["error"]["findings"].clone();
    let messages: Vec<&str> =
        findings.as_array().unwrap().iter().map(|f| f["message"].as_str().unwrap()).collect();
    let expected = [
        "source `photos`: flickr30k-images.tar is another file than the lock names",
        "model `clip`: clip/model.safetensors is another file than the lock names",
        "stage `captions` is another than the lock names",
    ];
    assert_eq!(messages, expected);
    assert!(stderr(&out).contains("run without --locked, then `clipmill lock"), "{}", stderr(&out));
    assert_eq!(all_rows(&dir.path().join("store")), before);

    // As annotations, each on its block's line.
    let out = at(dir.path(), &["run", "--locked", "pipeline.toml", "--format", "github"]);
    assert_eq!(stdout(&out).lines().filter(|line| line.starts_with("::error ")).count(), 3);

    // Weights of another vocabulary do not fit the model's other files.
    std::fs::write(dir.path().join(weights), right).unwrap();
    // Without the flag the run does it, and a lock of that lets the next locked run pass.
    good(&at(dir.path(), &["run", "pipeline.toml"]));
    good(&at(dir.path(), &["lock", "pipeline.toml"]));
    let out = at(dir.path(), &["run", "--locked", "pipeline.toml", "--format", "json"]);
    good(&out);
    assert_eq!(object(&out)["refused"], serde_json::json!([]));
}

#[test]
fn a_locked_run_makes_the_tables_of_the_lock_in_a_new_store() {
    let dir = locked_demo(1);
    let copy = tempfile::tempdir().unwrap();
    for name in ["pipeline.toml", "clipmill.lock", "flickr30k-images.tar", "flickr30k.tar.gz"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    std::fs::create_dir(copy.path().join("clip")).unwrap();
    for entry in std::fs::read_dir(dir.path().join("clip")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join("clip").join(entry.file_name())).unwrap();
    }
    good(&at(copy.path(), &["run", "--locked", "pipeline.toml", "--junit", "run.xml"]));
    assert_eq!(all_rows(&dir.path().join("store")), all_rows(&copy.path().join("store")));
    let xml = std::fs::read_to_string(copy.path().join("run.xml")).unwrap();
    assert!(xml.contains("failures=\"0\""), "{xml}");
    assert!(xml.contains("classname=\"image_features\""), "{xml}");
}

/// The lock with another content for a table, as if the rows had been others when it was written.
fn falsify(dir: &Path, table: &str) {
    let text = lock_of(dir);
    let header = format!(".tables.{table}]\ncontent = \"");
    let start = text.find(&header).unwrap() + header.len();
    let text = format!("{}{}{}", &text[..start], "ab".repeat(32), &text[start + 64..]);
    std::fs::write(dir.join("clipmill.lock"), text).unwrap();
}

#[test]
fn tables_that_would_hold_something_else_are_not_published() {
    let dir = locked_demo(1);
    falsify(dir.path(), "image_features");
    std::fs::remove_dir_all(dir.path().join("store")).unwrap();
    let args = ["run", "--locked", "pipeline.toml", "--format", "json", "--junit", "run.xml"];
    let out = at(dir.path(), &args);
    assert_eq!(code(&out), 1, "{}", stderr(&out));
    let closing = object(&out);
    assert_eq!(closing["refused"].as_array().unwrap().len(), 1, "{closing}");
    assert_eq!(closing["refused"][0]["table"], "image_features");
    assert_eq!(closing["refused"][0]["kept_back"], true);
    assert_eq!(closing["held_back"], serde_json::json!(["examples"]));
    let said = stderr(&out);
    assert!(said.contains("not in the lock: image_features would hold "), "{said}");
    assert!(!dir.path().join("store/image_features/_delta_log").exists());
    assert!(dir.path().join("store/captions/_delta_log").exists());
    let xml = std::fs::read_to_string(dir.path().join("run.xml")).unwrap();
    assert!(xml.contains("it would hold other rows than the lock says"), "{xml}");

    // What was computed is taken over once nobody forbids it.
    let out = at(dir.path(), &["run", "pipeline.toml", "--format", "json"]);
    good(&out);
    let features = &object(&out)["tables"]["image_features"];
    assert_eq!((&features["computed"], &features["resumed"]), (&0.into(), &9.into()));
    // A table that is there already and is not the lock's is told too.
    let out = at(dir.path(), &["run", "--locked", "pipeline.toml", "--format", "json"]);
    assert_eq!(code(&out), 1);
    assert_eq!(object(&out)["refused"][0]["kept_back"], false);
}

#[test]
fn a_broken_contract_is_an_annotation_on_its_stage() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), 9, 1);
    let built_in = include_str!("../../schemas/image_features.toml");
    let check = "\n[checks.two_long.l2_norm]\ncolumn = \"embedding\"\nmin = 1.9\nmax = 2.1\n";
    std::fs::write(dir.path().join("strict.toml"), format!("{built_in}{check}")).unwrap();
    edit(dir.path(), SCALED, "normalize = false\ncontract = \"strict.toml\"");
    let out = at(dir.path(), &["run", "pipeline.toml", "--format", "github", "--junit", "run.xml"]);
    assert_eq!(code(&out), 4, "{}", stderr(&out));
    let text = std::fs::read_to_string(dir.path().join("pipeline.toml")).unwrap();
    let line = 1 + text.lines().position(|l| l.starts_with("[stages.image_features.")).unwrap();
    let start = format!(
        "::error file=pipeline.toml,line={line},col=9,title=contract broken%3A image_features::two_long: "
    );
    let said = stdout(&out);
    assert!(said.lines().any(|line| line.starts_with(&start)), "{start}\n{said}");
    let xml = std::fs::read_to_string(dir.path().join("run.xml")).unwrap();
    assert!(xml.contains("<testcase name=\"two_long\" classname=\"image_features\""), "{xml}");
    assert!(xml.contains("<failure message="), "{xml}");
    assert!(xml.contains("the table was not made"), "examples are skipped: {xml}");
}

#[test]
fn who_locks_without_data_loses_nothing_that_was_known_of_it() {
    let dir = locked_demo(1);
    let whole = lock_of(dir.path());
    std::fs::remove_dir_all(dir.path().join("store")).unwrap();
    std::fs::remove_dir_all(dir.path().join("clip")).unwrap();
    std::fs::remove_file(dir.path().join("flickr30k-images.tar")).unwrap();
    let out = at(dir.path(), &["lock", "pipeline.toml"]);
    good(&out);
    assert_eq!(lock_of(dir.path()), whole);
    assert!(stdout(&out).contains("kept as it was: source photos"), "{}", stdout(&out));

    // An edit drops what follows from it, and nothing else.
    edit(dir.path(), SCALED, PLAIN);
    let closing = object(&at(dir.path(), &["lock", "pipeline.toml", "--format", "json"]));
    let tables: Vec<&String> = closing["files"][0]["tables"].as_object().unwrap().keys().collect();
    assert_eq!(tables, ["caption_features", "captions", "images"], "{closing}");
    let out = at(dir.path(), &["check", "--locked", "pipeline.toml"]);
    good(&out);
    assert!(stderr(&out).contains("does not name all data and tables"), "{}", stderr(&out));
}

#[test]
fn tables_made_under_other_settings_are_not_locked() {
    let dir = locked_demo(1);
    edit(dir.path(), SCALED, PLAIN);
    let closing = object(&at(dir.path(), &["lock", "pipeline.toml", "--format", "json"]));
    let absent: Vec<&str> = closing["files"][0]["absent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().split(':').next().unwrap())
        .collect();
    assert_eq!(absent, ["table examples", "table image_features", "table rejects"], "{closing}");
}

#[test]
fn a_table_that_another_program_compacted_is_locked_and_runs_locked() {
    let dir = locked_demo(1);
    let log = dir.path().join("store/image_features/_delta_log");
    let commits = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path());
    let version = commits.filter(|path| path.extension().is_some_and(|e| e == "json")).count();
    let foreign = r#"{"commitInfo":{"timestamp":5,"operation":"OPTIMIZE"}}"#;
    std::fs::write(log.join(format!("{version:020}.json")), foreign).unwrap();
    let closing = object(&at(dir.path(), &["lock", "pipeline.toml", "--format", "json"]));
    let absent = closing["files"][0]["absent"].as_array().unwrap();
    assert!(absent.is_empty(), "{closing}");
    good(&at(dir.path(), &["run", "--locked", "pipeline.toml"]));
}

/// `git merge-file`, where git is there: the merged text, and how many conflicts.
fn merge(ours: &str, base: &str, theirs: &str) -> Option<(String, i32)> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("ours", ours), ("base", base), ("theirs", theirs)] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let out = Command::new("git")
        .current_dir(dir.path())
        .args(["merge-file", "-p", "ours", "base", "theirs"])
        .output();
    match out {
        Ok(out) => Some((String::from_utf8(out.stdout).unwrap(), out.status.code().unwrap_or(-1))),
        Err(cause) => {
            eprintln!("git is not there ({cause}): merging is not tested");
            None
        }
    }
}

#[test]
fn git_merges_the_locks_of_two_branches() {
    let dir = locked_demo(1);
    let base = lock_of(dir.path());
    let original = std::fs::read_to_string(dir.path().join("pipeline.toml")).unwrap();
    let branch = |from: &str, to: &str| -> String {
        edit(dir.path(), from, to);
        good(&at(dir.path(), &["run", "pipeline.toml"]));
        good(&at(dir.path(), &["lock", "pipeline.toml"]));
        let text = lock_of(dir.path());
        std::fs::write(dir.path().join("pipeline.toml"), &original).unwrap();
        std::fs::write(dir.path().join("clipmill.lock"), &base).unwrap();
        text
    };
    let captions = "captions = \"captions\"\nmodel = \"clip\"";
    // The second branch leaves the versions of the first one's tables behind it.
    let ours = branch(SCALED, PLAIN);
    good(&at(dir.path(), &["run", "pipeline.toml"]));
    let theirs = branch(captions, &format!("{captions}\n{PLAIN}"));
    let theirs = theirs_versions_as(&theirs, &base);
    assert_ne!(ours, base);
    assert_ne!(theirs, base);
    let Some((merged, conflicts)) = merge(&ours, &base, &theirs) else { return };
    assert_eq!(conflicts, 0, "{merged}");

    // The merged definition agrees with the merged lock, and is what a run of it makes.
    let both =
        original.replacen(SCALED, PLAIN, 1).replacen(captions, &format!("{captions}\n{PLAIN}"), 1);
    std::fs::write(dir.path().join("pipeline.toml"), both).unwrap();
    std::fs::write(dir.path().join("clipmill.lock"), merged).unwrap();
    good(&at(dir.path(), &["check", "--locked", "pipeline.toml"]));
    good(&at(dir.path(), &["run", "--locked", "pipeline.toml"]));

    // Both branches change one thing, differently: that is a conflict, as it should be.
    let third =
        ours.replace("settings.normalize\" = \"false\"", "settings.normalize\" = \"perhaps\"");
    assert_ne!(third, ours);
    let (_, conflicts) = merge(&ours, &base, &third).unwrap();
    assert!(conflicts > 0);
}

/// One store cannot be on two branches: the versions of tables that a branch did not change are
/// those of the base.
fn theirs_versions_as(theirs: &str, base: &str) -> String {
    let contents = |text: &str| -> Vec<(String, String)> {
        let lines: Vec<&str> = text.lines().collect();
        lines
            .windows(4)
            .filter(|w| w[0].contains(".tables."))
            .map(|w| (format!("{}\n{}", w[0], w[1]), w[3].to_owned()))
            .collect()
    };
    let known = contents(base);
    let mut out = theirs.to_owned();
    for (section, version) in contents(theirs) {
        if let Some((_, was)) = known.iter().find(|(other, _)| *other == section) {
            let rows = out.find(&section).unwrap();
            let at = rows + out[rows..].find(&version).unwrap();
            out.replace_range(at..at + version.len(), was);
        }
    }
    out
}

#[test]
fn definitions_of_one_folder_share_a_lock_and_merge() {
    let dir = bare();
    let base = lock_of(dir.path());
    let text = std::fs::read_to_string(dir.path().join("pipeline.toml")).unwrap();
    let lock_with = |name: &str| -> String {
        std::fs::write(dir.path().join(name), &text).unwrap();
        good(&at(dir.path(), &["lock", name]));
        let lock = lock_of(dir.path());
        std::fs::write(dir.path().join("clipmill.lock"), &base).unwrap();
        lock
    };
    let (ours, theirs) = (lock_with("a.toml"), lock_with("z.toml"));
    let Some((merged, conflicts)) = merge(&ours, &base, &theirs) else { return };
    assert_eq!(conflicts, 0, "{merged}");
    std::fs::write(dir.path().join("clipmill.lock"), &merged).unwrap();
    let out = at(
        dir.path(),
        &["check", "--locked", "a.toml", "pipeline.toml", "z.toml", "--format", "json"],
    );
    good(&out);
    let files: Vec<Value> = object(&out)["files"].as_array().unwrap().clone();
    assert!(files.iter().all(|file| file["lock"]["agrees"] == true), "{files:?}");
}

#[test]
fn a_lock_that_cannot_be_read_is_written_anew_by_what_its_help_names() {
    let dir = bare();
    let whole = lock_of(dir.path());
    let lock = dir.path().join("clipmill.lock");
    let with = |head: &str| whole.replacen("format = 1", head, 1);
    for text in [String::new(), with("format = 1\nfoo = \"bar\""), with("format = 0")] {
        std::fs::write(&lock, &text).unwrap();
        let out = at(dir.path(), &["check", "--locked", "pipeline.toml"]);
        assert_eq!(code(&out), 1);
        assert!(stderr(&out).contains("help: it is not meant to be edited"), "{}", stderr(&out));
        let out = at(dir.path(), &["lock", "pipeline.toml"]);
        good(&out);
        assert!(stdout(&out).contains("written anew: "), "{}", stdout(&out));
        assert_eq!(lock_of(dir.path()), whole);
    }
    // One of a newer clipmill, or of two branches, is not written over.
    for text in [with("format = 2\nnew = 3"), format!("<<<<<<< a\n{whole}")] {
        std::fs::write(&lock, &text).unwrap();
        let out = at(dir.path(), &["lock", "pipeline.toml"]);
        assert_eq!(code(&out), 1);
        assert!(stderr(&out).contains("\nhelp: "), "{}", stderr(&out));
        assert_eq!(lock_of(dir.path()), text);
    }
}

#[test]
fn a_definition_that_is_gone_leaves_the_lock() {
    let dir = bare();
    let alone = lock_of(dir.path());
    std::fs::copy(dir.path().join("pipeline.toml"), dir.path().join("old.toml")).unwrap();
    good(&at(dir.path(), &["lock", "old.toml"]));
    assert!(lock_of(dir.path()).contains("old.toml"));
    std::fs::remove_file(dir.path().join("old.toml")).unwrap();
    let out = at(dir.path(), &["lock", "pipeline.toml"]);
    good(&out);
    assert!(stdout(&out).contains("left out, its file is gone: old.toml"), "{}", stdout(&out));
    assert_eq!(lock_of(dir.path()), alone);
}
