//! The same photos as tar, tar.gz, tar.zst and folder; links and caps; round trips.

use std::io::Write;
use std::path::Path;

use clipmill::base::{Cancel, Digest, Kind};
use clipmill::flow::RejectClass;
use clipmill::plan::source::ImageSourceKind::{Folder, Tar, WebDataset};
use clipmill::sources::write::{TarWriter, gzip, zstd};
use clipmill::sources::{Listing, duplicates};
use proptest::prelude::*;

use super::{image_source, known, open, real, streamed};

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (name, content) in files {
        tar.file(name, content, 1_391_000_000).unwrap();
    }
    tar.finish().unwrap()
}

fn ids_and_digests(
    path: &Path,
    kind: clipmill::plan::source::ImageSourceKind,
) -> Vec<(String, Digest)> {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(&image_source(kind, &[path]), dir.path());
    let (samples, rejects) = streamed(&archive);
    assert!(rejects.is_empty(), "{rejects:?}");
    let mut all: Vec<_> =
        samples.into_iter().map(|(member, _)| (member.image_id, member.digest.unwrap())).collect();
    all.sort();
    all
}

#[test]
fn real_photos_are_the_same_in_every_packing() {
    let Some(tar) = real("flickr30k/flickr30k-images.tar") else { return };
    let dir = tempfile::tempdir().unwrap();
    let source = image_source(Tar, &[&tar]);
    let archive = open(&source, dir.path());
    let (members, rejects) = known(&archive);
    assert_eq!((members.len(), rejects.len(), archive.ignored()), (240, 0, 1));
    assert_eq!(members[0].image_id, "1000092795");
    assert_eq!(&*members[0].origin.member, "flickr30k-images/1000092795.jpg");
    assert_eq!((members[0].size_bytes, members[0].origin.offset), (218_143, 1024));

    let folder = dir.path().join("folder/below");
    std::fs::create_dir_all(&folder).unwrap();
    let (gz, zst) = (dir.path().join("packed"), dir.path().join("a.tar.zst"));
    let bytes = std::fs::read(&tar).unwrap();
    // two gzip members, cut anywhere, are one archive
    let (front, back) = bytes.split_at(9_999_999);
    let mut out = Vec::new();
    for part in [front, back] {
        let mut packer = gzip(&mut out);
        packer.write_all(part).unwrap();
        packer.finish().unwrap();
    }
    std::fs::write(&gz, out).unwrap();
    let mut packer = zstd(Vec::new()).unwrap();
    packer.write_all(&bytes).unwrap();
    std::fs::write(&zst, packer.finish().unwrap()).unwrap();
    for member in &members {
        let bytes = archive.read(member).unwrap();
        std::fs::write(folder.join(format!("{}.jpg", member.image_id)), bytes).unwrap();
    }

    let expected = ids_and_digests(&tar, Tar);
    assert_eq!(expected.len(), 240);
    assert_eq!(ids_and_digests(&gz, Tar), expected);
    assert_eq!(ids_and_digests(&zst, Tar), expected);
    assert_eq!(ids_and_digests(folder.parent().unwrap(), Folder), expected);
    // stamps do not depend on the packing either: positions and headers are the tar's
    let (of_stream, _) = streamed(&open(&image_source(Tar, &[&gz]), dir.path()));
    let stamps: Vec<_> = of_stream.iter().map(|(m, _)| (m.stamp, m.origin.offset)).collect();
    assert_eq!(stamps, members.iter().map(|m| (m.stamp, m.origin.offset)).collect::<Vec<_>>());
}

#[test]
fn real_shards_are_read_by_key() {
    let Some(shard) = real("webdataset/clip-retrieval-image1.tar") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (members, rejects) = known(&open(&image_source(WebDataset, &[&shard]), dir.path()));
    let ids: Vec<&str> = members.iter().map(|m| m.image_id.as_str()).collect();
    assert_eq!(ids, ["123_456", "208_495", "321_421", "389_535"]);
    assert!(rejects.is_empty());
}

#[test]
fn junk_is_passed_over_and_links_are_told_about() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let mut tar = TarWriter::new(Vec::new());
    tar.directory("d", 0).unwrap();
    for name in ["d/a.jpg", "__MACOSX/d/._a.jpg", "d/._a.jpg", "d/readme.txt", "d/b.JPEG"] {
        tar.file(name, name.as_bytes(), 0).unwrap();
    }
    tar.symlink("d/c.jpg", "/etc/passwd", 0).unwrap();
    std::fs::write(&path, tar.finish().unwrap()).unwrap();
    let archive = open(&image_source(Tar, &[&path]), dir.path());
    let (members, rejects) = known(&archive);
    let ids: Vec<&str> = members.iter().map(|m| m.image_id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(archive.ignored(), 4);
    let classes: Vec<_> = rejects.iter().map(|r| (r.class, &*r.origin.member)).collect();
    assert_eq!(classes, [(RejectClass::NotAFile, "d/c.jpg")]);

    // the same with globs, which a link must match
    let mut source = image_source(Tar, &[&path]);
    source.include = vec!["*.txt".into()];
    let (members, rejects) = known(&open(&source, dir.path()));
    assert_eq!((members[0].image_id.as_str(), members.len(), rejects.len()), ("readme", 1, 0));
}

#[test]
fn what_may_be_an_image_is_never_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    // no extension: its content will say; formats that are not read are refused, not overlooked
    for name in ["0001", "photo.avif", "stereo.mpo", "LICENSE.txt", ".hidden", "ids.json"] {
        std::fs::write(dir.path().join(name), name).unwrap();
    }
    let index = tempfile::tempdir().unwrap();
    let archive = open(&image_source(Folder, &[dir.path()]), index.path());
    let (members, rejects) = known(&archive);
    let ids: Vec<&str> = members.iter().map(|m| m.image_id.as_str()).collect();
    assert_eq!((ids, rejects.len(), archive.ignored()), (vec!["0001", "photo", "stereo"], 0, 3));
}

#[test]
fn folders_follow_no_links() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("photos");
    std::fs::create_dir_all(root.join("b")).unwrap();
    std::fs::write(root.join("b/x.png"), "x").unwrap();
    std::fs::write(root.join("a.jpg"), "a").unwrap();
    std::os::unix::fs::symlink("a.jpg", root.join("c.jpg")).unwrap();
    std::os::unix::fs::symlink(dir.path(), root.join("loop")).unwrap();
    let archive = open(&image_source(Folder, &[&root]), dir.path());
    let (members, rejects) = known(&archive);
    let names: Vec<&str> = members.iter().map(|m| &*m.origin.member).collect();
    assert_eq!(names, ["a.jpg", "b/x.png"]);
    let rejected: Vec<&str> = rejects.iter().map(|r| &*r.origin.member).collect();
    assert_eq!(rejected, ["c.jpg", "loop"]);
    // a file that became a link meanwhile is not followed either
    std::fs::remove_file(root.join("a.jpg")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", root.join("a.jpg")).unwrap();
    assert_eq!(archive.read(&members[0]).unwrap_err().class, RejectClass::Unreadable);
}

#[test]
fn a_folder_that_cannot_be_listed_is_one_reject_that_says_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("photos");
    std::fs::create_dir_all(root.join("closed")).unwrap();
    std::fs::write(root.join("a.jpg"), "a").unwrap();
    std::fs::write(root.join("closed/b.jpg"), "b").unwrap();
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(root.join("closed"), mode(0)).unwrap();
    let listed = std::fs::read_dir(root.join("closed")).is_ok();
    let (members, rejects) = known(&open(&image_source(Folder, &[&root]), dir.path()));
    std::fs::set_permissions(root.join("closed"), mode(0o700)).unwrap();
    if listed {
        eprintln!("skipped: root lists closed folders too");
        return;
    }
    assert_eq!(members.len(), 1);
    assert_eq!(rejects.len(), 1);
    assert_eq!((&*rejects[0].origin.member, rejects[0].class), ("closed", RejectClass::Unreadable));
    assert!(rejects[0].message.contains("cannot be listed"), "{}", rejects[0]);
}

#[test]
fn a_folder_too_deep_or_too_long_is_one_reject_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("photos");
    // Deeper than a path may be long: made of two halves, as no single path reaches its end.
    let half = vec!["n".repeat(200); 11].join("/");
    let (first, second) = (root.join(&half), dir.path().join("second"));
    std::fs::create_dir_all(&first).unwrap();
    std::fs::create_dir_all(second.join(&half)).unwrap();
    std::fs::rename(&second, first.join("second")).unwrap();
    std::fs::write(root.join("a.jpg"), "a").unwrap();
    let mut source = image_source(Folder, &[&root]);
    source.caps.name_bytes = 10_000;
    let (members, rejects) = known(&open(&source, dir.path()));
    assert_eq!((members.len(), rejects.len()), (1, 1));
    assert_eq!(rejects[0].class, RejectClass::Unreadable);
    assert!(rejects[0].message.contains("cannot be listed"), "{}", rejects[0]);

    source.caps.name_bytes = 300;
    let (members, rejects) = known(&open(&source, dir.path()));
    assert_eq!((members.len(), rejects.len()), (1, 1));
    assert_eq!((rejects[0].class, rejects[0].image_id.as_ref()), (RejectClass::OverCap, None));
    assert!(rejects[0].message.contains("max_name_bytes"), "{}", rejects[0]);
}

#[test]
fn a_truncated_archive_gives_what_is_before_its_end() {
    let whole = tar_of(&[("a.jpg", &[1; 700]), ("b.jpg", &[2; 700]), ("c.jpg", &[3; 700])]);
    let cut = &whole[..512 + 1024 + 512 + 300];
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain.tar");
    std::fs::write(&plain, cut).unwrap();
    let mut packer = gzip(Vec::new());
    packer.write_all(cut).unwrap();
    let whole_gz = packer.finish().unwrap();
    let (gz, cut_gz) = (dir.path().join("a.gz"), dir.path().join("b.gz"));
    std::fs::write(&gz, &whole_gz).unwrap();
    std::fs::write(&cut_gz, &whole_gz[..whole_gz.len() - 12]).unwrap();
    for path in [plain, gz, cut_gz] {
        let (samples, rejects) = streamed(&open(&image_source(Tar, &[&path]), dir.path()));
        assert_eq!(samples[0].0.image_id, "a", "{}", path.display());
        assert_eq!((samples.len(), rejects.len()), (1, 1), "{rejects:?}");
        assert_eq!(rejects[0].class, RejectClass::BrokenMember);
        assert_eq!(rejects[0].image_id.as_deref(), Some("b"));
    }
}

#[test]
fn what_is_no_archive_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let open_and_list = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let source = image_source(Tar, &[&path]);
        let error = clipmill::sources::open(&source, dir.path())
            .and_then(|archives| {
                archives[0].stream(
                    &mut |_| true,
                    &mut |_| std::ops::ControlFlow::Continue(()),
                    &Cancel::new(),
                )
            })
            .unwrap_err();
        assert!(error.to_string().contains(name) && error.help_text().is_some(), "{error:?}");
        error.kind()
    };
    assert_eq!(open_and_list("empty.tar", b""), Kind::BadInput);
    assert_eq!(open_and_list("short.tar", &[7; 100]), Kind::BadInput);
    assert_eq!(open_and_list("text.tar", &[b'x'; 4096]), Kind::BadInput);
    assert_eq!(open_and_list("a.tar.bz2", b"BZh91AY&SY"), Kind::BadInput);
    assert_eq!(open_and_list("a.zip", b"PK\x03\x04...."), Kind::BadInput);
    assert_eq!(open_and_list("bad.tar.gz", b"\x1f\x8b\x08\x00aaaaaaaaaaaaaa"), Kind::BadInput);
    let gone = dir.path().join("gone.tar");
    let error = clipmill::sources::open(&image_source(Tar, &[&gone]), dir.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::MissingInput);
}

#[test]
fn caps_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let long = format!("{}.jpg", "n".repeat(300));
    std::fs::write(&path, tar_of(&[("a.jpg", &[0; 600]), (&long, b"x"), ("b.jpg", b"y")])).unwrap();
    let mut source = image_source(Tar, &[&path]);
    source.caps.member_bytes = 599;
    source.caps.name_bytes = 200;
    let (members, rejects) = known(&open(&source, dir.path()));
    assert_eq!(members.iter().map(|m| m.image_id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(rejects.iter().all(|r| r.class == RejectClass::OverCap) && rejects.len() == 2);
    source.caps.members = 2;
    let error = open(&source, dir.path()).list(&Cancel::new()).unwrap_err();
    assert!(error.help_text().unwrap().contains("max_members"));
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(open(&source, dir.path()).list(&cancel).unwrap_err().kind(), Kind::Interrupted);

    let gz = dir.path().join("bomb.tar.gz");
    let mut packer = gzip(Vec::new());
    packer.write_all(&tar_of(&[("a.jpg", &[0; 100]), ("b.jpg", &vec![0; 1 << 20])])).unwrap();
    std::fs::write(&gz, packer.finish().unwrap()).unwrap();
    let mut source = image_source(Tar, &[&gz]);
    source.caps.unpacked_bytes = 200_000;
    let (samples, rejects) = streamed(&open(&source, dir.path()));
    assert_eq!((samples.len(), rejects.len()), (1, 1));
    assert_eq!(rejects[0].class, RejectClass::OverCap);
    assert!(rejects[0].message.contains("max_unpacked_bytes"), "{}", rejects[0]);
}

#[test]
fn more_than_may_be_unpacked_is_over_the_cap_wherever_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar.gz");
    let mut packer = gzip(Vec::new());
    packer.write_all(&tar_of(&[("a.txt", &vec![0; 1 << 20]), ("b.jpg", b"b")])).unwrap();
    std::fs::write(&path, packer.finish().unwrap()).unwrap();
    let mut source = image_source(Tar, &[&path]);
    source.caps.unpacked_bytes = 200_000;
    // in a member that nobody reads
    let (samples, rejects) = streamed(&open(&source, dir.path()));
    assert_eq!((samples.len(), rejects.len()), (0, 1));
    assert_eq!((rejects[0].class, &rejects[0].image_id), (RejectClass::OverCap, &None));
    assert!(rejects[0].message.contains("max_unpacked_bytes"), "{}", rejects[0]);
    // before the first member
    source.caps.unpacked_bytes = 100;
    let all = &mut |_| std::ops::ControlFlow::Continue(());
    let read = open(&source, dir.path()).stream(&mut |_| true, all, &Cancel::new());
    let error = read.unwrap_err();
    assert!(error.what().contains("more than the cap of 100 B"), "{error:?}");
    assert!(error.help_text().unwrap().contains("max_unpacked_bytes"), "{error:?}");
}

#[test]
fn a_checksum_behind_the_last_member_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let tar = tar_of(&[("a.jpg", &[1; 700]), ("b.jpg", &[2; 700])]);
    let mut packer = gzip(Vec::new());
    packer.write_all(&tar).unwrap();
    let good = packer.finish().unwrap();
    let mut packer = zstd(Vec::new()).unwrap();
    packer.write_all(&tar).unwrap();
    let good_zst = packer.finish().unwrap();
    let rejects = |bytes: &[u8]| {
        let path = dir.path().join("a.packed");
        std::fs::write(&path, bytes).unwrap();
        let (samples, rejects) = streamed(&open(&image_source(Tar, &[&path]), dir.path()));
        assert_eq!(samples.len(), 2);
        rejects
    };
    let mut bad = good.clone();
    let at = bad.len() - 6;
    bad[at] ^= 0x55;
    let cut = |good: &[u8]| good[..good.len() - 2].to_vec();
    for bytes in [bad, cut(&good), cut(&good_zst)] {
        let found = rejects(&bytes);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].class, &found[0].image_id), (RejectClass::BrokenMember, &None));
        assert_eq!(&*found[0].origin.member, "a.packed");
        assert!(found[0].message.contains("what was read of it may be wrong"), "{}", found[0]);
    }
    assert_eq!((rejects(&good), rejects(&good_zst)), (vec![], vec![]));
    // what `gzip` passes over, too
    for byte in [0, b'x'] {
        for count in [1, 9, 10, 1000] {
            assert_eq!(rejects(&[good.as_slice(), &vec![byte; count]].concat()), []);
        }
    }
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let device = Path::new("/dev/null");
    let error = clipmill::sources::open(&image_source(Tar, &[device]), dir.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.what().contains("a character device"), "{error:?}");
    assert!(error.help_text().is_some());
}

#[test]
fn two_members_with_one_id_name_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one.tar"), dir.path().join("two.tar"));
    std::fs::write(&one, tar_of(&[("x/1.jpg", b"a"), ("2.jpg", b"b")])).unwrap();
    std::fs::write(&two, tar_of(&[("1.png", b"c"), ("3.jpg", b"d")])).unwrap();
    let source = image_source(Tar, &[&one, &two]);
    let archives = clipmill::sources::open(&source, dir.path()).unwrap();
    let mut members: Vec<_> = archives.iter().flat_map(|a| known(a).0).collect();
    let rejects = duplicates(&mut members);
    assert_eq!(members.iter().map(|m| m.image_id.as_str()).collect::<Vec<_>>(), ["2", "3"]);
    assert_eq!(members[1].archive, 1);
    assert!(rejects[0].message.contains("two.tar/1.png"), "{}", rejects[0]);
    assert!(rejects[1].message.contains("one.tar/x/1.jpg"), "{}", rejects[1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_written_is_read(
        files in proptest::collection::btree_map(
            "[a-zé ]{1,20}(/[a-z]{80,120}){0,2}", proptest::collection::vec(any::<u8>(), 0..3000), 0..12),
    ) {
        let named: Vec<(String, Vec<u8>)> = files
            .into_iter().enumerate()
            .map(|(n, (name, content))| (format!("{name}{n}.jpg"), content)).collect();
        let pairs: Vec<(&str, &[u8])> =
            named.iter().map(|(n, c)| (n.as_str(), c.as_slice())).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let bytes = tar_of(&pairs);
        prop_assert_eq!(bytes.len() % 10_240, 0);
        prop_assert_eq!(&bytes, &tar_of(&pairs));
        std::fs::write(&path, bytes).unwrap();
        let archive = open(&image_source(Tar, &[&path]), dir.path());
        let (members, rejects) = known(&archive);
        prop_assert!(rejects.is_empty());
        let read: Vec<(String, Vec<u8>)> = members.iter()
            .map(|m| (m.origin.member.to_string(), archive.read(m).unwrap().to_vec())).collect();
        prop_assert_eq!(read, named);
    }
}

#[test]
fn a_compressed_archive_is_streamed_until_its_index_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar.gz");
    let mut packer = gzip(Vec::new());
    packer.write_all(&tar_of(&[("a.jpg", b"a"), ("b.jpg", b"b")])).unwrap();
    std::fs::write(&path, packer.finish().unwrap()).unwrap();
    let archive = open(&image_source(Tar, &[&path]), dir.path());
    assert!(matches!(archive.list(&Cancel::new()).unwrap(), Listing::Streamed));
    let (samples, _) = streamed(&archive);
    let members: Vec<_> = samples.into_iter().map(|(member, _)| member).collect();
    archive.keep_index(&members, &[]).unwrap();
    assert_eq!(known(&archive).0, members);
    assert!(archive.read(&members[0]).is_err());
}
