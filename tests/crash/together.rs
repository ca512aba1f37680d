//! Two runs at once on one store.

use std::process::{Child, Output};

use super::binary;
use super::house::{self, House, caption_lines, pictures};
use super::tables::{self, Tables};

const IMAGES: usize = 16;

/// Two definitions over one store: one makes images and their features, one captions and theirs.
fn pair() -> (House, String, String) {
    let house = House::new(IMAGES);
    let whole = house::DEFINITION;
    let captions = whole.find("[stages.captions.").unwrap();
    let examples = whole.find("[stages.examples.").unwrap();
    let stages = whole.find("[stages.images.").unwrap();
    let images = whole[..captions].to_owned();
    let texts = whole[..stages].to_owned()
        + &whole[captions..examples].replace("images = \"images\"\n", "");
    (house, images, texts)
}

fn write(house: &House, name: &str, text: &str) {
    house::put(&house.path(name), text.as_bytes());
}

fn start(house: &House, definition: &str, more: &[&str]) -> Child {
    let mut command = binary::clipmill();
    command.arg("run").arg(house.path(definition)).args(["--format", "json"]).args(more);
    let piped = std::process::Stdio::piped;
    command.stdout(piped()).stderr(piped()).spawn().unwrap()
}

fn both(house: &House, definitions: [&str; 2], more: &[&str]) -> [Output; 2] {
    let children = definitions.map(|definition| start(house, definition, more));
    children.map(|child| child.wait_with_output().unwrap())
}

/// Each ended right, or failed and said who has the store; at least one ended right.
fn right_or_busy(outs: &[Output; 2]) -> usize {
    let mut right = 0;
    for out in outs {
        if out.status.success() {
            right += 1;
            continue;
        }
        let said = binary::said(out);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("is being written by process"), "{said}");
        let object: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(object["error"]["code"], "busy");
    }
    assert!(right > 0, "{}{}", binary::said(&outs[0]), binary::said(&outs[1]));
    right
}

fn expected(house: &House, definitions: &[&str]) -> Tables {
    for definition in definitions {
        let out = start(house, definition, &[]).wait_with_output().unwrap();
        assert!(out.status.success(), "{}", binary::said(&out));
    }
    let made = tables::read(&house.path("store"));
    std::fs::remove_dir_all(house.path("store")).unwrap();
    made
}

#[test]
fn of_the_same_tables() {
    let house = House::new(IMAGES);
    let one = expected(&house, &["pipeline.toml"]);
    for more in [&[][..], &["--wait"]] {
        for round in 0..3 {
            let outs = both(&house, ["pipeline.toml"; 2], more);
            let right = right_or_busy(&outs);
            assert!(more.is_empty() || right == 2, "who waits ends right");
            tables::assert_same(&tables::read(&house.path("store")), &one, &format!("{round}"));
            std::fs::remove_dir_all(house.path("store")).unwrap();
        }
    }
}

#[test]
fn of_different_tables() {
    let (house, images, texts) = pair();
    write(&house, "images.toml", &images);
    write(&house, "texts.toml", &texts);
    let all = expected(&house, &["images.toml", "texts.toml"]);
    assert_eq!(all.len(), 5, "{:?}", all.keys());
    for order in [["images.toml", "texts.toml"], ["texts.toml", "images.toml"]] {
        let outs = both(&house, order, &["--wait"]);
        assert_eq!(right_or_busy(&outs), 2);
        tables::assert_same(&tables::read(&house.path("store")), &all, order[0]);
        std::fs::remove_dir_all(house.path("store")).unwrap();

        // Without waiting one may fail; it is then right when it is started again.
        right_or_busy(&both(&house, order, &[]));
        for definition in order {
            assert!(start(&house, definition, &[]).wait().unwrap().success());
        }
        tables::assert_same(&tables::read(&house.path("store")), &all, order[1]);
        std::fs::remove_dir_all(house.path("store")).unwrap();
    }
}

#[test]
fn of_different_models_never_mix() {
    let house = House::new(IMAGES);
    house.images(&pictures(IMAGES));
    house.captions(&caption_lines(IMAGES));
    let other = house::DEFINITION.replace("batch_size = 4", "batch_size = 4\nnormalize = false");
    write(&house, "other.toml", &other);
    let first = expected(&house, &["pipeline.toml"]);
    let second = expected(&house, &["other.toml"]);
    assert_ne!(first["image_features"], second["image_features"]);
    for order in [["pipeline.toml", "other.toml"], ["other.toml", "pipeline.toml"]] {
        let outs = both(&house, order, &["--wait"]);
        assert_eq!(right_or_busy(&outs), 2);
        let now = tables::read(&house.path("store"));
        let features = &now["image_features"];
        assert!(*features == first["image_features"] || *features == second["image_features"]);
        std::fs::remove_dir_all(house.path("store")).unwrap();
    }
}
