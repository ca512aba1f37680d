//! What differs between versions, and what a restore brings back.

use std::collections::BTreeSet;

use clipmill::base::{Cancel, Kind};
use clipmill::table::{Diff, How, KeyPart, Restored};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq};
use proptest::test_runner::Config;

use super::room::{Room, Rows, TABLE, read, row};

fn diff(room: &Room, from: i64, to: i64) -> Diff {
    room.at(from).diff(&room.at(to), None, &Cancel::new()).unwrap()
}

#[test]
fn a_changed_cell_is_told_and_a_vector_by_its_distance() {
    let room = Room::new();
    let mut rows = Rows::from([row("a", "one", 0.0), row("b", "two", 0.0), row("c", "x", 0.0)]);
    room.set(&rows, 2);
    rows.remove(&("c".to_owned(), 0));
    rows.extend([row("d", "new", 0.0)]);
    rows.insert(("a".to_owned(), 0), (None, vec![1.0, 1.0]));
    room.set(&rows, 2);
    let found = diff(&room, 0, 1);
    assert_eq!((found.added, found.removed, found.changed), (1, 1, 1));
    assert_eq!(found.columns, [("embedding".to_owned(), 1), ("text".to_owned(), 1)].into());
    let shown: Vec<&KeyPart> = found.rows.iter().map(|row| &row.key[0]).collect();
    assert_eq!(shown, ["a", "c", "d"].map(|id| KeyPart::Text(id.into())).each_ref());
    let How::Changed(cells) = &found.rows[0].how else { panic!("{found:?}") };
    let text = cells.iter().find(|cell| cell.column == "text").unwrap();
    assert_eq!((text.before.as_deref(), text.after.as_deref()), (Some("one"), None));
    let moved = cells.iter().find(|cell| cell.column == "embedding").unwrap().distance.unwrap();
    assert!((moved.cosine.unwrap() - 0.5_f64.sqrt()).abs() < 1e-9);
    assert_eq!(moved.max_difference, 1.0);
    assert_eq!(found.vectors["embedding"].rows, 1);
    assert_eq!((&found.rows[1].how, &found.rows[2].how), (&How::Removed, &How::Added));
    let first = room.at(0).diff(&room.at(1), Some(1), &Cancel::new()).unwrap();
    assert_eq!((first.rows.len(), first.added), (1, 1));
    assert_eq!(first.rows[0], found.rows[0]);
}

#[test]
fn rows_that_only_moved_to_another_part_do_not_differ() {
    let room = Room::new();
    let rows: Rows = (0..20).map(|n| row(&format!("{n:02}"), "t", 0.5)).collect();
    room.set(&rows, 3);
    room.set(&rows, 20);
    assert!(diff(&room, 0, 1).is_empty());
    assert!(
        !room.at(0).parts().iter().any(|old| room
            .now()
            .parts()
            .iter()
            .any(|new| new.path == old.path))
    );
}

fn some_rows() -> impl Strategy<Value = Rows> {
    let one = (0..24_u8, 0..3_i32, proptest::option::of(0..3_u8), 0..3_u8);
    proptest::collection::vec(one, 0..30).prop_map(|rows| {
        let of = |(id, index, text, number): (u8, i32, Option<u8>, u8)| {
            let text = text.map(|text| format!("text {text}"));
            ((format!("{id:03}"), index), (text, vec![f32::from(number), 1.0]))
        };
        rows.into_iter().map(of).collect()
    })
}

proptest::proptest! {
    #![proptest_config(Config { cases: 24, ..Config::default() })]

    #[test]
    fn a_difference_is_that_of_the_rows_and_turns_around(
        one in some_rows(), other in some_rows(), part_rows in 1..12_usize,
    ) {
        let room = Room::new();
        room.set(&one, part_rows);
        room.set(&other, part_rows);
        let there = diff(&room, 0, 1);
        let back = diff(&room, 1, 0);
        let changed = one.iter().filter(|(key, row)| other.get(*key).is_some_and(|o| o != *row));
        let changed: BTreeSet<_> = changed.map(|(key, _)| key.clone()).collect();
        let added = other.keys().filter(|key| !one.contains_key(*key)).count() as u64;
        let removed = one.keys().filter(|key| !other.contains_key(*key)).count() as u64;
        prop_assert_eq!((there.added, there.removed, there.changed), (added, removed, changed.len() as u64));
        prop_assert_eq!((back.added, back.removed, back.changed), (removed, added, there.changed));
        prop_assert_eq!(&there.columns, &back.columns);
        prop_assert_eq!(&there.vectors, &back.vectors);
        for (a, b) in there.rows.iter().zip(&back.rows) {
            prop_assert_eq!(&a.key, &b.key);
            match (&a.how, &b.how) {
                (How::Added, How::Removed) | (How::Removed, How::Added) => {}
                (How::Changed(a), How::Changed(b)) => for (a, b) in a.iter().zip(b) {
                    prop_assert_eq!((&a.before, &a.after), (&b.after, &b.before));
                    prop_assert_eq!(a.distance, b.distance);
                },
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(diff(&room, 1, 1).is_empty());
    }

    #[test]
    fn any_version_of_a_history_comes_back(
        versions in proptest::collection::vec(some_rows(), 1..6),
        picks in proptest::collection::vec(any::<proptest::sample::Index>(), 1..4),
        part_rows in 1..12_usize,
    ) {
        let room = Room::new();
        let mut known: Vec<Rows> = Vec::new();
        for rows in &versions {
            room.set(rows, part_rows);
            known.push(rows.clone());
        }
        for pick in picks {
            let wanted = pick.index(known.len());
            let newest = known.last().unwrap().clone();
            let wanted_rows = known[wanted].clone();
            match room.store.restore(TABLE, wanted as i64, &Cancel::new()).unwrap() {
                Restored::Already { version } => {
                    prop_assert_eq!(version as usize, known.len() - 1);
                    prop_assert_eq!(&newest, &wanted_rows);
                }
                Restored::Published { version, rows, added, removed, changed } => {
                    prop_assert_eq!(version as usize, known.len());
                    prop_assert_eq!(rows as usize, wanted_rows.len());
                    let told = diff(&room, version - 1, version);
                    prop_assert_eq!((told.added, told.removed, told.changed), (added, removed, changed));
                    known.push(wanted_rows.clone());
                }
            }
            prop_assert_eq!(read(&room.now()), wanted_rows);
        }
        // nothing of the history was rewritten, and others see the same
        let other = room.again();
        for (version, rows) in known.iter().enumerate() {
            prop_assert_eq!(&read(&other.snapshot_at(TABLE, version as i64).unwrap()), rows);
        }
        let past = room.now().past(None).unwrap();
        prop_assert_eq!(past.len(), known.len());
        prop_assert!(past.iter().all(|version| version.whole));
    }
}

#[test]
fn a_restored_version_can_be_built_on_and_has_the_old_note() {
    let room = Room::new();
    let rows = Rows::from([row("a", "one", 0.0)]);
    let part = room.stage(&rows);
    let note = clipmill::table::CommitNote {
        operation: "embed_images".into(),
        model: Some("weights".into()),
        fingerprint_parts: serde_json::json!({"operator": "embed_images 1"}),
        ..Default::default()
    };
    room.publish(Vec::new(), vec![part], note);
    room.set(&Rows::from([row("b", "two", 0.0)]), 4);
    let restored = room.store.restore(TABLE, 0, &Cancel::new()).unwrap();
    assert_eq!(
        restored,
        Restored::Published { version: 2, rows: 1, added: 1, removed: 1, changed: 0 }
    );
    let note = room.now().note().unwrap().unwrap();
    assert_eq!((note.operation.as_str(), note.model.as_deref()), ("restore", Some("weights")));
    assert_eq!(note.fingerprint_parts["operator"], "embed_images 1");
    assert_eq!(room.now().commit().unwrap().unwrap().delta_operation, "RESTORE");
    assert!(room.now().parts()[0].seal.is_some(), "the seal came back with its part");
    room.set(&Rows::from([row("c", "three", 0.0)]), 4);
    assert_eq!(room.now().version(), 3);
    let never = room.store.restore(TABLE, 9, &Cancel::new()).unwrap_err();
    assert_eq!(never.kind(), Kind::Usage);
    assert!(never.what().contains("no version 9"), "{never}");
}
