//! Two runs at once on one store.

use std::process::{Child, Output};
use std::sync::Arc;
use std::time::Duration;

use clipmill::base::clock::SystemClock;
use clipmill::table::Store;

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

/// Whether the process has the store.
fn holds(house: &House, child: &Child) -> bool {
    let store = Store::open(&house.path("store"), Arc::new(SystemClock));
    store.is_ok_and(|store| store.holder().is_some_and(|holder| holder.pid == child.id()))
}

fn send(signal: &str, to: &Child) {
    assert!(house::signal::send(signal, to.id()));
}

/// A run that stands still amid its work, with the store in its hand.
fn held(house: &House, definition: &str) -> Child {
    for _ in 0..10 {
        let mut child = start(house, definition, &[]);
        while child.try_wait().unwrap().is_none() {
            if holds(house, &child) {
                send("-STOP", &child);
                // it may have let go between the look and the signal
                std::thread::sleep(Duration::from_millis(20));
                if holds(house, &child) {
                    return child;
                }
                send("-CONT", &child);
                break;
            }
        }
        child.wait().unwrap();
        std::fs::remove_dir_all(house.path("store")).unwrap();
    }
    panic!("no run was seen at work");
}

#[test]
fn who_comes_second_is_told_or_waits() {
    let (house, images, texts) = pair();
    write(&house, "images.toml", &images);
    write(&house, "texts.toml", &texts);
    let whole = expected(&house, &["pipeline.toml"]);
    let both = expected(&house, &["images.toml", "texts.toml"]);
    let cases = [("pipeline.toml", "pipeline.toml", &whole), ("images.toml", "texts.toml", &both)];
    for (one, two, all) in cases {
        let first = held(&house, one);
        let second = start(&house, two, &[]).wait_with_output().unwrap();
        assert_eq!(second.status.code(), Some(1), "{two}: {}", binary::said(&second));
        let mut waits = start(&house, two, &["--wait"]);
        std::thread::sleep(Duration::from_millis(400));
        assert!(waits.try_wait().unwrap().is_none(), "{two} does not wait");
        assert!(holds(&house, &first));
        let pid = first.id();
        send("-CONT", &first);
        let first = first.wait_with_output().unwrap();
        assert_eq!(right_or_busy(&[first, second.clone()]), 1, "exactly one is busy");
        assert!(binary::said(&second).contains(&format!("by process {pid}")), "names who has it");
        assert!(waits.wait().unwrap().success(), "{two} is right after it waited");
        tables::assert_same(&tables::read(&house.path("store")), all, two);
        std::fs::remove_dir_all(house.path("store")).unwrap();
    }
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
