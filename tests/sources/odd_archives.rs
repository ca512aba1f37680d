//! Every odd archive against what Python's `tarfile` makes of it
//! (`golden/sources_odd_archives.py` wrote the list).

use std::collections::BTreeMap;
use std::io::Read;

use clipmill::base::{Error, Kind};
use clipmill::plan::source::{Caps, ImageSourceKind};
use clipmill::sources::each_entry;
use clipmill::sources::tarball::EntryKind;
use sha2::Digest as _;

use super::{image_source, real};

const GOLDEN: &str = include_str!("../golden/sources/odd_archives.tsv");

/// Where we differ, and why.
const DIFFERENT: &[(&str, &str)] = &[];

type Row = [String; 4];

fn python() -> BTreeMap<String, Vec<Row>> {
    let mut files: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for line in GOLDEN.lines() {
        let mut fields = line.split('\t').map(str::to_string);
        let file = fields.next().unwrap();
        let row: Vec<String> = fields.collect();
        files.entry(file).or_default().push(row.try_into().unwrap());
    }
    files
}

fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text.replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn ours(path: &std::path::Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let end = each_entry(path, &Caps::default(), &mut |entry, content| {
        let kind = match entry.kind {
            EntryKind::File => "file",
            EntryKind::Directory => "directory",
            EntryKind::Symlink => "symlink",
            EntryKind::HardLink => "hardlink",
            EntryKind::CharDevice => "char",
            EntryKind::BlockDevice => "block",
            EntryKind::Fifo => "fifo",
            EntryKind::Metadata(_) | EntryKind::Unknown(_) => "other",
        };
        let mut digest = "-".to_string();
        if let Some((_, why)) = &entry.fault {
            return Err(Error::new(Kind::BadInput, why.clone()));
        }
        if kind == "file" && entry.size_bytes <= 1 << 20 {
            let mut bytes = Vec::new();
            content
                .read_to_end(&mut bytes)
                .map_err(|e| Error::new(Kind::BadInput, e.to_string()))?;
            digest = sha2::Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        }
        let name = shown(&entry.name);
        let name = if kind == "directory" { name.trim_end_matches('/').into() } else { name };
        rows.push([name, kind.into(), entry.size_bytes.to_string(), digest]);
        Ok(())
    });
    if let Err(error) = end {
        rows.push([error.to_string(), "error".into(), "0".into(), "-".into()]);
    }
    rows
}

/// Links, devices and folders have no content, whatever size Python repeats of their header;
/// texts of errors are not compared.
fn comparable(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        match row[1].as_str() {
            "file" => {}
            "error" => row[0].clear(),
            _ => row[2].clear(),
        }
    }
    rows
}

#[test]
fn every_odd_archive_holds_what_python_finds() {
    let Some(folder) = real("odd_archives") else { return };
    let python = python();
    let mut wrong = Vec::new();
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "survey.tsv")
        .collect();
    names.sort();
    assert_eq!(names.len(), 89);
    for name in names {
        let ours = ours(&folder.join(&name));
        let theirs = python.get(&name).cloned().unwrap_or_default();
        let same = comparable(&ours) == comparable(&theirs);
        let explained = DIFFERENT.iter().find(|(file, _)| *file == name);
        match (same, explained) {
            (true, None) => {}
            (true, Some((_, why))) => wrong.push(format!("{name} no longer differs: {why}")),
            (false, Some((_, why))) => eprintln!("{name}: {why}"),
            (false, None) => {
                let tell = |rows: &[Row]| {
                    let rows: Vec<String> =
                        rows.iter().map(|row| row.join(" ").chars().take(150).collect()).collect();
                    rows.join("\n     ")
                };
                wrong.push(format!("{name}\n  we {}\n  py {}", tell(&ours), tell(&theirs)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_odd_archive_stops_a_source() {
    let Some(folder) = real("odd_archives") else { return };
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let mut source = image_source(ImageSourceKind::Tar, &[&path]);
        source.include = vec!["**".into()];
        let Ok(archives) = clipmill::sources::open(&source, dir.path()) else { continue };
        let mut samples = 0;
        let each = &mut |_| {
            samples += 1;
            std::ops::ControlFlow::Continue(())
        };
        let end = archives[0].stream(&mut |_| true, each, &clipmill::base::Cancel::new());
        if let Err(error) = end {
            assert_eq!(error.kind(), Kind::BadInput, "{error:?}");
            assert_eq!(samples, 0, "{error:?}");
        }
    }
}
