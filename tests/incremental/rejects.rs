//! Rows that are refused: tried again when that makes sense, and then counted.

use clipmill::flow::RejectClass;
use clipmill::plan::Reason;
use clipmill::sources::write::TarWriter;

use super::house::{self, House, gz, id, pictures, put, told};
use super::step::{changes, options, plan_and_run, step, step_with};

fn rejected(house: &House) -> Vec<String> {
    house.rows("rejects", &["image_id", "stage", "class", "attempts"])
}

fn broken(house: &House) {
    let mut images = pictures(6);
    images[2].1.truncate(200);
    house.images(&images);
}

#[test]
fn a_reject_is_tried_again_on_request_only_and_attempts_are_counted() {
    let house = House::new(6);
    broken(&house);
    let first = plan_and_run(&house, &options());
    assert_eq!(first.report.rejects.values().sum::<u64>(), 1);
    let row = |attempts: u32| vec![format!("{}|image_features|truncated_image|{attempts}", id(2))];
    assert_eq!(rejected(&house), row(1));

    // Other things change: the same bytes are not tried again.
    let mut images = pictures(7);
    images[2].1.truncate(200);
    house.images(&images);
    let step = step(&house);
    assert_eq!(rejected(&house), row(1));
    assert_eq!(step.report.images, 1, "only the new image is read");

    assert_eq!(told::newest(&house, "rejects"), "+1 -0 ~0: new 1");
    // The new one made a row, the one that is refused did not.
    assert_eq!(told::newest(&house, "image_features"), "+1 -0 ~0: new 1");

    let retry = clipmill::run::Options { retry_rejects: true, ..options() };
    let again = plan_and_run(&house, &retry);
    assert_eq!(again.report.images, 1);
    let images = again.foreseen.tables.iter().find(|t| t.table == "image_features").unwrap();
    assert_eq!(images.counts.get(Reason::New), 1, "a plan names what would be tried");
    assert_eq!(rejected(&house), row(2));
    assert_eq!(told::newest(&house, "rejects"), "+0 -0 ~1: content_changed 1");
    step_again(&house);
}

fn step_again(house: &House) {
    let nothing = step(house);
    assert_eq!(changes(&nothing.report), "image_features rejected_earlier 1");
}

#[test]
fn a_reject_leaves_when_its_image_decodes() {
    let house = House::new(6);
    broken(&house);
    plan_and_run(&house, &options());
    house.images(&pictures(6));
    let mended = step(&house);
    let all = changes(&mended.report);
    for part in
        ["images content_changed 1", "image_features new 1", "examples new 2", "rejects removed 1"]
    {
        assert!(all.contains(part), "{all}");
    }
    assert_eq!(rejected(&house), Vec::<String>::new());
}

#[test]
fn what_cannot_be_decoded_is_tried_again_by_a_newer_operator_and_not_for_other_numbers() {
    let house = House::new(6);
    broken(&house);
    plan_and_run(&house, &options());
    let tried = |attempts| {
        let row = format!("{}|image_features|truncated_image|{attempts}", id(2));
        assert_eq!(rejected(&house), [row]);
    };
    let define = |setting: &str, with: &str| {
        let both = format!("{setting}\n{with}");
        house.define(&house::DEFINITION.replace(setting, &both));
    };
    let numbers: [&dyn Fn(); 3] =
        [&|| house.model(8), &|| define("path = \"clip\"", "dtype = \"f16\""), &|| {
            define("batch_size = 4", "normalize = false")
        }];
    for change in numbers {
        change();
        let told = changes(&step(&house).report);
        assert!(told.contains("image_features rejected_earlier 1"), "{told}");
        tried(1);
    }
    define("batch_size = 4", "orientation = \"apply\"");
    plan_and_run(&house, &options());
    tried(2);
    house::put(&house.path(super::step::RAISED), b"embed_images");
    let newer = plan_and_run(&house, &options());
    let features = newer.foreseen.tables.iter().find(|t| t.table == "image_features").unwrap();
    assert_eq!(super::step::all(&features.counts), "new 1, operator_changed 5");
    tried(3);
}

#[test]
fn rows_of_an_image_that_a_stream_lost_count_as_removed() {
    let house = House::new(6);
    let tar = house::tar_of(&pictures(6));
    house::put(&house.path("images.tar"), &house::gz(&tar));
    step(&house);
    // The stream ends in the middle of the last picture, and no plan has looked at it before the run.
    let end = tar.windows(8).rposition(|some| some.iter().any(|byte| *byte != 0)).unwrap();
    house::put(&house.path("images.tar"), &house::gz(&tar[..end - 100]));
    let report = house.run().unwrap();
    assert_eq!(report.rejects.get(&RejectClass::BrokenMember), Some(&1));
    for table in ["images", "image_features"] {
        let of = report.tables.iter().find(|of| of.table == table).unwrap();
        assert_eq!(super::step::all(&of.counts), "removed 1, up_to_date 5", "{table}");
    }
}

#[test]
fn what_is_too_large_is_tried_again_under_another_limit() {
    let house = House::new(4);
    let capped = |pixels: u64| {
        let with = format!("source = \"photos\"\nmax_pixels = {pixels}");
        house.define(&house::DEFINITION.replace("source = \"photos\"", &with));
    };
    capped(60 * 36);
    let first = plan_and_run(&house, &options());
    assert_eq!(first.report.rejects.get(&RejectClass::ImageTooLarge), Some(&1));
    capped(61 * 36);
    let second = plan_and_run(&house, &options());
    assert_eq!(second.report.rejects.get(&RejectClass::ImageTooLarge), Some(&1));
    capped(64 * 36);
    let third = step_with(&house, &options());
    assert!(third.report.rejects.is_empty());
    assert_eq!(house.rows("image_features", &["image_id"]).len(), 4);
    // A limit that nothing reaches changes nothing.
    capped(64 * 36 + 1);
    assert_eq!(changes(&step(&house).report), "");
}

/// Keys and contents, refusals with their reasons: what hangs on the past is left out.
fn shown(house: &House) -> Vec<Vec<String>> {
    let captions = ["image_id", "caption_index", "digest"];
    vec![
        house.rows("images", &["image_id", "digest", "width_px"]),
        house.rows("image_features", &["image_id", "input_digest"]),
        house.rows("captions", &captions),
        house.rows("caption_features", &["image_id", "caption_index"]),
        house.rows("examples", &["image_id", "caption_index"]),
        house.rows("rejects", &["image_id", "stage", "class", "message", "digest", "fingerprint"]),
    ]
}

#[test]
fn under_a_lower_limit_rows_are_those_of_a_fresh_store_as_the_plan_says() {
    let capped = |house: &House, pixels: u64| {
        let with = format!("source = \"photos\"\nmax_pixels = {pixels}");
        house.define(&house::DEFINITION.replace("source = \"photos\"", &with));
    };
    for packed in [false, true] {
        let house = House::new(6);
        if packed {
            let bytes = house::gz(&house::tar_of(&pictures(6)));
            house::put(&house.path("images.tar"), &bytes);
        }
        step(&house);
        // Of widths 40, 48, 56, 64, 72 and 40 two are too many.
        capped(&house, 60 * 36);
        let step = step(&house);
        let of = |name: &str| {
            let found = step.report.tables.iter().find(|of| of.table == name).unwrap();
            (super::step::all(&found.counts), found.rows, found.computed)
        };
        let removed = ("removed 2, up_to_date 4".to_owned(), 4, 0);
        assert_eq!(of("images"), removed);
        assert_eq!(of("image_features"), removed);
        assert_eq!(of("examples"), ("removed 4, up_to_date 8".to_owned(), 8, 0));
        assert_eq!(of("rejects"), ("new 2".to_owned(), 2, 0));
        for (table, note) in [
            ("images", "+0 -2 ~0: rejected 2"),
            ("image_features", "+0 -2 ~0: rejected 2"),
            ("examples", "+0 -4 ~0: removed 4"),
            ("rejects", "+2 -0 ~0: new 2"),
        ] {
            assert_eq!(told::newest(&house, table), note, "{table}");
        }
        let pending = step.foreseen.tables.iter().filter(|of| of.pending).map(|of| &*of.table);
        let pending: Vec<_> = pending.collect();
        let published = step.report.tables.iter().filter(|of| of.published).map(|of| &*of.table);
        assert_eq!(pending, published.collect::<Vec<_>>());
        assert_eq!(step.report.images, 0, "their sides are stored");
        for table in ["images", "image_features"] {
            let snapshot = house.store().snapshot(table).unwrap().unwrap();
            let newest = snapshot.history(Some(1)).unwrap().remove(0);
            assert_eq!(newest.note.unwrap().removed, 2, "{table}");
        }
        let next = changes(&super::step::step(&house).report);
        assert_eq!(next, "images rejected_earlier 2; image_features rejected_earlier 2");
        let lowered = shown(&house);
        std::fs::remove_dir_all(house.path("store")).unwrap();
        plan_and_run(&house, &options());
        assert_eq!(shown(&house), lowered, "packed {packed}");

        // What else changes meanwhile is made of those that are left.
        capped(&house, 1 << 20);
        plan_and_run(&house, &options());
        capped(&house, 60 * 36);
        house.model(8);
        let both = super::step::step(&house);
        let features = both.report.tables.iter().find(|of| of.table == "image_features").unwrap();
        assert_eq!(super::step::all(&features.counts), "weights_changed 4, removed 2");
        assert_eq!((features.rows, features.computed), (4, 4));
    }
}

#[test]
fn rejects_of_a_renamed_table_are_not_counted_and_go_with_it() {
    let house = House::new(6);
    let mut images = pictures(6);
    images[2].1.truncate(200);
    images[4].1 = b"no picture at all".to_vec();
    house.images(&images);
    plan_and_run(&house, &options());
    assert_eq!(rejected(&house).len(), 2);
    let renamed = house::DEFINITION
        .replace("[stages.images.", "[stages.pics.")
        .replace("\nimages = \"images\"", "\nimages = \"pics\"")
        .replace("[stages.image_features.", "[stages.vectors.")
        .replace("image_features = \"image_features\"", "image_features = \"vectors\"");
    house.define(&renamed);
    let step = plan_and_run(&house, &options());
    assert_eq!(step.report.rejects.values().sum::<u64>(), 2, "of the tables of now");
    let part = house.run_with(|options| options.only = vec!["pics".to_owned()]).unwrap();
    assert_eq!(part.rejects.values().sum::<u64>(), 2, "also by a run of a part of it");
    // Another definition may make the tables of before: their rejects stay beside them.
    assert_eq!(rejected(&house).len(), 4);
    for table in ["images", "image_features"] {
        std::fs::remove_dir_all(house.path("store").join(table)).unwrap();
    }
    let step = plan_and_run(&house, &options());
    let foreseen = step.foreseen.tables.iter().find(|of| of.table == "rejects").unwrap();
    assert_eq!(super::step::all(&foreseen.counts), "removed 2, up_to_date 2");
    let left = rejected(&house);
    std::fs::remove_dir_all(house.path("store")).unwrap();
    plan_and_run(&house, &options());
    assert_eq!(left, rejected(&house), "those of a fresh store");
}

#[test]
fn an_id_that_two_members_have_is_refused_until_one_is_gone() {
    for (packed, kept) in [(false, false), (true, false), (true, true)] {
        let house = House::new(5);
        let put = |images: &house::Images| {
            let tar = house::tar_of(images);
            let bytes = if packed { house::gz(&tar) } else { tar };
            house::put(&house.path("images.tar"), &bytes);
        };
        let mut images = pictures(5);
        if kept {
            put(&images);
            step(&house);
        }
        images.push((format!("sub/{}.jpg", id(1)), house::picture(50)));
        put(&images);
        let first = step(&house);
        assert_eq!(first.report.rejects.get(&RejectClass::DuplicateId), Some(&2));
        assert_eq!(house.rows("image_features", &["image_id"]).len(), 4);
        let again = step(&house);
        assert_eq!(again.report.rejects.get(&RejectClass::DuplicateId), Some(&2));
        images.remove(1);
        put(&images);
        let last = step(&house);
        assert!(last.report.rejects.is_empty(), "packed {packed}: {:?}", last.report.rejects);
        assert_eq!(house.rows("image_features", &["image_id"]).len(), 5);
    }
}

#[test]
fn another_part_in_place_of_the_rejects_is_no_part_of_them() {
    let house = House::new(6);
    broken(&house);
    plan_and_run(&house, &options());
    let part = |table: &str| {
        house.store().snapshot(table).unwrap().unwrap().part_paths().into_iter().next().unwrap()
    };
    let first = std::fs::read(part("rejects")).unwrap();
    let mut images = pictures(6);
    images[2].1.truncate(200);
    images[4].1.truncate(200);
    house.images(&images);
    plan_and_run(&house, &options());
    let two = rejected(&house);
    assert_eq!(two.len(), 2, "{two:?}");

    // A part of another table, and one that the table itself had.
    for other in [std::fs::read(part("captions")).unwrap(), first] {
        house::put(&part("rejects"), &other);
        let found = plan_and_run(&house, &options());
        assert_eq!(found.report.rejects.values().sum::<u64>(), 2);
        assert_eq!(rejected(&house), two);
    }
}

/// The captions of a house in another form.
fn sentences(house: &House, block: &str) {
    let block = format!("[sources.sentences.{block}");
    let plain = "[sources.sentences.flickr]\npaths = \"captions.tar.gz\"";
    assert!(house::DEFINITION.contains(plain));
    house.define(&house::DEFINITION.replace(plain, &block));
}

#[test]
fn every_text_that_is_none_is_a_row_also_where_several_stand_at_one_place() {
    let house = House::new(2);
    let places = |file: &str, expected: &[&str]| {
        let report = plan_and_run(&house, &options()).report;
        assert_eq!(house.rows("rejects", &["member", "offset", "class"]), expected);
        assert_eq!(report.rejects.values().sum::<u64>(), expected.len() as u64);
        assert_eq!(report.new_rejects.rows, expected.len() as u64);
        // Read once more, they are known again.
        put(&house.path(file), &std::fs::read(house.path(file)).unwrap());
        let again = plan_and_run(&house, &options()).report;
        assert!(again.is_up_to_date(), "{again:?}");
        std::fs::remove_dir_all(house.path("store")).unwrap();
    };

    // An image of Karpathy's has one offset for all its sentences.
    let json = format!(
        r#"{{"images": [{{"filename": "{}.jpg", "split": "train", "sentences":
            [{{"raw": ""}}, {{"tokens": []}}, {{"raw": "a dog"}}, {{"raw": " "}}]}}]}}"#,
        id(0)
    );
    put(&house.path("dataset.json"), json.as_bytes());
    sentences(&house, "karpathy]\npaths = \"dataset.json\"");
    places(
        "dataset.json",
        &[
            "dataset.json#0|12|empty_caption",
            "dataset.json#1|12|bad_line",
            "dataset.json#3|12|empty_caption",
        ],
    );

    // The captions in one member of a shard have that of the member.
    let mut tar = TarWriter::new(Vec::new());
    let (good, bad) = (format!("{}.json", id(0)), format!("{}.json", id(1)));
    tar.file(&good, br#"{"caption": ["", "a dog", " "]}"#, 0).unwrap();
    tar.file(&bad, br#"{"caption": ""}"#, 0).unwrap();
    put(&house.path("shard.tar"), &tar.finish().unwrap());
    sentences(&house, "webdataset_json]\npaths = \"shard.tar\"");
    places(
        "shard.tar",
        &[
            &format!("{good}#0|512|empty_caption"),
            &format!("{good}#2|512|empty_caption"),
            &format!("{bad}|1536|empty_caption"),
        ],
    );

    // A text that breaks off does so behind its lines.
    let filled = "a dog ".repeat(200);
    let text = format!("nonsense\n{}.jpg#0\t{filled}\n", id(0));
    let mut packed = gz(text.as_bytes());
    packed.truncate(packed.len() - 8);
    put(&house.path("cut.token.gz"), &packed);
    sentences(&house, "flickr]\npaths = \"cut.token.gz\"");
    places(
        "cut.token.gz",
        &["cut.token.gz|0|bad_line", &format!("cut.token.gz|{}|broken_member", text.len())],
    );
}

#[test]
fn caps_of_captions_and_splits_are_those_of_the_definition() {
    let house = House::new(2);
    sentences(&house, "flickr]\npaths = \"captions.tar.gz\"\nmax_member_bytes = 100");
    let report = plan_and_run(&house, &options()).report;
    assert_eq!(report.rejects.get(&RejectClass::OverCap), Some(&1));

    put(&house.path("train.txt"), format!("{}\n{}\n", id(0), id(1)).as_bytes());
    let listed = |cap: &str| {
        let lists = format!("[sources.lists.splits]\ntrain = \"train.txt\"\n{cap}\n[models.clip");
        let text = house::DEFINITION.replacen("[models.clip", &lists, 1);
        house.define(
            &text.replace("source = \"sentences\"", "source = \"sentences\"\nsplits = \"lists\""),
        );
    };
    listed("max_unpacked_bytes = 20");
    let error = house.run().unwrap_err();
    assert!(error.help_text().unwrap().contains("max_unpacked_bytes"), "{error:?}");
    listed("");
    assert!(house.run().unwrap().rejects.is_empty());
}
