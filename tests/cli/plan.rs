//! `clipmill plan` for a script: exit codes and the shape of its JSON.

use std::path::Path;
use std::process::Output;

use super::shop::{IMAGES, clipmill, code, object, shop, stderr, stdout};

fn plan(definition: &Path, more: &[&str]) -> Output {
    let mut command = clipmill();
    command.arg("plan").arg(definition).args(["--format", "json"]).args(more);
    command.output().unwrap()
}

#[test]
fn exit_codes_and_rows_by_table_and_reason() {
    let done = plan(&shop().definition(), &["--detailed-exitcode"]);
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let told = object(&done);
    assert_eq!((&told["pending"], &told["exit_code"]), (&false.into(), &0.into()), "{told}");
    assert_eq!(told["tables"]["image_features"]["up_to_date"], IMAGES, "{told}");

    let bare = shop().without_store();
    let definition = bare.path().join("pipeline.toml");
    let pending = plan(&definition, &["--detailed-exitcode"]);
    assert_eq!(code(&pending), 2, "{}", stderr(&pending));
    let told = object(&pending);
    assert_eq!((&told["pending"], &told["exit_code"]), (&true.into(), &2.into()), "{told}");
    assert_eq!(told["tables"]["image_features"]["new"], IMAGES, "{told}");
    assert_eq!(code(&plan(&definition, &[])), 0, "work to do is no failure unless asked");
    assert!(!bare.path().join("store").exists(), "a plan writes nothing");

    let missing = plan(&bare.path().join("none.toml"), &["--detailed-exitcode"]);
    assert_eq!(code(&missing), 1, "{}", stderr(&missing));
}

#[test]
fn the_run_that_a_plan_names_is_the_one_it_looked_at() {
    let bare = shop().without_store();
    let folder = bare.path().join("my data");
    std::fs::create_dir(&folder).unwrap();
    let definition = folder.join("it's mine.toml");
    let text = std::fs::read_to_string(bare.path().join("pipeline.toml")).unwrap();
    std::fs::write(&definition, text.replace("path = \"", "path = \"../")).unwrap();
    for archive in ["flickr30k-images.tar", "flickr30k.tar.gz"] {
        std::fs::copy(bare.path().join(archive), folder.join(archive)).unwrap();
    }
    let store = "pipeline.store=the store";
    let flags = ["--set", store, "--only", "captions", "--retry-rejects"];
    let out = clipmill().arg("plan").arg(&definition).args(flags).output().unwrap();
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let printed = stdout(&out);
    let line = printed.lines().find_map(|line| line.strip_prefix("Carry it out with: clipmill "));
    let line = line.unwrap_or_else(|| panic!("{printed}"));
    // A shell takes it as it is printed.
    let script = format!("'{}' {line}", assert_cmd::cargo::cargo_bin!("clipmill").display());
    let ran = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert_eq!(code(&ran), 0, "{line}: {}", stderr(&ran));
    let made = folder.join("the store");
    assert!(made.join("captions").is_dir() && made.join("images").is_dir(), "{line}");
    assert!(!made.join("image_features").exists(), "{line}");
}

#[test]
fn an_archive_that_was_cut_short_is_told_of_by_the_plan_and_by_the_run_that_meets_it_first() {
    let bare = shop().without_store();
    let archive = bare.path().join("flickr30k-images.tar");
    let bytes = std::fs::read(&archive).unwrap();
    std::fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    let definition = bare.path().join("pipeline.toml");
    let perform = |command: &str| {
        let done = clipmill().arg(command).arg(&definition).args(["--only", "images"]).output();
        let done = done.unwrap();
        assert_eq!(code(&done), 0, "{}", stderr(&done));
        stdout(&done)
    };
    let why = "broken_member: the archive ends in the middle of it";
    let planned = perform("plan");
    let told = planned.lines().position(|line| line == "Would be rejected, and was not before, 1:");
    let told = told.unwrap_or_else(|| panic!("{planned}"));
    let line = planned.lines().nth(told + 1).unwrap();
    assert!(line.starts_with("  images: photos/") && line.ends_with(why), "{planned}");
    let object = object(&plan(&definition, &["--only", "images"]));
    assert_eq!(object["new_rejects"]["rows"], 1, "{object}");
    assert_eq!(object["new_rejects"]["first"][0]["class"], "broken_member", "{object}");

    let ran = perform("run");
    assert!(ran.contains(&format!("New among them, 1:\n{line}\n")), "{ran}");
    let query = ran.lines().find_map(|line| line.strip_prefix("All rejects: clipmill "));
    let script = assert_cmd::cargo::cargo_bin!("clipmill").display().to_string();
    let script = format!("'{script}' {} --format json", query.unwrap_or_else(|| panic!("{ran}")));
    let told = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(stdout(&told).contains("the archive ends in the middle of it"), "{}", stderr(&told));
    let again = perform("run");
    assert!(again.contains("Rejected 1: broken_member 1.\n"), "{again}");
    assert!(!again.contains("New among them"), "{again}");
    assert!(!perform("plan").contains("Would be rejected"), "known by now");
}
