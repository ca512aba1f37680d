//! Every odd archive against what Python's `tarfile` makes of it
//! (`golden/sources_odd_archives.py` wrote the list).

use std::collections::BTreeMap;

use clipmill::base::Kind;
use clipmill::plan::source::{Caps, ImageSourceKind};
use clipmill::sources::each_entry;
use clipmill::sources::tarball::EntryKind;
use sha2::Digest as _;

use super::{image_source, real};

const GOLDEN: &str = include_str!("../golden/sources/odd_archives.tsv");

/// Where we differ, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("codeclysm-extract__archive.mistery", BZIP2),
    ("codeclysm-extract__archive.tar.bz2", BZIP2),
    ("go-getter__testdata__decompress-tbz2__empty.tar.bz2", BZIP2),
    ("go__archive__tar__testdata__pax-bad-hdr-large.tar.bz2", BZIP2),
    ("tar-split__archive__tar__testdata__pax-bad-hdr-large.tar.bz2", BZIP2),
    ("go-getter__testdata__decompress-txz__empty.tar.xz", "xz is not read, and said so"),
    ("libarchive__test_extract.tar.zst", "Zstandard, which this Python cannot read"),
    ("commons-compress__COMPRESS-553-fail.tar", "a later broken header is told about"),
    ("go__archive__tar__testdata__gnu-incremental.tar", GNU_TIMES),
    ("tar-split__archive__tar__testdata__gnu-incremental.tar", GNU_TIMES),
    (
        "go__archive__tar__testdata__gnu-multi-hdrs.tar",
        "of two long names the last counts, as in GNU tar and Go",
    ),
    (
        "go__archive__tar__testdata__pax-global-records.tar",
        "an empty `path` takes the global one back (POSIX pax), as in Go",
    ),
    ("go__archive__tar__testdata__pax-nil-sparse-hole.tar", HOLE_AT_END),
    ("tar-split__archive__tar__testdata__pax-nil-sparse-hole.tar", HOLE_AT_END),
    (
        "libarchive__test_read_format_gtar_sparse_1_17_posix10_modified.tar",
        "comments in a sparse map are passed over, as in libarchive; Python gives up",
    ),
    (
        "libarchive__test_read_format_tar_V_negative_size.tar",
        "a size below zero is no header; Python lists it and fails after",
    ),
];

const BZIP2: &str = "bzip2 is not read, and said so";
const GNU_TIMES: &str = "GNU keeps a time where Python takes ustar's prefix";
const HOLE_AT_END: &str = "1,000 bytes are right, as in Go; Python takes the stored size";

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
    if text.chars().count() > 300 {
        return format!("sha256:{}", sha256(text.as_bytes()));
    }
    text.replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
        if kind == "file" && entry.size_bytes <= 1 << 20 {
            let mut bytes = Vec::new();
            let read = content.read_to_end(&mut bytes);
            digest = match (&entry.fault, read) {
                (None, Ok(_)) => sha256(&bytes),
                _ => "unreadable".into(),
            };
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
