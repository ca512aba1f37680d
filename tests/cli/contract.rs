//! A contract that does not hold: its own exit code, the rows that break it, and the old version.

use std::path::Path;

use clipmill::sources::write::TarWriter;

use super::shop::{all_rows, clipmill, code, make, object, run_in, stderr, stdout};

const CHECK: &str = "\n[checks.two_long.l2_norm]\ncolumn = \"embedding\"\nmin = 1.9\nmax = 2.1\n";

#[test]
fn a_broken_contract_is_4_and_readers_keep_the_old_version() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    make(dir.path(), 10, 1);
    make(other.path(), 14, 2);
    let store = dir.path().join("store");
    let before = all_rows(&store);
    for archive in ["flickr30k-images.tar", "flickr30k.tar.gz"] {
        std::fs::copy(other.path().join(archive), dir.path().join(archive)).unwrap();
    }
    let built_in = include_str!("../../schemas/image_features.toml");
    std::fs::write(dir.path().join("strict.toml"), format!("{built_in}{CHECK}")).unwrap();
    let strict = ["--set", "stages.image_features.contract=strict.toml"];

    let out = run_in(dir.path(), &strict);
    assert_eq!(code(&out), 4, "{}", stderr(&out));
    let closing = object(&out);
    assert_eq!(closing["exit_code"], 4);
    let broken: Vec<_> = closing["broken"].as_array().unwrap().iter().collect();
    assert_eq!(broken.len(), 1, "{closing}");
    assert_eq!(broken[0]["table"], "image_features");
    assert_eq!(broken[0]["check"], "two_long");
    let rows = broken[0]["rows"].as_array().unwrap();
    assert!(!rows.is_empty(), "{closing}");
    let said = stderr(&out);
    assert!(said.contains("contract broken: image_features\n  two_long: "), "{said}");
    for row in rows {
        assert!(said.contains(row.as_str().unwrap()), "{said}");
    }
    // Rows beyond those that are shown are counted.
    assert_eq!((rows.len(), &broken[0]["count"]), (10, &14.into()), "{closing}");
    assert!(said.contains("\n    … and 4 more\n"), "{said}");
    assert!(said.contains("not made because of that: examples"), "{said}");

    // Whoever reads the table sees what was there, and a second try breaks on the same rows.
    let after = all_rows(&store);
    assert_eq!(before[1], after[1], "image_features");
    assert_eq!(before[4], after[4], "examples");
    assert_eq!(code(&run_in(dir.path(), &strict)), 4);

    // The table of people marks what was not published.
    let human =
        clipmill().arg("run").arg(dir.path().join("pipeline.toml")).args(strict).output().unwrap();
    let said = String::from_utf8(human.stdout).unwrap();
    for (table, outcome) in [("image_features", "contract broken"), ("examples", "held back")] {
        let row = said.lines().find(|line| line.starts_with(&format!("│ {table} "))).unwrap();
        assert!(row.contains(outcome), "{said}");
    }

    // With the contract mended, what was computed is taken over.
    let out = run_in(dir.path(), &[]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let made = &object(&out)["tables"]["image_features"];
    assert_eq!((&made["rows"], &made["computed"]), (&14.into(), &0.into()), "{made}");
    assert_eq!(made["resumed"], 14);
    let human = clipmill().arg("run").arg(dir.path().join("pipeline.toml")).output().unwrap();
    assert_eq!(code(&human), 0);
}

/// A shard of pages that somebody saved in place of pictures.
fn pages(path: &Path, count: usize) {
    let mut tar = TarWriter::new(Vec::new());
    for n in 0..count {
        tar.file(&format!("page-{n}.jpg"), b"<html>404: not found</html>", 0).unwrap();
    }
    std::fs::write(path, tar.finish().unwrap()).unwrap();
}

#[test]
fn too_many_rejects_break_a_contract_although_no_row_changes() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), 10, 1);
    let definition = dir.path().join("pipeline.toml");
    let text = std::fs::read_to_string(&definition).unwrap();
    let text = text
        .replace("paths = \"flickr30k-images.tar\"", "paths = \"*.tar\"")
        .replace("source = \"photos\"", "source = \"photos\"\ncontract = \"few.toml\"");
    std::fs::write(&definition, text).unwrap();
    let built_in = include_str!("../../schemas/images.toml");
    assert!(built_in.contains("\nmax = 1.0\n"));
    let few = built_in.replace("\nmax = 1.0\n", "\nmax = 0.2\n")
        + "\n[checks.few_unknown.reject_share]\nmax = 0.3\nclass = \"unknown_format\"\n";
    std::fs::write(dir.path().join("few.toml"), few).unwrap();
    let junit = dir.path().join("junit.xml");
    let junit_arg = ["--junit", junit.to_str().unwrap()];
    let run = || run_in(dir.path(), &junit_arg);
    let plan = |format: &str| {
        let mut command = clipmill();
        command.arg("plan").arg(&definition).args(["--detailed-exitcode", "--format", format]);
        command.output().unwrap()
    };
    let shard = dir.path().join("more.tar");
    pages(&shard, 2);
    assert_eq!(code(&run()), 0, "two of twelve may be refused");
    let settled = run();
    assert_eq!(code(&settled), 0, "{}", stderr(&settled));
    let before = all_rows(&dir.path().join("store"));

    pages(&shard, 5);
    for time in ["first", "again", "after a plan"] {
        let out = run();
        assert_eq!(code(&out), 4, "{time}: {}", stderr(&out));
        let closing = object(&out);
        let broken = closing["broken"].as_array().unwrap();
        let checks: Vec<_> = broken.iter().map(|one| (&one["table"], &one["check"])).collect();
        let images = &"images".into();
        let names = [&"rejects_are_few".into(), &"few_unknown".into()];
        assert_eq!(checks, names.map(|name| (images, name)), "{time}: {closing}");
        assert_eq!(broken[0]["rows"], serde_json::json!(["unknown_format: 5"]), "{time}");
        let said = stderr(&out);
        let share = "rejects_are_few: at most 20.000 % are rejects; 5 of 15 are, 33.333 %";
        assert!(said.contains(share) && said.contains("\n    unknown_format: 5\n"), "{said}");
        assert!(said.contains("not made because of that: image_features"), "{said}");
        let cases = std::fs::read_to_string(&junit).unwrap();
        assert!(cases.contains("failures=\"2\""), "{time}: {cases}");
        let after = all_rows(&dir.path().join("store"));
        assert_eq!(before[..5], after[..5], "readers keep what was there");

        let planned = plan("json");
        assert_eq!(code(&planned), 2, "{time}: {}", stdout(&planned));
        let foretold = object(&planned);
        assert_eq!(foretold["broken"], closing["broken"], "{time}");
        assert_eq!(foretold["pending_tables"], serde_json::json!([]), "{time}");
    }
    let told = stdout(&plan("human"));
    assert!(told.contains("\ncontract broken: images\n  rejects_are_few: at most"), "{told}");
    assert!(told.contains("\nNothing to make, and a run ends with 4"), "{told}");

    std::fs::remove_file(&shard).unwrap();
    let out = run();
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    assert_eq!(object(&out)["rejects"], serde_json::json!({}));
    assert_eq!(code(&plan("json")), 0);
}

#[test]
fn a_table_that_loses_all_its_rows_is_told() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), 10, 1);
    pages(&dir.path().join("flickr30k-images.tar"), 10);
    let run = || clipmill().arg("run").arg(dir.path().join("pipeline.toml")).output().unwrap();
    let out = run();
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let said = stdout(&out);
    for table in ["images", "image_features"] {
        let line = format!("`{table}` is empty now: the 10 rows of before went");
        assert!(said.contains(&line), "{said}");
    }
    assert!(said.contains("`clipmill restore STORE images 0` brings them back"), "{said}");
    assert!(!said.contains("`rejects` is empty"), "{said}");
    // Once is enough: the next run changes nothing.
    assert!(!stdout(&run()).contains("is empty"));
    // A store that has nothing to lose.
    std::fs::remove_dir_all(dir.path().join("store")).unwrap();
    let said = stdout(&run());
    assert!(
        said.contains("`images` is empty: nothing of what it was to hold could be used"),
        "{said}"
    );
}
