//! `verify` finds every kind of damage and says which file it is.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use clipmill::base::{Cancel, Digest};
use clipmill::table::Verdict;

use super::room::{Room, Rows, TABLE, contract, row};

fn three_parts() -> Room {
    let room = Room::new();
    let rows: Rows = (0..30).map(|n| row(&format!("{n:02}"), "some text", 0.5)).collect();
    room.set(&rows, 10);
    room
}

fn verify(room: &Room) -> Verdict {
    room.store.verify(TABLE, Some(&contract()), &Cancel::new()).unwrap()
}

/// Turns one bit.
fn flip(path: &Path, at: u64) {
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
}

#[test]
fn a_sound_table_has_no_faults_and_everything_was_read() {
    let room = three_parts();
    let staged = room.stage(&Rows::from([row("s", "t", 1.0)]));
    let verdict = verify(&room);
    assert_eq!(verdict.faults, []);
    assert_eq!((verdict.version, verdict.parts, verdict.rows), (Some(0), 4, 30));
    let sizes: u64 = room.now().parts().iter().map(|part| part.size_bytes).sum();
    assert_eq!(verdict.size_bytes, sizes + staged.size_bytes);
    assert_eq!(room.store.verify(TABLE, None, &Cancel::new()).unwrap().faults, []);
    assert_eq!(room.store.verify("nothing", None, &Cancel::new()).unwrap().version, None);
}

#[test]
fn every_single_bit_is_looked_at() {
    let room = three_parts();
    let path = &room.now().part_paths()[1];
    let size = std::fs::metadata(path).unwrap().len();
    for at in (0..size).step_by(97) {
        flip(path, at);
        let faults = verify(&room).faults;
        assert_eq!(faults.len(), 1, "byte {at}");
        assert_eq!(faults[0].place, path.display().to_string());
        assert!(faults[0].what.contains("another content"), "{faults:?}");
        assert!(faults[0].help.contains("run the pipeline again"));
        flip(path, at);
    }
    assert_eq!(verify(&room).faults, []);
}

#[test]
fn missing_short_and_swapped_parts_are_told_apart() {
    let room = three_parts();
    let paths = room.now().part_paths();
    std::fs::remove_file(&paths[0]).unwrap();
    std::fs::OpenOptions::new().write(true).open(&paths[1]).unwrap().set_len(40).unwrap();
    std::fs::copy(&paths[2], room.dir.path().join("copy")).unwrap();
    let verdict = verify(&room);
    let said: Vec<&str> = verdict.faults.iter().map(|fault| fault.what.as_str()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("missing") && said[1].contains("40 bytes"), "{said:?}");
    assert_eq!(verdict.rows, 10);
}

#[test]
fn a_damaged_staged_part_is_found_before_a_run_takes_it_over() {
    let room = three_parts();
    // larger than what a glance looks at
    let rows: Rows = (0..4000)
        .map(|n| {
            row(&format!("{n:05}"), &Digest::of(&[n as u8, (n >> 8) as u8]).to_string(), n as f32)
        })
        .collect();
    let staged = room.stage(&rows);
    let path = room.dir.path().join(TABLE).join("_clipmill/staged").join(&staged.path);
    flip(&path, 1000);
    assert_eq!(room.store.staged(TABLE).unwrap().len(), 1, "a glance does not see it");
    let faults = verify(&room).faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].what.contains("staged") && faults[0].place.contains(&staged.path));
}

#[test]
fn rows_are_held_to_the_contract_of_today() {
    let room = three_parts();
    let mut strict = contract();
    strict.checks.push(clipmill::plan::contract::Check {
        name: "unit".into(),
        kind: clipmill::plan::contract::CheckKind::L2Norm {
            column: "embedding".into(),
            min: 0.99,
            max: 1.01,
        },
    });
    let faults = room.store.verify(TABLE, Some(&strict), &Cancel::new()).unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].place.contains("unit") && faults[0].what.starts_with("30 rows"),
        "{faults:?}"
    );
    strict.columns.pop();
    strict.checks.clear();
    let faults = room.store.verify(TABLE, Some(&strict), &Cancel::new()).unwrap().faults;
    assert!(faults[0].what.contains("columns"), "{faults:?}");
}

#[test]
fn parts_of_old_versions_are_read_too() {
    let room = three_parts();
    let old = room.now().part_paths();
    let rows: Rows = (0..30).map(|n| row(&format!("{n:02}"), "another text", 0.5)).collect();
    room.set(&rows, 30);
    let sound = verify(&room);
    assert_eq!((sound.version, sound.parts, sound.old_parts), (Some(1), 1, 3));
    assert_eq!(sound.faults, []);
    flip(&old[1], 40);
    let faults = verify(&room).faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].place, old[1].display().to_string());
    assert!(faults[0].what.contains("of version 0"), "{faults:?}");
    // What a vacuum took is not missing.
    std::fs::remove_file(&old[0]).unwrap();
    std::fs::remove_file(&old[1]).unwrap();
    let vacuumed = verify(&room);
    assert_eq!((vacuumed.old_parts, vacuumed.faults), (1, Vec::new()));
}

#[test]
fn a_log_that_cannot_be_read_says_which_and_what_to_do() {
    for damage in ["a commit is gone", "a commit is no JSON"] {
        let room = three_parts();
        for first in [1.5, 2.5] {
            room.set(&Rows::from([row("0", "some text", first)]), 10);
        }
        let log = room.dir.path().join(TABLE).join("_delta_log");
        if damage == "a commit is gone" {
            std::fs::remove_file(log.join("00000000000000000001.json")).unwrap();
        } else {
            std::fs::write(log.join("00000000000000000002.json"), "garbage\n").unwrap();
        }
        let error = room.again().snapshot(TABLE).unwrap_err();
        let said = error.to_string();
        let start = format!("{}: cannot read the log of table `{TABLE}`: ", log.display());
        assert!(said.starts_with(&start), "{damage}: {said}");
        assert!(!said.contains(['{', '\n']) && said.len() < start.len() + 300, "{damage}: {said}");
        let help = error.help_text().unwrap();
        assert!(help.contains("from a copy") && help.contains("computed anew"), "{damage}: {help}");
    }
}
