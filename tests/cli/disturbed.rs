//! Runs that are stopped half way, kindly and not: the next one ends where an undisturbed one does.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};

use std::sync::Arc;

use clipmill::base::clock::SystemClock;
use clipmill::table::Store;

use super::shop::{TABLES, all_rows, clipmill, code, object, run_in, shop, stderr};

/// Starts a run and comes back once it said `line` on standard error.
fn run_until(folder: &Path, line: &str) -> (Child, impl Read + use<>) {
    let mut child = clipmill()
        .arg("run")
        .arg(folder.join("pipeline.toml"))
        // Small batches, so that a stop finds work left.
        .args(["--set", "stages.image_features.batch_size=2"])
        .args(["--set", "stages.caption_features.batch_size=2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(line) {
        assert_ne!(err.read_line(&mut said).unwrap(), 0, "it ended before `{line}`: {said}");
    }
    (child, err)
}

fn send(signal: &str, to: &Child) {
    assert!(crate::signal::send(signal, to.id()));
}

/// That readers see each table as an undisturbed run leaves it, or none of it; the rows that wait for
/// the next run, by table.
fn waiting(folder: &Path) -> Vec<(&'static str, u64)> {
    let open = |store: &Path| Store::open(store, Arc::new(SystemClock)).unwrap();
    let (ours, undisturbed) = (open(&folder.join("store")), open(&shop().store()));
    let rows = |store: &Store, table| store.snapshot(table).unwrap().map(|now| now.rows());
    let waits = |table: &'static str| {
        let seen = rows(&ours, table);
        assert!(seen.is_none() || seen == rows(&undisturbed, table), "{table}: {seen:?} rows");
        (table, ours.staged(table).unwrap().iter().map(|part| part.rows).sum())
    };
    TABLES.map(waits).into()
}

fn the_next_run_completes(folder: &Path) -> serde_json::Value {
    let out = run_in(folder, &[]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    for ((table, ours), (_, undisturbed)) in
        all_rows(&folder.join("store")).iter().zip(all_rows(&shop().store()))
    {
        assert!(*ours == undisturbed, "{table} differs from an undisturbed run's");
    }
    let again = object(&run_in(folder, &[]));
    assert_eq!(again["tables"]["caption_features"]["computed"], 0);
    object(&out)
}

#[test]
fn ctrl_c_is_130_says_how_to_go_on_and_loses_nothing() {
    for table in ["image_features", "caption_features"] {
        let copy = shop().without_store();
        let (child, mut err) = run_until(copy.path(), &format!("{table}: model `clip`"));
        send("-INT", &child);
        let mut said = String::new();
        err.read_to_string(&mut said).unwrap();
        let out = child.wait_with_output().unwrap();
        let printed = String::from_utf8(out.stdout).unwrap();
        assert_eq!(out.status.code(), Some(130), "{table}: {printed}{said}");
        assert!(said.contains("stopping: the batches in flight are finished and kept"), "{said}");
        let definition = copy.path().join("pipeline.toml");
        let go_on = format!(
            "Go on with: clipmill run {} --set stages.image_features.batch_size=2 --set {}\n",
            definition.display(),
            "stages.caption_features.batch_size=2"
        );
        assert!(printed.contains(&go_on), "{printed}");

        let waiting = waiting(copy.path());
        let made = the_next_run_completes(copy.path());
        for (of, rows) in waiting {
            let now = &made["tables"][of];
            assert_eq!(now["resumed"], rows, "{of}: {made}");
            // So few rows may all be there already, or none yet.
            if rows > 0 {
                assert_eq!(now["computed"], now["rows"].as_u64().unwrap() - rows, "{of}: {made}");
                let row = printed.lines().find(|line| line.starts_with(&format!("│ {of} ")));
                assert!(row.is_some_and(|row| row.contains("kept aside")), "{printed}");
                let note = format!("{of}: the rows made so far are kept aside, and there is no ");
                assert!(said.contains(&note), "{said}");
            }
        }
    }
}

#[test]
fn a_killed_run_is_taken_up_by_the_next() {
    for table in ["image_features", "caption_features"] {
        let copy = shop().without_store();
        let (mut child, _err) = run_until(copy.path(), &format!("{table}: model `clip`"));
        send("-KILL", &child);
        assert_eq!(child.wait().unwrap().code(), None);
        the_next_run_completes(copy.path());
    }
}

#[test]
fn a_second_run_on_one_store_fails_clearly_or_waits() {
    let copy = shop().without_store();
    let (mut child, mut err) = run_until(copy.path(), "image_features: model `clip`");
    send("-STOP", &child);
    let out = run_in(copy.path(), &[]);
    send("-CONT", &child);
    assert_eq!(code(&out), 1, "{}", stderr(&out));
    assert_eq!(object(&out)["error"]["code"], "busy");
    assert!(stderr(&out).contains(&child.id().to_string()), "{}", stderr(&out));
    let waited = run_in(copy.path(), &["--wait"]);
    assert_eq!(code(&waited), 0, "{}", stderr(&waited));
    let mut said = String::new();
    err.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    the_next_run_completes(copy.path());
}
