//! Damage amid a part, where no glance sees it: found by `verify`, or by the run that uses the part.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use clipmill::base::{Cancel, Kind};
use clipmill::nn::clip::write_random;
use clipmill::table::{Fault, TAIL_BYTES};

use super::house::{DEFINITION, House, StopAt, caption_lines, picture, pictures, quick_clip};
use super::step::{changes, definition, options, plan_and_run, step};

const IMAGES: usize = 24;

/// A house whose features are wide, so that most of a part lies before its end, and of any length,
/// so that no check of the contract sees a flipped bit.
fn wide() -> House {
    let house = House::new(IMAGES);
    weights(&house, 7);
    let plain = DEFINITION
        .replace("batch_size = 4", "batch_size = 4\nnormalize = false")
        .replace("captions\"\nmodel = \"clip\"", "captions\"\nmodel = \"clip\"\nnormalize = false")
        .replace("store = \"store\"", "store = \"store\"\npart_rows = 24");
    assert_eq!(plain.matches("normalize = false").count(), 2);
    house.define(&plain);
    house
}

fn weights(house: &House, seed: u64) {
    let lines = caption_lines(4);
    let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
    write_random(&house.path("clip"), &quick_clip(512), seed, &texts).unwrap();
}

fn another_image(house: &House) {
    let mut images = pictures(IMAGES);
    images[3].1 = picture(40);
    house.images(&images);
}

fn another_caption(house: &House) {
    let mut lines = caption_lines(IMAGES);
    lines[4].push_str(" again");
    house.captions(&lines);
}

/// Embeddings, by key.
fn embeddings(house: &House, table: &str) -> Vec<String> {
    let index = table != "image_features";
    let columns = if index {
        &["image_id", "caption_index", "embedding"][..]
    } else {
        &["image_id", "embedding"]
    };
    house.rows(table, columns)
}

fn first_part(house: &House, table: &str) -> PathBuf {
    house.store().snapshot(table).unwrap().unwrap().part_paths()[0].clone()
}

fn read(path: &Path) -> Option<Vec<RecordBatch>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).ok()?;
    builder.build().ok()?.collect::<Result<_, _>>().ok()
}

/// Where the embeddings of a part begin and end.
fn column(path: &Path) -> (usize, usize) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let group = builder.metadata().row_group(0);
    let mut columns = group.columns().iter();
    let found = columns.find(|c| c.column_path().string().starts_with("embedding")).unwrap();
    let (start, length) = found.byte_range();
    (start as usize, (start + length) as usize)
}

/// Flips a bit amid the embeddings so that they can be read and are others.
fn flip(path: &Path) {
    let good = read(path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let (start, end) = column(path);
    let end = end.min(bytes.len() - TAIL_BYTES as usize);
    for at in (start + 64..end).step_by(29) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        std::fs::write(path, &bad).unwrap();
        if read(path).is_some_and(|found| found != good) {
            return;
        }
    }
    panic!("no bit of {} can be flipped", path.display());
}

/// Overwrites the beginning of the embeddings so that they cannot be read.
fn spoil(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let (start, _) = column(path);
    assert!(start + 32 + (TAIL_BYTES as usize) < bytes.len());
    bytes[start..start + 32].fill(0xff);
    std::fs::write(path, bytes).unwrap();
    assert!(read(path).is_none());
}

/// A house that was run, and the same after a change, its tables as nobody damaged them.
fn undamaged(change: fn(&House)) -> House {
    let house = wide();
    house.run().unwrap();
    change(&house);
    house.run().unwrap();
    house
}

#[test]
fn what_verify_finds_is_what_the_next_plan_names_and_the_next_run_computes() {
    for damage in [flip, spoil] {
        let house = wide();
        plan_and_run(&house, &options());
        let before = embeddings(&house, "image_features");
        damage(&first_part(&house, "image_features"));
        let seen = clipmill::run::survey(&definition(&house), &options()).unwrap();
        assert!(!seen.is_pending(), "a glance sees it, and this test tests nothing");
        let note = house.path("store/image_features/_clipmill/damaged.json");
        let verify = || house.store().verify("image_features", None, &Cancel::new()).unwrap();
        assert_eq!(verify().faults.len(), 1);
        assert!(note.exists());
        let made = step(&house);
        assert_eq!(changes(&made.report), "image_features part_damaged 24");
        assert_eq!(embeddings(&house, "image_features"), before);
        let faults = verify().faults;
        let old =
            |fault: &Fault| fault.what.starts_with("a part of version 0 that the newest has not");
        assert!(faults.iter().all(old), "{faults:?}");
        assert!(!note.exists(), "the note goes with the part");
    }
}

#[test]
fn a_part_that_is_good_again_is_not_made_again() {
    let house = wide();
    plan_and_run(&house, &options());
    let part = first_part(&house, "image_features");
    let bytes = std::fs::read(&part).unwrap();
    flip(&part);
    let verify = || house.store().verify("image_features", None, &Cancel::new()).unwrap();
    assert_eq!(verify().faults.len(), 1);
    super::house::put(&part, &bytes);
    assert_eq!(changes(&step(&house).report), "");
    assert_eq!(verify().faults, []);
    assert!(!house.path("store/image_features/_clipmill/damaged.json").exists());
}

#[test]
fn rows_of_a_damaged_part_are_never_copied_into_a_new_version() {
    let twin = undamaged(another_image);
    for damage in [flip, spoil] {
        let house = wide();
        house.run().unwrap();
        damage(&first_part(&house, "image_features"));
        another_image(&house);
        plan_and_run(&house, &options());
        for table in ["image_features", "examples"] {
            assert!(embeddings(&house, table) == embeddings(&twin, table), "{table}");
        }
    }
}

#[test]
fn rows_of_a_damaged_part_are_never_joined() {
    let twin = undamaged(another_caption);
    for damage in [flip, spoil] {
        let house = wide();
        house.run().unwrap();
        damage(&first_part(&house, "image_features"));
        another_caption(&house);
        let made = plan_and_run(&house, &options());
        let of = |table: &str| changes(&made.report).contains(table);
        assert!(of("captions content_changed 1") && of("image_features part_damaged 24"));
        for table in ["image_features", "caption_features", "examples"] {
            assert!(embeddings(&house, table) == embeddings(&twin, table), "{table}");
        }
    }
}

#[test]
fn a_damaged_part_of_a_stopped_run_is_not_taken_over() {
    let renewed: fn(&House) = |house| weights(house, 8);
    let twin = undamaged(renewed);
    let house = wide();
    house.run().unwrap();
    renewed(&house);
    let stopped = house.run_with(|options| {
        options.progress = StopAt::new(Some("caption_features"), 24, &options.cancel);
    });
    assert!(stopped.unwrap().interrupted);
    let staged = std::fs::read_dir(house.path("store/caption_features/_clipmill/staged")).unwrap();
    let staged = staged.map(|entry| entry.unwrap().path());
    let parts = staged.filter(|path| path.extension().is_some_and(|e| e == "parquet"));
    flip(&parts.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap());
    assert!(house.run().unwrap().broken.is_empty());
    assert!(embeddings(&house, "caption_features") == embeddings(&twin, "caption_features"));
    assert!(house.run().unwrap().is_up_to_date());
}

#[test]
fn an_error_that_no_damaged_row_can_lead_to_is_told_before_any_table_is_read_again() {
    let house = House::new(4);
    house.run().unwrap();
    std::fs::write(first_part(&house, "image_features"), b"no parquet").unwrap();
    let log = house.path("store/captions/_delta_log/00000000000000000000.json");
    std::fs::write(log, b"garbage\n").unwrap();
    // what is wrong with the features is of no account to the captions
    let error = house.run_with(|options| options.only = vec!["captions".into()]).unwrap_err();
    assert_eq!(error.kind(), Kind::Store);
    assert!(error.what().contains("cannot read the log of table `captions`"), "{error}");
    assert!(!error.may_be_damaged_rows());
    assert!(!house.path("store/image_features/_clipmill/damaged.json").exists());
}
