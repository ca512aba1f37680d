//! `clipmill plan` for a script: exit codes and the shape of its JSON.

use std::path::Path;
use std::process::Output;

use super::shop::{IMAGES, clipmill, code, object, shop, stderr};

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
