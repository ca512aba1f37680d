//! Histories beside comparisons: the note of a version says of its rows what is found in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use clipmill::base::Cancel;
use clipmill::base::clock::SystemClock;
use clipmill::table::{CommitNote, Snapshot, Store};

use super::House;

/// The newest version of each table.
pub fn versions(house: &House) -> BTreeMap<String, i64> {
    let Ok(store) = Store::open(&house.path("store"), Arc::new(SystemClock)) else {
        return BTreeMap::new();
    };
    let newest = |table: String| {
        let version = store.snapshot(&table).unwrap()?.version();
        Some((table, version))
    };
    store.tables().unwrap().into_iter().filter_map(newest).collect()
}

/// Compares every version since then with the one before, and with what its note says.
pub fn check(house: &House, since: &BTreeMap<String, i64>) {
    let store = house.store();
    for (table, newest) in versions(house) {
        let first = since.get(&table).map_or(0, |version| version + 1);
        for version in first..=newest {
            let after = store.snapshot_at(&table, version).unwrap();
            // Another program leaves none.
            let Some(note) = after.note().unwrap() else { continue };
            let before = (version > 0).then(|| store.snapshot_at(&table, version - 1).unwrap());
            let found = found(before.as_ref(), &after);
            let what = format!("{table} {version}: {}", text(&note));
            let rows = before.map_or(0, |before| before.rows()) + note.added;
            assert_eq!(after.rows() + note.removed, rows, "{what}");
            if let Some(found) = found {
                assert_eq!((note.added, note.removed, note.changed), found, "{what}");
            }
            let reasons = note.reasons.iter().filter(|(why, _)| *why != "contract_changed");
            let reasons: u64 = reasons.map(|(_, rows)| rows).sum();
            assert_eq!(reasons, note.added + note.removed + note.changed, "{what}");
        }
    }
}

/// As [`check`], of all versions.
pub fn check_all(house: &House) {
    check(house, &BTreeMap::new());
}

/// Rows that came, went and changed; none where a part is damaged, and nobody can compare.
fn found(before: Option<&Snapshot>, after: &Snapshot) -> Option<(u64, u64, u64)> {
    let Some(before) = before else { return Some((after.rows(), 0, 0)) };
    let sound = |of: &Snapshot| of.verify(&Cancel::new()).unwrap().is_empty();
    if !sound(before) || !sound(after) {
        return None;
    }
    let diff = before.diff(after, Some(0), &Cancel::new()).unwrap();
    Some((diff.added, diff.removed, diff.changed))
}

fn text(note: &CommitNote) -> String {
    let why: Vec<_> = note.reasons.iter().map(|(why, rows)| format!("{why} {rows}")).collect();
    format!("+{} -{} ~{}: {}", note.added, note.removed, note.changed, why.join(", "))
}

/// What the note of the newest version says: `+1 -0 ~2: content_changed 2, new 1`.
pub fn newest(house: &House, table: &str) -> String {
    text(&house.store().snapshot(table).unwrap().unwrap().note().unwrap().unwrap())
}
