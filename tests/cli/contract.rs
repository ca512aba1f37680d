//! A contract that does not hold: its own exit code, the rows that break it, and the old version.

use super::shop::{all_rows, clipmill, code, make, object, run_in, stderr};

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
