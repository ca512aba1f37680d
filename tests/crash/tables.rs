//! What readers see of a store, as values that can be compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use clipmill::base::clock::SystemClock;
use clipmill::table::{Snapshot, Store};

/// The rows of each table as text, sorted; a row that is there twice is there twice.
pub type Tables = BTreeMap<String, Vec<String>>;

/// Columns that say when, and so differ between equal runs.
const WHEN: &[&str] = &["first_seen"];

/// Every table of a store, by way of a snapshot, as any reader does it.
pub fn read(store: &Path) -> Tables {
    if !store.join(clipmill::table::MARKER).exists() {
        return Tables::new();
    }
    let store = Store::open(store, Arc::new(SystemClock)).unwrap();
    let names = store.tables().unwrap();
    let newest = |name: &String| store.snapshot(name).unwrap();
    names
        .into_iter()
        .filter_map(|name| {
            let rows = rows(&newest(&name)?);
            Some((name, rows))
        })
        .collect()
}

fn rows(snapshot: &Snapshot) -> Vec<String> {
    let schema = snapshot.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !WHEN.contains(name)).collect();
    let format = FormatOptions::default().with_null("null");
    let mut rows = Vec::new();
    for batch in snapshot.scan(&names).unwrap() {
        let (_, batch) = batch.unwrap();
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &format).unwrap())
            .collect();
        rows.extend((0..batch.num_rows()).map(|at| {
            let cells: Vec<_> = columns.iter().map(|c| c.value(at).to_string()).collect();
            cells.join("|")
        }));
    }
    rows.sort();
    rows
}

/// Fails unless each table is whole, as it was before or as it is to be.
pub fn assert_whole(now: &Tables, old: &Tables, new: &Tables, when: &str) {
    for name in old.keys() {
        assert!(now.contains_key(name), "{when}: the table {name} is gone");
    }
    for (name, rows) in now {
        let known = [old.get(name), new.get(name)];
        assert!(
            known.contains(&Some(rows)),
            "{when}: {name} has {} rows, neither the {} of before nor the {} of after:\n{}",
            rows.len(),
            old.get(name).map_or(0, Vec::len),
            new.get(name).map_or(0, Vec::len),
            difference(rows, known[1].or(known[0]).map_or(&[][..], Vec::as_slice)),
        );
    }
}

/// As [`assert_whole`], after a run that was stopped or ended with an error: such a run still tells what
/// it had refused by then, so `rejects` may hold a part of what is to come, and nothing else.
pub fn assert_whole_but_rejects(now: &Tables, old: &Tables, new: &Tables, when: &str) {
    let mut others = now.clone();
    let told = others.remove("rejects").unwrap_or_default();
    let known = |row: &String| {
        [old, new].iter().any(|tables| tables.get("rejects").is_some_and(|of| of.contains(row)))
    };
    assert!(told.iter().all(known), "{when}: rejects that no run makes: {told:#?}");
    assert!(told.windows(2).all(|two| two[0] != two[1]), "{when}: a reject is there twice");
    let mut before = old.clone();
    before.remove("rejects");
    assert_whole(&others, &before, new, when);
}

/// Fails unless all tables are row for row those expected.
pub fn assert_same(now: &Tables, expected: &Tables, when: &str) {
    let names = |tables: &Tables| tables.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(now), names(expected), "{when}");
    for (name, rows) in now {
        let wanted = &expected[name];
        assert!(rows == wanted, "{when}: {name} differs:\n{}", difference(rows, wanted));
    }
}

fn difference(ours: &[String], theirs: &[String]) -> String {
    let short = |row: &String| row.chars().take(160).collect::<String>();
    let only = |of: &[String], not: &[String]| {
        of.iter().filter(|row| !not.contains(row)).take(3).map(short).collect::<Vec<_>>()
    };
    format!("only here: {:#?}\nonly there: {:#?}", only(ours, theirs), only(theirs, ours))
}

/// Puts a store back to what a copy of it was.
pub fn restore(copy_of: &Path, store: &Path) {
    if store.exists() {
        std::fs::remove_dir_all(store).unwrap();
    }
    if copy_of.exists() {
        crate::house::copy(copy_of, store);
    }
}
