//! What `explain` says of each kind of change: both sides of every comparison, in words.

use std::collections::BTreeMap;
use std::process::Command;

use super::house::{self, House, caption_lines, id, picture, pictures};

const IMAGES: usize = 3;

/// A change, and the image that somebody asks about.
struct Asked {
    what: &'static str,
    change: fn(&House),
    image: usize,
}

const fn asked(what: &'static str, change: fn(&House), image: usize) -> Asked {
    Asked { what, change, image }
}

fn images(house: &House, edit: impl FnOnce(&mut house::Images)) {
    let mut images = pictures(IMAGES);
    edit(&mut images);
    house.images(&images);
}

fn captions(house: &House, edit: impl FnOnce(&mut Vec<String>)) {
    let mut lines = caption_lines(IMAGES);
    edit(&mut lines);
    house.captions(&lines);
}

fn define(house: &House, from: &str, to: &str) {
    assert!(house::DEFINITION.contains(from));
    house.define(&house::DEFINITION.replace(from, to));
}

#[rustfmt::skip]
const ASKED: &[Asked] = &[
    asked("nothing changed", |_| (), 0),
    asked("the image's bytes changed", |h| images(h, |i| i[2].1 = picture(9)), 2),
    asked("the image moved", |h| images(h, |i| i[2].0 = format!("deep/{}", i[2].0)), 2),
    asked("the image is new", |h| images(h, |i| i.push((format!("{}.jpg", id(3)), picture(3)))), 3),
    asked("the image is gone", |h| images(h, |i| { i.pop(); }), 2),
    asked("the image is cut off", |h| { images(h, |i| i[2].1.truncate(200)); h.run().unwrap(); }, 2),
    asked("a caption changed", |h| captions(h, |l| l[1] = l[1].replace("picture", "pixture")), 0),
    asked("weights changed", |h| h.model(8), 0),
    asked("a setting changed", |h| define(h, "batch_size = 4", "normalize = false"), 0),
    asked("the numeric type changed", |h| define(h, "path = \"clip\"", "path = \"clip\"\ndtype = \"bf16\""), 0),
    asked("captions are cleaned", |h| define(h, "source = \"sentences\"", "source = \"sentences\"\nclean = [\"whitespace\"]"), 0),
    asked("a part is gone", |h| {
        let parts = h.store().snapshot("image_features").unwrap().unwrap().part_paths();
        std::fs::remove_file(&parts[0]).unwrap();
    }, 0),
];

/// Digests become letters, in the order in which they are named; names of parts, which hold the
/// time, go.
fn redacted(text: &str) -> String {
    let mut known = BTreeMap::new();
    let mut word = |word: &str| {
        let bare = word.trim_end_matches([',', ';']);
        if bare.starts_with("part-") {
            return word.replace(bare, "part-….parquet");
        }
        if bare.len() != 12 || !bare.chars().all(|c| c.is_ascii_hexdigit()) {
            return word.to_owned();
        }
        let next = char::from(b'A' + u8::try_from(known.len()).unwrap());
        word.replace(bare, &format!("«{}»", known.entry(bare.to_owned()).or_insert(next)))
    };
    let lines = text.lines().map(|line| {
        let words: Vec<_> = line.split(' ').map(&mut word).collect();
        words.join(" ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn explain(house: &House, image: usize) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_clipmill"))
        .args(["explain", "pipeline.toml", &id(image)])
        .current_dir(house.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn both_sides_of_every_comparison_are_shown() {
    let mut out = Vec::new();
    for one in ASKED {
        let house = House::new(IMAGES);
        house.run().unwrap();
        (one.change)(&house);
        let text = explain(&house, one.image);
        let rows: Vec<_> = text.trim_end().split("\n\n").collect();
        // What is up to date is shown where all is.
        let told = rows.iter().filter(|row| {
            let head = row.lines().next().unwrap_or_default();
            one.what == "nothing changed" || !head.ends_with(": up to date")
        });
        let told = told.copied().collect::<Vec<_>>().join("\n\n");
        out.push(format!("== {} ==\n\n{}", one.what, redacted(&told)));
    }
    insta::assert_snapshot!("explain", out.join("\n\n"));
}

#[test]
fn a_caption_of_a_refused_image_is_answered_with_the_refusal() {
    let house = House::new(IMAGES);
    images(&house, |images| images[1].1 = b"no picture at all".to_vec());
    house.run().unwrap();
    let explain = |image: usize, caption: &str| {
        Command::new(env!("CARGO_BIN_EXE_clipmill"))
            .args(["explain", "pipeline.toml", &id(image), "--caption", caption])
            .current_dir(house.dir.path())
            .output()
            .unwrap()
    };
    let output = explain(1, "0");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with(&format!("images: {}: refused", id(1))), "{said}");
    assert!(said.contains("tried once"), "{said}");
    // Of an image that is not, a caption is there or not.
    assert!(explain(0, "1").status.success());
    assert_eq!(explain(0, "2").status.code(), Some(1));
}

#[test]
fn an_unknown_image_is_an_error_that_names_the_nearest() {
    let house = House::new(IMAGES);
    let output = Command::new(env!("CARGO_BIN_EXE_clipmill"))
        .args(["explain", "pipeline.toml", "1000000000"])
        .current_dir(house.dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no source holds") && said.contains(&id(0)), "{said}");
}
