//! Caption and split files that are larger than their caps.

use std::io::Write;

use clipmill::base::units::Bytes;
use clipmill::base::{Cancel, Kind};
use clipmill::flow::{RejectClass, Split};
use clipmill::plan::source::{Caps, CaptionFormat, IdRule, SplitSource};
use clipmill::sources::captions::read;
use clipmill::sources::splits;
use clipmill::sources::write::{TarWriter, gzip};

use super::captions::{source, text};

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = gzip(Vec::new());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

pub fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (name, bytes) in members {
        tar.file(name, bytes, 0).unwrap();
    }
    tar.finish().unwrap()
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A caption, and so many bytes that are none.
fn long(image: &str, blank_bytes: usize) -> Vec<u8> {
    let mut lines = format!("{image}.jpg#0\ta dog\n").into_bytes();
    lines.resize(lines.len() + blank_bytes, b'\n');
    lines
}

#[test]
fn captions_past_the_cap_of_unpacking_say_which_cap() {
    let dir = tempfile::tempdir().unwrap();
    let line = b"1.jpg#0\ta dog\n";
    let mut lines = line.to_vec();
    lines.extend([b'x'; 300_000]);
    let mut tar = TarWriter::new(Vec::new());
    tar.file("x.token", &lines, 0).unwrap();
    for bytes in [lines.clone(), tar.finish().unwrap()] {
        let mut packer = gzip(Vec::new());
        packer.write_all(&bytes).unwrap();
        let path = text(dir.path(), "a.gz", &packer.finish().unwrap());
        let mut source = source(&path, CaptionFormat::Flickr);
        source.caps.unpacked_bytes = 200_000;
        let found = read(&source, &Cancel::new()).unwrap();
        assert_eq!((found.captions.len(), found.rejects.len()), (1, 1), "{:?}", found.rejects);
        assert_eq!(found.rejects[0].class, RejectClass::OverCap);
        assert!(found.rejects[0].message.contains("max_unpacked_bytes"), "{}", found.rejects[0]);
        source.caps.unpacked_bytes = 100;
        let error = read(&source, &Cancel::new()).unwrap_err();
        assert!(error.help_text().unwrap().contains("max_unpacked_bytes"), "{error:?}");
    }
}

#[test]
fn a_text_past_the_cap_of_members_says_which_cap_in_every_packing_and_those_behind_it_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (large, small) = (long("1", 300_000), long("2", 0));
    let both: [(&str, &[u8]); 2] = [("x.token", &large), ("y.token", &small)];
    let (tar, zip) = (tar(&both), zip(&both));
    let forms = [
        (large.clone(), 1, "a"),
        (gz(&large), 1, "a"),
        (tar.clone(), 2, "x.token"),
        (gz(&tar), 2, "x.token"),
        (zip, 2, "x.token"),
    ];
    for (form, (bytes, captions, member)) in forms.iter().enumerate() {
        let mut source = source(&text(dir.path(), "a", bytes), CaptionFormat::Flickr);
        source.member = Some("*.token".into());
        source.caps.member_bytes = 200_000;
        let found = read(&source, &Cancel::new()).unwrap();
        assert_eq!(found.captions.len(), *captions, "form {form}");
        let [reject] = found.rejects.as_slice() else { panic!("{form}: {:?}", found.rejects) };
        assert_eq!((reject.class, &*reject.origin.member), (RejectClass::OverCap, *member));
        assert_eq!(reject.origin.offset, 200_000, "where it is left");
        assert!(reject.message.contains("max_member_bytes"), "{reject}");
        source.caps.member_bytes = large.len() as u64;
        let found = read(&source, &Cancel::new()).unwrap();
        assert_eq!((found.captions.len(), found.rejects.len()), (*captions, 0), "form {form}");
    }
}

#[test]
fn the_members_of_a_zip_have_one_cap_of_unpacking_together() {
    let dir = tempfile::tempdir().unwrap();
    let texts = ["1", "2", "3"].map(|image| long(image, 100_000));
    let members: Vec<(&str, &[u8])> = ["a.token", "b.token", "c.token"]
        .into_iter()
        .zip(texts.iter().map(Vec::as_slice))
        .collect();
    let mut source = source(&text(dir.path(), "a.zip", &zip(&members)), CaptionFormat::Flickr);
    source.member = Some("*.token".into());
    let all = texts.iter().map(|text| text.len() as u64).sum();
    source.caps.unpacked_bytes = all;
    let found = read(&source, &Cancel::new()).unwrap();
    assert_eq!((found.captions.len(), found.rejects.len()), (3, 0));
    source.caps.unpacked_bytes = 190_000;
    let found = read(&source, &Cancel::new()).unwrap();
    let kept: Vec<_> = found.captions.iter().map(|c| c.image_id.as_str()).collect();
    assert_eq!(kept, ["1", "2"]);
    let [reject] = found.rejects.as_slice() else { panic!("{:?}", found.rejects) };
    assert_eq!((reject.class, &*reject.origin.member), (RejectClass::OverCap, "b.token"));
    assert!(reject.message.contains("max_unpacked_bytes"), "{reject}");
    let whole = Bytes(190_000).to_string();
    assert!(reject.message.contains(&whole), "of the whole archive: {reject}");
}

#[test]
fn a_split_file_past_its_cap_says_which_cap() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..1000).map(|n| format!("{n}.jpg\n")).collect();
    for bytes in [lines.clone().into_bytes(), gz(lines.as_bytes())] {
        let mut source = SplitSource {
            name: "parts".into(),
            files: vec![(Split::Train, text(dir.path(), "train.txt", &bytes))],
            id: IdRule::Stem,
            caps: Caps { unpacked_bytes: lines.len() as u64, ..Caps::default() },
        };
        assert_eq!(splits::read(&source).unwrap().0.len(), 1000);
        source.caps.unpacked_bytes -= 1;
        let error = splits::read(&source).unwrap_err();
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(error.help_text().unwrap().contains("max_unpacked_bytes"), "{error:?}");
    }
}
