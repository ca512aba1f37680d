//! The short cut of a run with nothing to do holds while nothing changed, and no longer.

use std::time::Duration;

use super::house::{self, House, picture, pictures, put};
use super::step::{definition, options};
use clipmill::plan::Reason;

/// Files are only trusted that were not written a moment ago.
const TICK: Duration = Duration::from_millis(80);

fn kept(house: &House) -> bool {
    house.path("store").join("_clipmill/settled.json").exists()
}

fn pending(house: &House) -> bool {
    clipmill::run::survey(&definition(house), &options()).unwrap().is_pending()
}

/// What is touched, and the hand that touches it.
type Change = (&'static str, fn(&House));

#[test]
fn whatever_is_touched_makes_it_void() {
    let changes: [Change; 6] = [
        ("an image", |house| {
            let mut images = pictures(4);
            images[3].1 = picture(40);
            house.images(&images);
        }),
        ("a caption", |house| house.captions(&house::caption_lines(3))),
        ("the weights", |house| house.model(8)),
        ("a setting", |house| {
            house.define(&house::DEFINITION.replace("batch_size = 4", "normalize = false"));
        }),
        ("a part is deleted", |house| {
            let parts = house.store().snapshot("examples").unwrap().unwrap().part_paths();
            std::fs::remove_file(&parts[0]).unwrap();
        }),
        ("a part is overwritten in place", |house| {
            let parts = house.store().snapshot("image_features").unwrap().unwrap().part_paths();
            let mut bytes = std::fs::read(&parts[0]).unwrap();
            let at = bytes.len() - 20;
            bytes[at] ^= 1;
            std::fs::write(&parts[0], bytes).unwrap();
        }),
    ];
    for (name, change) in changes {
        let house = House::new(4);
        std::thread::sleep(TICK);
        house.run().unwrap();
        assert!(kept(&house), "{name}");
        assert!(!pending(&house), "{name}");
        let nothing = house.run().unwrap();
        assert!(nothing.is_up_to_date());
        let features = nothing.tables.iter().find(|t| t.table == "image_features").unwrap();
        assert_eq!((features.rows, features.counts.get(Reason::UpToDate)), (4, 4));
        change(&house);
        assert!(pending(&house), "{name} changed, and the plan does not see it");
        assert!(
            !house.run().unwrap().is_up_to_date(),
            "{name} changed, and the run does not see it"
        );
        assert!(!pending(&house), "{name}");
    }
}

#[test]
fn a_file_that_was_written_a_moment_ago_is_not_trusted() {
    let house = House::new(3);
    std::thread::sleep(TICK);
    house.run().unwrap();
    // The same size and, as far as a clock's ticks tell, the same time.
    put(&house.path("captions.tar.gz"), &std::fs::read(house.path("captions.tar.gz")).unwrap());
    let _ = std::fs::remove_file(house.path("store").join("_clipmill/settled.json"));
    assert!(!pending(&house));
    assert!(!kept(&house));
    std::thread::sleep(TICK);
    assert!(!pending(&house));
    assert!(kept(&house));
}

#[test]
fn only_some_tables_are_made_when_only_some_are_asked_for() {
    let house = House::new(3);
    let only = clipmill::run::Options { only: vec!["captions".to_owned()], ..options() };
    let plan = definition(&house);
    let foreseen = clipmill::run::survey(&plan, &only).unwrap();
    let names: Vec<_> = foreseen.tables.iter().map(|t| t.table.as_str()).collect();
    assert_eq!(names, ["images", "captions", "rejects"]);
    let report = clipmill::run::run(&plan, &only).unwrap();
    let made: Vec<_> = report.tables.iter().map(|t| (t.table.as_str(), t.rows)).collect();
    assert_eq!(made, [("images", 3), ("captions", 6), ("rejects", 0)]);
    assert!(!kept(&house));
    assert!(pending(&house));
    let unknown = clipmill::run::Options { only: vec!["nothing".to_owned()], ..options() };
    let error = clipmill::run::survey(&plan, &unknown).unwrap_err();
    assert_eq!(error.kind(), clipmill::base::Kind::Usage);
}

#[test]
fn a_plan_before_the_first_run_writes_nothing() {
    let house = House::new(3);
    let foreseen = clipmill::run::survey(&definition(&house), &options()).unwrap();
    assert!(foreseen.is_pending());
    assert!(!house.path("store").exists());
    house.run().unwrap();
    // The run keeps what the plan learned of the weights.
    assert!(house.path("store").join("_clipmill/digests.json").exists());
}

#[test]
fn a_kept_definition_that_broke_off_is_written_anew() {
    let house = House::new(3);
    house.run().unwrap();
    let path = house.path("store").join("_clipmill/definition.json");
    let whole = std::fs::read(&path).unwrap();
    for left in [&b""[..], &b"{"[..], &whole[..whole.len() / 2]] {
        std::fs::write(&path, left).unwrap();
        assert!(!pending(&house));
        assert!(house.run().unwrap().is_up_to_date());
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}
