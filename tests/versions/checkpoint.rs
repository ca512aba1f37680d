//! A checkpoint of the log is a short cut: a damaged one costs time and a line, and no table.

use std::path::PathBuf;
use std::process::Command;

use super::room::{Room, Rows, TABLE, read, row};

fn rows(version: usize) -> Rows {
    (0..4).map(|n| row(&format!("{n:02}"), &format!("text {version}"), n as f32)).collect()
}

/// Versions 0 to 21; there is a checkpoint of version 19.
fn with_a_checkpoint() -> Room {
    let room = Room::new();
    for version in 0..22 {
        assert_eq!(room.set(&rows(version), 10), version as i64);
    }
    assert_eq!(checkpoints(&room), ["00000000000000000019.checkpoint.parquet"]);
    room
}

fn log(room: &Room) -> PathBuf {
    room.dir.path().join(TABLE).join("_delta_log")
}

fn checkpoints(room: &Room) -> Vec<String> {
    let names = std::fs::read_dir(log(room)).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".checkpoint.parquet")).collect();
    names.sort();
    names
}

fn damage(room: &Room, how: usize) {
    let path = log(room).join(&checkpoints(room)[0]);
    let bytes = std::fs::read(&path).unwrap();
    match how {
        0 => std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
        1 => std::fs::write(&path, b"").unwrap(),
        2 => std::fs::write(&path, vec![7; bytes.len()]).unwrap(),
        3 => {
            let mut bytes = bytes;
            let middle = bytes.len() / 3;
            bytes[middle..middle + 200].fill(0xff);
            std::fs::write(&path, bytes).unwrap();
        }
        _ => std::fs::remove_file(&path).unwrap(),
    }
}

#[test]
fn a_damaged_one_is_passed_by_and_written_anew() {
    for how in 0..5 {
        let room = with_a_checkpoint();
        damage(&room, how);
        let now = room.again().snapshot(TABLE).unwrap().unwrap();
        assert_eq!((now.version(), read(&now)), (21, rows(21)), "damage {how}");
        let old = room.again().snapshot_at(TABLE, 20).unwrap();
        assert_eq!(read(&old), rows(20), "damage {how}");

        // the next version, by somebody who opens the store now
        let room = Room { store: room.again(), ..room };
        assert_eq!(room.set(&rows(22), 10), 22, "damage {how}");
        assert_eq!(read(&room.now()), rows(22));
        // bytes that no reader needs were hit by 3, and 4 is no damage
        if how < 3 {
            let new = ["00000000000000000022.checkpoint.parquet"];
            assert_eq!(checkpoints(&room), new, "damage {how}");
        }
        let now = room.again().snapshot(TABLE).unwrap().unwrap();
        assert_eq!((now.version(), read(&now)), (22, rows(22)), "damage {how}");
        assert_eq!(read(&room.again().snapshot_at(TABLE, 20).unwrap()), rows(20));
        assert_eq!(room.set(&rows(23), 10), 23);
        assert_eq!(read(&room.again().snapshot(TABLE).unwrap().unwrap()), rows(23));
    }
}

#[test]
fn the_new_one_is_what_the_next_reader_reads() {
    let room = with_a_checkpoint();
    damage(&room, 0);
    let room = Room { store: room.again(), ..room };
    room.set(&rows(22), 10);
    // without its first commits only the checkpoint tells of the table
    std::fs::remove_file(log(&room).join("00000000000000000000.json")).unwrap();
    let now = room.again().snapshot(TABLE).unwrap().unwrap();
    assert_eq!((now.version(), read(&now)), (22, rows(22)));
    // and then a damaged one is an error, not another table
    damage(&room, 0);
    assert!(room.again().snapshot(TABLE).is_err());
}

#[test]
fn one_line_says_so_and_no_library_speaks() {
    let room = with_a_checkpoint();
    damage(&room, 0);
    let out = Command::new(assert_cmd::cargo::cargo_bin!("clipmill"))
        .args(["history".as_ref(), room.dir.path().as_os_str(), TABLE.as_ref()])
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("a checkpoint of the log is damaged"), "{said}");
    assert!(said.contains("the next version writes the checkpoint anew"), "{said}");
}
