//! A full disk: said clearly, nothing lost, gone on with after space is made.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use clipmill::base::Kind;
use clipmill::run::Means;

use super::binary;
use super::faulty::{Fault, Faulty, is_below};
use super::shapes::{Packing, Plan, Shape};
use super::tables;

const PLAN: Plan = Plan {
    packing: Packing::TarGz,
    before: 4,
    after: 24,
    bad: false,
    captions: true,
    part_rows: 8,
};

#[test]
fn storage_that_fills_up_anywhere() {
    let shape = Shape::new(PLAN);
    let means =
        |storage: &Arc<Faulty>| Means { storage: Arc::clone(storage) as _, ..Means::default() };
    let counted = Arc::new(Faulty::new(None));
    shape.house.run_on(&means(&counted), |_| ()).unwrap();
    let operations = counted.done();
    let mut full = 0;
    for at in (0..operations).step_by(1 + operations as usize / 24) {
        let when = format!("full from operation {at} of {operations}");
        shape.reset();
        let storage = Arc::new(Faulty::new(Some((Fault::Full, at))));
        let result = shape.house.run_on(&means(&storage), |_| ());
        tables::assert_whole(&tables::read(&shape.store()), &shape.old, &shape.new, &when);
        if let Err(error) = result {
            full += 1;
            assert_eq!(error.kind(), Kind::Io, "{when}: {error:?}");
            assert!(is_below(error.place(), &shape.store()), "{when}: {error:?}");
            let help = error.help_text().unwrap_or_default();
            assert!(help.contains("disk is full: make space"), "{when}: {error:?}");
        }
        let report = shape.house.run().unwrap();
        assert!(report.broken.is_empty(), "{when}");
        tables::assert_same(&tables::read(&shape.store()), &shape.new, &when);
    }
    assert!(full > 15, "{full}");
}

/// Fills a real file system of a few hundred KiB, in a mount namespace of its own.
#[test]
fn a_file_system_that_is_too_small() {
    let shape = Shape::new(PLAN);
    let folder = shape.house.dir.path();
    let probe = Command::new("unshare")
        .args(["--mount", "sh", "-c", "mount -t tmpfs none \"$0\""])
        .arg(folder.join("clip"))
        .output();
    if !probe.is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: no right to mount a file system here");
        return;
    }
    // The size leaves room for the store as it was and a little more, so that the run is cut off
    // in its middle.
    let used = Command::new("du").args(["-sk"]).arg(shape.store()).output().unwrap();
    let used: u64 =
        String::from_utf8(used.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    let mut cut_off = 0;
    for more_kib in [16, 64, 160, 320] {
        let script = folder.join("script.sh");
        std::fs::write(&script, SCRIPT).unwrap();
        let out = Command::new("unshare")
            .args(["--mount", "sh"])
            .arg(&script)
            .arg(folder)
            .arg(assert_cmd::cargo::cargo_bin!("clipmill"))
            .arg((used + more_kib).to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &binary::said(&out);
        assert!(out.status.success(), "{text}");
        if text.contains("first code 1") {
            cut_off += 1;
            assert!(text.contains("make space and run again"), "{text}");
            assert!(text.contains("No space left on device"), "{text}");
            assert!(text.contains(&shape.store().display().to_string()), "{text}");
        }
        tables::assert_whole(
            &tables::read(&folder.join("seen")),
            &shape.old,
            &shape.new,
            &format!("{more_kib} KiB"),
        );
        tables::assert_same(
            &tables::read(&folder.join("done")),
            &shape.new,
            &format!("{more_kib} KiB, with space"),
        );
        remove(&folder.join("seen"));
        remove(&folder.join("done"));
    }
    assert!(cut_off >= 2, "{cut_off} of the sizes were too small");
}

fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
}

/// Arguments: the folder, the binary, the size in KiB.
const SCRIPT: &str = r#"
set -e
cd "$1"
cp -r store kept-aside
mount -t tmpfs -o size="$3"k none store
cp -r kept-aside/. store/
rm -r kept-aside
code=0
"$2" run pipeline.toml || code=$?
echo "first code $code"
cp -r store seen
mount -o remount,size=64m store
"$2" run pipeline.toml
cp -r store done
"#;
