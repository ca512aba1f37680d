//! A log that was read is followed, and never taken for another.

use std::sync::Arc;

use clipmill::base::clock::SystemClock;
use clipmill::table::{CommitNote, Store};

use super::room::{Room, Rows, TABLE, read, row};

#[test]
fn what_others_publish_is_seen_by_who_read_before() {
    let room = Room::new();
    let other = room.again();
    let clone = room.store.clone();
    assert!(other.snapshot(TABLE).unwrap().is_none());
    for n in 0..45 {
        // beyond two checkpoints
        let rows = Rows::from([row(&n.to_string(), "t", 1.0)]);
        assert_eq!(room.set(&rows, 8), n);
        for store in [&other, &clone, &room.store] {
            let seen = store.snapshot(TABLE).unwrap().unwrap();
            assert_eq!((seen.version(), read(&seen)), (n, rows.clone()));
        }
        let cold = read(&room.again().snapshot(TABLE).unwrap().unwrap());
        assert_eq!(cold, rows, "opened anew");
    }
    assert_eq!(read(&other.snapshot_at(TABLE, 3).unwrap()).keys().next().unwrap().0, "3");
}

#[test]
fn a_table_that_was_made_again_is_not_the_old_one() {
    let room = Room::new();
    let old = Rows::from([row("old", "t", 1.0)]);
    room.set(&old, 8);
    room.set(&Rows::from([row("older", "t", 1.0)]), 8);
    assert_eq!(room.now().version(), 1);
    std::fs::remove_dir_all(room.dir.path().join(TABLE)).unwrap();
    assert!(room.store.snapshot(TABLE).unwrap().is_none());
    let fresh = Rows::from([row("new", "t", 1.0)]);
    assert_eq!(room.set(&fresh, 8), 0);
    assert_eq!(read(&room.now()), fresh);
    std::fs::remove_dir_all(room.dir.path().join(TABLE)).unwrap();
    let other = Room { store: room.again(), ..room };
    for _ in 0..3 {
        other.set(&fresh, 8);
    }
    assert_eq!(read(&other.now()), fresh);
}

#[test]
fn a_log_that_another_program_wrote_on_is_followed() {
    let room = Room::new();
    room.set(&Rows::from([row("a", "t", 1.0)]), 8);
    assert_eq!(room.now().version(), 0);
    let foreign = r#"{"commitInfo":{"timestamp":5,"operation":"SET TBLPROPERTIES"}}"#;
    let path = room.dir.path().join(TABLE).join("_delta_log/00000000000000000001.json");
    std::fs::write(path, foreign).unwrap();
    let now = room.now();
    assert_eq!((now.version(), now.rows()), (1, 1));
    let past = now.past(None).unwrap();
    assert_eq!(past[0].commit.delta_operation, "SET TBLPROPERTIES");
    assert!(past[0].commit.note.is_none() && past[0].whole);
}

#[test]
fn history_says_when_what_and_why() {
    let room = Room::new();
    room.clock.0.store(1_700_000_000_000_000, std::sync::atomic::Ordering::SeqCst);
    room.set(&Rows::from([row("a", "t", 1.0), row("b", "t", 2.0)]), 8);
    let reasons = [("new".to_owned(), 1), ("content_changed".to_owned(), 2)].into();
    let part = room.stage(&Rows::from([row("c", "t", 1.0)]));
    let note = CommitNote { operation: "op".into(), added: 1, reasons, ..CommitNote::default() };
    room.publish(Vec::new(), vec![part], note.clone());
    let past = room.now().past(None).unwrap();
    assert_eq!(past.len(), 2);
    assert_eq!(past[0].commit.note.as_ref(), Some(&note));
    assert_eq!(past[0].commit.at_us, Some(1_700_000_000_000_000));
    assert_eq!((past[0].commit.rows, past[1].commit.rows), (Some(3), Some(2)));
    assert_eq!(room.now().past(Some(1)).unwrap().len(), 1);
    let unknown = Store::open(room.dir.path(), Arc::new(SystemClock)).unwrap();
    assert!(unknown.snapshot_at("nope", 0).unwrap_err().help_text().unwrap().contains(TABLE));
}
