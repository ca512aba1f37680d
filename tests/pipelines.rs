//! Whole pipelines, from archives to tables.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

mod house;

#[path = "pipelines/memory.rs"]
mod memory;
#[path = "pipelines/real.rs"]
mod real;

use std::collections::BTreeSet;

use clipmill::flow::RejectClass;
use clipmill::plan::Reason;
use house::{House, caption_lines, id, pictures};

fn table<'r>(report: &'r clipmill::run::RunReport, name: &str) -> &'r clipmill::run::TableReport {
    report.tables.iter().find(|t| t.table == name).unwrap()
}

#[test]
fn archives_become_tables_and_a_second_run_does_nothing() {
    let house = House::new(10);
    let report = house.run().unwrap();
    assert!(report.broken.is_empty(), "{:?}", report.broken);
    let rows: Vec<_> = report.tables.iter().map(|t| (t.table.as_str(), t.rows)).collect();
    assert_eq!(
        rows,
        [
            ("images", 10),
            ("image_features", 10),
            ("captions", 20),
            ("caption_features", 20),
            ("examples", 20),
            ("rejects", 0),
        ]
    );
    assert_eq!(report.images, 10);
    let stages: Vec<_> = report.stages.iter().map(|stage| stage.tables.join(" ")).collect();
    assert_eq!(stages, ["images image_features", "captions", "caption_features", "examples"]);
    let took = |images| report.stages.iter().filter(move |s| s.images == images).map(|s| s.took);
    assert!(took(true).chain(took(false)).sum::<std::time::Duration>() <= report.elapsed);
    let rate = 10.0 / took(true).next().unwrap().as_secs_f64();
    assert!((report.images_per_second() - rate).abs() < 1e-9 * rate);
    let ids = house.rows("images", &["image_id"]);
    assert_eq!(ids.first(), Some(&id(0)));

    let again = house.run().unwrap();
    assert!(again.is_up_to_date(), "{again:?}");
    assert_eq!(table(&again, "image_features").counts.get(Reason::UpToDate), 10);
    assert_eq!(again.images, 0, "no byte of an image is read again");
}

#[test]
fn captions_of_one_text_have_one_vector_however_far_apart() {
    let lines: Vec<_> = (0..30)
        .map(|n| format!("{}.jpg#{}\ta text that comes {} times .", id(n / 3), n % 3, n % 7))
        .collect();
    let embedded = |store: &str| {
        let house = House::new(10);
        house.captions(&lines);
        house.define(&house::DEFINITION.replace("store = \"store\"", store));
        house.run().unwrap();
        let rows = house.rows("captions", &["caption_index", "text"]).len();
        (rows, house.rows("caption_features", &["image_id", "caption_index", "embedding"]))
    };
    // Four captions at a time, and all of them.
    let (rows, apart) = embedded("store = \"store\"\npart_rows = 4");
    assert_eq!((rows, &apart), (30, &embedded("store = \"store\"").1));
    let distinct: BTreeSet<&str> =
        apart.iter().map(|row| row.rsplit_once('|').unwrap().1).collect();
    assert_eq!(distinct.len(), 7);
}

#[test]
fn one_broken_image_costs_one_reject() {
    let house = House::new(6);
    let mut images = pictures(6);
    images[2].1.truncate(200);
    images[4].1 = b"no image at all".to_vec();
    house.images(&images);
    let report = house.run().unwrap();
    assert!(report.broken.is_empty(), "{:?}", report.broken);
    assert_eq!(table(&report, "image_features").rows, 4);
    assert_eq!(report.rejects.values().sum::<u64>(), 2);
    assert_eq!(report.rejects.get(&RejectClass::UnknownFormat), Some(&1));
    let again = house.run().unwrap();
    assert!(again.is_up_to_date(), "{again:?}");

    house.images(&pictures(6));
    let mended = house.run().unwrap();
    assert_eq!(table(&mended, "image_features").rows, 6);
    assert_eq!(table(&mended, "image_features").computed, 2);
    assert!(mended.rejects.is_empty());
}

#[test]
fn only_what_changed_is_computed() {
    let house = House::new(8);
    house.run().unwrap();
    let mut images = pictures(8);
    images[3].1 = house::picture(99);
    images.remove(5);
    images.push((format!("{}.jpg", id(20)), house::picture(20)));
    house.images(&images);
    let report = house.run().unwrap();
    let features = table(&report, "image_features");
    assert_eq!(features.counts.get(Reason::New), 1);
    assert_eq!(features.counts.get(Reason::ContentChanged), 1);
    assert_eq!(features.counts.get(Reason::Removed), 1);
    assert_eq!(features.computed, 2);
    assert_eq!(features.rows, 8);
    // The removed image's captions and examples go; the changed one's examples are made anew.
    assert_eq!(table(&report, "captions").rows, 14);
    assert_eq!(table(&report, "examples").counts.get(Reason::ContentChanged), 2);
    assert_eq!(table(&report, "caption_features").computed, 0);

    let mut lines = caption_lines(8);
    lines[0] = format!("{}.jpg#0\tanother story .", id(0));
    house.captions(&lines);
    let report = house.run().unwrap();
    assert_eq!(table(&report, "captions").counts.get(Reason::ContentChanged), 1);
    assert_eq!(table(&report, "caption_features").computed, 1);
    assert_eq!(table(&report, "examples").computed, 1);
    assert_eq!(table(&report, "image_features").computed, 0);
}

#[test]
fn new_weights_make_every_feature_anew() {
    let house = House::new(5);
    house.run().unwrap();
    let before = house.rows("image_features", &["image_id", "embedding"]);
    house.model(8);
    let report = house.run().unwrap();
    assert_eq!(table(&report, "images").computed, 0);
    let features = table(&report, "image_features");
    assert_eq!(features.counts.get(Reason::WeightsChanged), 5);
    assert_eq!(features.rows, 5);
    assert_ne!(house.rows("image_features", &["image_id", "embedding"]), before);
    assert_eq!(house.rows("image_features", &["fingerprint"]).len(), 5);
}

#[test]
fn packing_and_place_do_not_matter() {
    let plain = House::new(7);
    plain.run().unwrap();
    let columns = ["image_id", "embedding", "input_digest"];
    let expected = plain.rows("image_features", &columns);

    // The same images, streamed out of a compressed archive, into another store.
    let packed = House::new(7);
    house::put(&packed.path("images.tar"), &house::gz(&house::tar_of(&pictures(7))));
    packed.run().unwrap();
    assert_eq!(packed.rows("image_features", &columns), expected);
    let again = packed.run().unwrap();
    assert!(again.is_up_to_date(), "{again:?}");

    // And repacked in another order, in the store that has them.
    let mut images = pictures(7);
    images.reverse();
    house::put(&plain.path("images.tar"), &house::gz(&house::tar_of(&images)));
    let moved = plain.run().unwrap();
    assert_eq!(table(&moved, "image_features").computed, 0);
    assert_eq!(table(&moved, "images").counts.get(Reason::Moved), 7);
    assert_eq!(plain.rows("image_features", &columns), expected);
}

#[test]
fn an_id_of_two_members_is_refused_both_times() {
    for compressed in [false, true] {
        let house = House::new(5);
        let mut images = pictures(5);
        images.push((format!("sub/{}.jpg", id(1)), house::picture(50)));
        let tar = house::tar_of(&images);
        let bytes = if compressed { house::gz(&tar) } else { tar };
        house::put(&house.path("images.tar"), &bytes);
        let report = house.run().unwrap();
        assert_eq!(table(&report, "image_features").rows, 4, "compressed: {compressed}");
        assert_eq!(report.rejects.get(&RejectClass::DuplicateId), Some(&2));
        let messages = house.rows("rejects", &["member", "message"]);
        assert!(messages.iter().all(|m| m.contains(&id(1))), "{messages:?}");
    }
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    let house = House::new(40);
    let stopped = house.run_with(|options| options.cancel.cancel()).unwrap();
    assert!(stopped.interrupted);
    let report = house.run().unwrap();
    assert_eq!(table(&report, "image_features").rows, 40);
}

#[test]
fn captions_that_cannot_be_read_stop_a_run_before_any_work() {
    let flickr = "[sources.sentences.flickr]\npaths = \"captions.tar.gz\"";
    assert!(house::DEFINITION.contains(flickr));
    for (source, said) in [
        (
            "[sources.sentences.csv]\npaths = \"captions.csv\"\nimage = \"image\"\ntext = \"comment\"",
            "has no column `comment`",
        ),
        (
            "[sources.sentences.csv]\npaths = \"empty.csv\"\nimage = \"image\"\ntext = \"x\"",
            "has no row",
        ),
        (
            "[sources.sentences.flickr]\npaths = \"captions.tar.gz\"\nmember = \"other.token\"",
            "other.token",
        ),
    ] {
        let house = House::new(2);
        house::put(&house.path("captions.csv"), b"image,caption\n1.jpg,a dog\n");
        house::put(&house.path("empty.csv"), b"\n");
        house.define(&house::DEFINITION.replace(flickr, source));
        let error = format!("{:?}", house.run().unwrap_err());
        assert!(error.contains(said), "{error}");
        assert!(house.store().snapshot("images").unwrap().is_none(), "{said}");
    }
}

#[test]
fn the_report_says_how_full_the_queues_were() {
    let house = House::new(70);
    let report = house.run().unwrap();
    let names: Vec<_> = report.queues.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["members", "images", "rows"]);
    for (name, depth) in &report.queues {
        let capacity = if *name == "rows" { 8 } else { 2 };
        assert_eq!(depth.capacity, capacity, "{name}");
        assert!(depth.highest <= capacity && depth.mean <= depth.highest as f64, "{depth:?}");
    }
    let again = house.run().unwrap();
    assert!(again.queues.is_empty(), "nothing went through a queue: {:?}", again.queues);
}

/// More captions than travel together, in the order of the table, in none, and with a late one.
#[test]
fn captions_in_any_order_make_one_table() {
    let definition = "[pipeline]\nname = \"small\"\nstore = \"store\"\npart_rows = 500\n\
                      [sources.sentences.flickr]\npaths = \"captions.tar.gz\"\n\
                      [stages.captions.read_captions]\nsource = \"sentences\"\n";
    let made = |lines: &[String]| {
        let house = House::new(1);
        house.define(definition);
        house.captions(lines);
        let report = house.run().unwrap();
        assert!(report.broken.is_empty(), "{:?}", report.broken);
        assert!(house.run().unwrap().is_up_to_date());
        house.rows("captions", &["image_id", "caption_index", "text", "split", "digest"])
    };
    let lines = caption_lines(2500);
    let sorted = made(&lines);
    assert_eq!(sorted.len(), 5000);
    let backwards: Vec<_> = lines.iter().rev().cloned().collect();
    assert!(made(&backwards) == sorted);
    let mut late = lines.clone();
    late.rotate_left(1);
    assert!(made(&late) == sorted);
    // So many that they are sorted on disk.
    let many = caption_lines(35_000);
    let backwards: Vec<_> = many.iter().rev().cloned().collect();
    assert!(made(&backwards) == made(&many));
    // One that is there twice, far from the first, is refused.
    let twice: Vec<_> = lines.iter().chain(&lines[3..4]).cloned().collect();
    assert!(made(&twice) == sorted);
}

#[test]
fn a_text_that_comes_again_goes_through_the_model_once() {
    const DISTINCT: usize = 7;
    let house = House::new(20);
    let lines = (0..20).flat_map(|n| {
        (0..2).map(move |i| format!("{}.jpg#{i}\tstory {} .", id(n), (2 * n + i) % DISTINCT))
    });
    house.captions(&lines.collect::<Vec<_>>());
    // Parts of six captions: most texts come again in another window than the one they began in.
    let parts = house::DEFINITION.replace("store\"\n", "store\"\npart_rows = 6\n");
    assert_ne!(parts, house::DEFINITION);
    house.define(&parts);
    let log = house.path("run.log");
    let out = std::process::Command::new(assert_cmd::cargo::cargo_bin!("clipmill"))
        .arg("run")
        .arg(house.path("pipeline.toml"))
        .args(["--log-level", "debug", "--log-file"])
        .arg(&log)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let log = std::fs::read_to_string(log).unwrap();
    let sum = |what: &str, field: &str| -> usize {
        let lines =
            log.lines().filter(|l| l.contains(what) && l.contains("table=caption_features"));
        let fields = lines.flat_map(str::split_whitespace).filter_map(|w| w.strip_prefix(field));
        fields.map(|number| number.parse::<usize>().unwrap()).sum()
    };
    assert_eq!(sum("through the model", "texts="), DISTINCT, "{log}");
    assert_eq!(sum("computed", "rows="), 40, "{log}");
    let embeddings: BTreeSet<_> =
        house.rows("caption_features", &["embedding"]).into_iter().collect();
    assert_eq!(embeddings.len(), DISTINCT);
}
