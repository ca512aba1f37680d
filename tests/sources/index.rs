//! Kept indexes: what is known again after each kind of change.

use std::path::Path;

use clipmill::base::Digest;
use clipmill::plan::source::ImageSourceKind::{Folder, Tar};
use clipmill::sources::Archive;
use clipmill::sources::write::TarWriter;

use super::{image_source, known, open};

fn write(path: &Path, files: &[(&str, Vec<u8>)]) {
    let mut tar = TarWriter::new(Vec::new());
    for (name, content) in files {
        tar.file(name, content, 0).unwrap();
    }
    // as people replace archives: another file under the same name
    std::fs::remove_file(path).ok();
    std::fs::write(path, tar.finish().unwrap()).unwrap();
}

/// Lists, reads what has no digest, keeps the index; gives the ids that had to be read.
fn settle(archive: &Archive) -> Vec<String> {
    let (mut members, rejects) = known(archive);
    let mut read = Vec::new();
    for member in &mut members {
        let digest = Digest::of(&archive.read(member).unwrap());
        match member.digest {
            Some(known) => assert_eq!(known, digest, "{}", member.image_id),
            None => {
                member.digest = Some(digest);
                read.push(member.image_id.clone());
            }
        }
    }
    archive.keep_index(&members, &rejects).unwrap();
    read
}

#[test]
fn only_changed_members_lose_their_digest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let again = || settle(&open(&image_source(Tar, &[&path]), dir.path()));
    let mut files: Vec<(&str, Vec<u8>)> =
        vec![("a.jpg", vec![1; 3000]), ("b.jpg", vec![2; 5000]), ("c.jpg", vec![3; 100])];
    write(&path, &files);
    assert_eq!(again(), ["a", "b", "c"]);
    assert!(again().is_empty());
    // appended
    files.push(("d.jpg", vec![4; 10]));
    write(&path, &files);
    assert_eq!(again(), ["d"]);
    // one member of the same size and time, changed at its end
    files[1].1[4999] = 9;
    write(&path, &files);
    assert_eq!(again(), ["b"]);
    // one member grew, all behind it moved
    files[0].1.push(1);
    write(&path, &files);
    assert_eq!(again(), ["a"]);
    // reordered, and one gone
    files.reverse();
    files.pop();
    write(&path, &files);
    assert!(again().is_empty());
    // written anew with the same bytes
    write(&path, &files);
    assert!(again().is_empty());
}

/// A content of `size` bytes that begins as a format does.
fn of_format(magic: &[u8], size: usize) -> Vec<u8> {
    let mut content: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
    content[..magic.len()].copy_from_slice(magic);
    content
}

const JPEG: &[u8] = &[0xff, 0xd8, 0xff, 0xe0];

#[test]
fn a_byte_in_the_middle_is_seen_where_nothing_else_tells_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8], mtime_s: u64| {
        let mut tar = TarWriter::new(Vec::new());
        tar.file(name, content, mtime_s).unwrap();
        tar.file("other.jpg", &of_format(JPEG, 40_000), 1_386_000_000).unwrap();
        std::fs::write(dir.path().join("new"), tar.finish().unwrap()).unwrap();
        std::fs::rename(dir.path().join("new"), dir.path().join("a.tar")).unwrap();
    };
    let again = || {
        let path = dir.path().join("a.tar");
        settle(&open(&image_source(Tar, &[&path]), dir.path()))
    };
    let cases = [
        ("a bitmap with a time", "a.bmp", of_format(b"BM", 50_000), 1_386_000_000, "a"),
        ("a JPEG without one", "b.jpg", of_format(JPEG, 50_000), 0, "b"),
        ("a small file without one", "c.jpg", of_format(JPEG, 5000), 0, "c"),
        ("a TIFF", "d.tif", of_format(b"II*\0", 9000), 1_386_000_000, "d"),
    ];
    for (case, name, mut content, mtime_s, id) in cases {
        write(name, &content, mtime_s);
        again();
        assert!(again().is_empty(), "{case}: an untouched archive is not read");
        let middle = content.len() / 2 - 700;
        content[middle] ^= 1;
        write(name, &content, mtime_s);
        assert_eq!(again(), [id], "{case}");
    }
    // with a time, and all bytes behind the change another: a few places tell
    let mut content = of_format(JPEG, 50_000);
    write("e.jpg", &content, 1_386_000_000);
    again();
    write("e.jpg", &content, 1_386_000_000);
    assert!(again().is_empty(), "repacked, and nothing read");
    content[20_000..48_000].iter_mut().for_each(|byte| *byte ^= 0x55);
    write("e.jpg", &content, 1_386_000_000);
    assert_eq!(again(), ["e"], "head and tail are as they were, what is between is not");
    write("e.jpg", &content, 1_386_000_001);
    assert_eq!(again(), ["e"], "another time");
}

#[test]
fn an_edit_in_place_with_the_old_time_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    write(&path, &[("a.jpg", vec![1; 3000]), ("b.jpg", vec![2; 3000])]);
    assert_eq!(settle(&open(&image_source(Tar, &[&path]), dir.path())).len(), 2);
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[512] = 7;
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::write(&path, bytes).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(settle(&open(&image_source(Tar, &[&path]), dir.path())), ["a"]);
}

#[test]
fn other_settings_list_anew_and_keep_digests() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    write(&path, &[("1.jpg", vec![1; 30]), ("2.png", vec![2; 30])]);
    let mut source = image_source(Tar, &[&path]);
    assert_eq!(settle(&open(&source, dir.path())).len(), 2);
    source.include = vec!["*.png".into()];
    let (members, _) = known(&open(&source, dir.path()));
    assert_eq!((members.len(), members[0].digest.is_some()), (1, true));
}

#[test]
fn a_damaged_index_is_no_index() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    write(&path, &[("1.jpg", vec![1; 30])]);
    let archive = open(&image_source(Tar, &[&path]), &dir.path().join("kept"));
    settle(&archive);
    let kept = std::fs::read_dir(dir.path().join("kept")).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&kept).unwrap();
    assert!(known(&archive).0[0].digest.is_some());
    for broken in [&whole[..whole.len() - 1], &whole[..10], b""] {
        std::fs::write(&kept, broken).unwrap();
        assert!(known(&archive).0[0].digest.is_none());
    }
    let mut flipped = whole;
    flipped[60] ^= 1;
    std::fs::write(&kept, flipped).unwrap();
    assert!(known(&archive).0[0].digest.is_none());
}

#[test]
fn a_file_that_changes_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    write(&path, &[("1.jpg", vec![1; 30])]);
    let archive = open(&image_source(Tar, &[&path]), dir.path());
    let (members, _) = known(&archive);
    write(&path, &[("0.jpg", vec![0; 3000]), ("1.jpg", vec![1; 30])]);
    assert!(archive.read(&members[0]).unwrap_err().message.contains("changed"));
}

#[test]
fn folders_know_files_by_their_stat() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("photos");
    std::fs::create_dir(&root).unwrap();
    for name in ["a.jpg", "b.jpg"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    let again = || settle(&open(&image_source(Folder, &[&root]), dir.path()));
    assert_eq!(again().len(), 2);
    assert!(again().is_empty());
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::write(root.join("a.jpg"), "A.JPG").unwrap();
    std::fs::write(root.join("c.jpg"), "c").unwrap();
    assert_eq!(again(), ["a", "c"]);
}

/// Bytes that this thread has read so far; none where the system does not say.
fn bytes_read() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/thread-self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).and_then(|read| read.parse().ok())
}

#[test]
fn thirty_thousand_members_are_listed_by_their_headers_and_then_by_an_index() {
    // 31,783 members of 130 KB as holes of a file: 4 GB that take no space
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.tar");
    let file = std::fs::File::create(&path).unwrap();
    let content = 130_000_u64;
    let mut at = 0;
    for n in 0..31_783_u32 {
        let mut header = tar::Header::new_gnu();
        header.set_path(format!("flickr30k-images/{n}.jpg")).unwrap();
        header.set_size(content);
        header.set_mtime(1_386_000_000);
        header.set_cksum();
        let start = [header.as_bytes().as_slice(), JPEG].concat();
        std::os::unix::fs::FileExt::write_all_at(&file, &start, at).unwrap();
        at += 512 + content.next_multiple_of(512);
    }
    file.set_len(at + 1024).unwrap();
    let source = image_source(Tar, &[&path]);
    let archive = open(&source, dir.path());
    let counted = || {
        let before = bytes_read();
        let members = known(&archive).0;
        assert_eq!(members.len(), 31_783);
        (members, before.and_then(|before| Some(bytes_read()? - before)))
    };
    let (mut members, headers) = counted();
    members.iter_mut().for_each(|member| member.digest = Some(member.stamp));
    archive.keep_index(&members, &[]).unwrap();
    let (again, kept) = counted();
    assert_eq!(again, members);
    match (headers, kept) {
        (Some(headers), Some(kept)) => {
            assert!(headers >= 31_783 * 512 && headers < at / 5, "{headers} of {at} bytes");
            assert!(kept < headers / 4, "{kept} bytes, {headers} without the index");
        }
        _ => eprintln!("skipped: this system does not say how much a thread has read"),
    }
}
