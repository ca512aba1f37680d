//! Another program commits to a table, such as one that compacts it: it leaves no note of ours.

use super::house::{self, DEFINITION, House};
use super::step::{changes, options, plan_and_run, step};

fn commit(house: &House, table: &str) {
    let version = house.store().snapshot(table).unwrap().unwrap().version() + 1;
    let path = house.path("store").join(table).join(format!("_delta_log/{version:020}.json"));
    house::put(&path, br#"{"commitInfo":{"timestamp":5,"operation":"OPTIMIZE"}}"#);
}

#[test]
fn reasons_are_those_of_the_newest_commit_that_has_a_note() {
    let house = House::new(4);
    plan_and_run(&house, &options());
    commit(&house, "image_features");
    commit(&house, "image_features");
    assert_eq!(changes(&step(&house).report), "");
    house.define(&DEFINITION.replace("batch_size = 4", "normalize = false"));
    assert_eq!(
        changes(&step(&house).report),
        "image_features settings_changed 4; examples content_changed 8"
    );
}
