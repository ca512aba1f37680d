//! Vacuum takes what nobody needs, and nothing that somebody may.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use clipmill::base::{Cancel, Kind};
use clipmill::table::{Restored, Vacuumed};
use proptest::test_runner::Config;

use super::room::{Room, Rows, TABLE, read, row};

const DAY_US: i64 = 86_400_000_000;
const START_US: i64 = 1_700_000_000_000_000;

fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

impl Room {
    fn vacuum(&self, age: Duration) -> Vacuumed {
        let would = self.store.vacuum(TABLE, age, true, &Cancel::new()).unwrap();
        let done = self.store.vacuum(TABLE, age, false, &Cancel::new()).unwrap();
        assert_eq!(would, done, "a dry run says what is done");
        let again = self.store.vacuum(TABLE, age, false, &Cancel::new()).unwrap();
        assert_eq!(again, Vacuumed::default(), "nothing is left to do");
        done
    }
}

fn written_us(facts: &std::fs::Metadata) -> i64 {
    let since = facts.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_micros() as i64
}

fn set_time(path: &Path, day: i64) {
    let at = Duration::from_micros((START_US + day * DAY_US) as u64);
    let file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + at).unwrap();
}

/// A version a day with one row of its own, the last on day `last`; files dated as they were made.
fn daily(last: i64) -> Room {
    let room = Room::new();
    for day in 0..=last {
        room.clock.0.store(START_US + day * DAY_US, Ordering::SeqCst);
        room.set(&Rows::from([row(&day.to_string(), "t", 1.0)]), 4);
        for path in room.now().part_paths() {
            set_time(&path, day);
        }
    }
    room
}

#[test]
fn age_is_counted_from_when_a_part_left_the_newest_version() {
    let room = daily(10);
    // the part of version n was made on day n and left on day n + 1
    let reader = room.at(7);
    let (cut, kept) = (3, 4..=10);
    room.clock.0.store(START_US + 10 * DAY_US + 1, Ordering::SeqCst);
    let done = room.vacuum(days(6));
    assert_eq!(done.parts.len(), cut + 1, "those that left on day 4 or before: {done:?}");
    assert!(done.size_bytes() > 0);
    for version in kept {
        let there = room.at(version);
        there.whole().unwrap();
        assert_eq!(read(&there).keys().next().unwrap().0, version.to_string());
    }
    assert_eq!(read(&reader).len(), 1, "a reader of old finishes its scan");
    let gone = room.at(2).whole().unwrap_err();
    assert_eq!(gone.kind(), Kind::Store);
    assert!(gone.what().contains("vacuumed"), "{gone}");
    let refused = room.store.restore(TABLE, 2, &Cancel::new()).unwrap_err();
    assert!(refused.what().contains("1 of its 1 parts were vacuumed"), "{refused}");
    assert_eq!(room.now().version(), 10, "nothing was restored");
    let past = room.now().past(None).unwrap();
    let whole: Vec<i64> = past.iter().filter(|p| p.whole).map(|p| p.commit.version).collect();
    assert_eq!(whole, [10, 9, 8, 7, 6, 5, 4]);
    // the rest goes when it is old enough; the newest never
    room.clock.0.store(START_US + 1000 * DAY_US, Ordering::SeqCst);
    assert_eq!(room.vacuum(days(6)).parts.len(), 6);
    assert_eq!(room.vacuum(Duration::ZERO).parts.len(), 0);
    assert_eq!(read(&room.now()).len(), 1);
}

#[test]
fn a_part_that_came_back_by_a_restore_counts_from_when_it_leaves_again() {
    let room = daily(3);
    room.clock.0.store(START_US + 20 * DAY_US, Ordering::SeqCst);
    let restored = room.store.restore(TABLE, 0, &Cancel::new()).unwrap();
    assert!(matches!(restored, Restored::Published { version: 4, .. }));
    // versions 0 and 4 share their part; 1 and 2 left long ago, 3 a moment ago
    assert_eq!(room.vacuum(days(7)).parts.len(), 2);
    assert_eq!(read(&room.now()).keys().next().unwrap().0, "0");
    room.at(3).whole().unwrap();
    room.clock.0.store(START_US + 40 * DAY_US, Ordering::SeqCst);
    room.set(&Rows::from([row("x", "t", 1.0)]), 4);
    assert_eq!(room.vacuum(days(7)).parts.len(), 1, "that of version 3");
    room.at(0).whole().unwrap();
}

#[test]
fn what_dead_runs_left_goes_when_it_is_old() {
    let room = daily(0);
    let table = room.dir.path().join(TABLE);
    let staged = room.stage(&Rows::from([row("s", "t", 1.0)]));
    let fresh = room.stage(&Rows::from([row("f", "t", 1.0)]));
    let orphan = "part-0000000000000001-abcdefabcdef.parquet";
    let temporary = [
        "_clipmill/staged/.part.parquet.77-1.tmp",
        "_delta_log/.00000000000000000001.json.77-2.tmp",
        "_delta_log/00000000000000000020.checkpoint.parquet#3",
    ];
    let foreign = ["notes.parquet", "_clipmill/staged/readme.txt", "photo.tmp"];
    for name in temporary.iter().chain(&foreign).chain([&orphan]) {
        std::fs::write(table.join(name), b"left over").unwrap();
        set_time(&table.join(name), 1);
    }
    set_time(&table.join("_clipmill/staged").join(&staged.path), 1);
    set_time(&table.join("_clipmill/staged").join(&fresh.path), 19);
    room.clock.0.store(START_US + 20 * DAY_US, Ordering::SeqCst);
    let done = room.vacuum(days(7));
    assert_eq!((done.parts.len(), done.staged.len(), done.temporary.len()), (1, 1, 3), "{done:?}");
    assert_eq!(room.store.staged(TABLE).unwrap(), [fresh]);
    for name in foreign {
        assert!(table.join(name).exists(), "{name} is none of ours");
    }
    assert_eq!(read(&room.now()).len(), 1);
}

#[test]
fn a_log_that_was_shortened_does_not_cost_parts() {
    let room = daily(3);
    let log = room.dir.path().join(TABLE).join("_delta_log");
    room.clock.0.store(START_US + 4 * DAY_US, Ordering::SeqCst);
    for n in 4..21 {
        room.set(&Rows::from([row(&n.to_string(), "t", 1.0)]), 4);
    }
    // a checkpoint is there now: readers do without what is before it
    std::fs::remove_file(log.join("00000000000000000002.json")).unwrap();
    let refused = room.store.vacuum(TABLE, days(30), false, &Cancel::new()).unwrap_err();
    assert_eq!(refused.kind(), Kind::Store);
    assert!(refused.what().contains("version 2"), "{refused}");
    // what happened in the last half day is all there
    room.store.vacuum(TABLE, Duration::from_secs(43_200), false, &Cancel::new()).unwrap();
    assert_eq!(read(&room.now()).len(), 1);
}

proptest::proptest! {
    #![proptest_config(Config { cases: 16, ..Config::default() })]

    #[test]
    fn versions_within_the_age_stay_readable(
        steps in proptest::collection::vec((0..4_i64, 0..6_u8, 0..6_u8), 2..12), age in 0..20_u64,
    ) {
        let room = Room::new();
        let mut day = 0;
        // each version with its rows and the day from which on it was the newest
        let mut versions: Vec<(Rows, i64)> = Vec::new();
        for (wait, low, count) in steps {
            day += wait;
            room.clock.0.store(START_US + day * DAY_US, Ordering::SeqCst);
            let rows: Rows =
                (low..low + count).map(|n| row(&n.to_string(), "t", f32::from(n))).collect();
            room.set(&rows, 2);
            for part in room.dir.path().join(TABLE).read_dir().unwrap().flatten() {
                let facts = part.metadata().unwrap();
                // files that have the time of the machine yet
                if facts.is_file() && written_us(&facts) > START_US + 1000 * DAY_US {
                    set_time(&part.path(), day);
                }
            }
            versions.push((rows, day));
        }
        let now = day + 1;
        room.clock.0.store(START_US + now * DAY_US, Ordering::SeqCst);
        room.store.vacuum(TABLE, days(age), false, &Cancel::new()).unwrap();
        for (number, (rows, _)) in versions.iter().enumerate() {
            // a version was the newest until the next came
            let until = versions.get(number + 1).map_or(i64::MAX, |(_, day)| *day);
            if until >= now - age as i64 {
                proptest::prop_assert_eq!(&read(&room.at(number as i64)), rows);
            }
        }
    }
}
