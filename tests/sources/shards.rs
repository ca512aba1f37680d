//! Captions in shards of which some are broken.

use std::io::Write;

use clipmill::base::{Cancel, Kind};
use clipmill::flow::RejectClass;
use clipmill::plan::source::CaptionFormat;
use clipmill::sources::captions::read;
use clipmill::sources::write::{TarWriter, gzip};

use super::captions::{source, text};

fn shard(members: &[&str]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for name in members {
        let content = match name.rsplit('.').next() {
            Some("json") => br#"{"caption": "a dog"}"#.to_vec(),
            Some("txt") => b"a dog".to_vec(),
            _ => vec![0xff; 2000],
        };
        tar.file(name, &content, 0).unwrap();
    }
    tar.finish().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = gzip(Vec::new());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn a_shard_that_is_cut_or_has_no_captions_is_a_reject_and_the_others_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let good = shard(&["000.jpg", "000.json", "000.txt"]);
    let bare = shard(&["002.jpg", "003.jpg"]);
    let mut cut = shard(&["001.jpg", "001.json", "001.txt"]);
    cut.truncate(1000);
    for packed in [false, true] {
        let put = |name: &str, bytes: &[u8]| {
            let packed = if packed { gz(bytes) } else { bytes.to_vec() };
            text(dir.path(), name, &packed)
        };
        let (good, cut, bare) =
            (put("good.tar", &good), put("cut.tar", &cut), put("bare.tar", &bare));
        for (format, name) in [
            (CaptionFormat::WebDatasetText, "*.txt"),
            (CaptionFormat::WebDatasetJson { field: "caption".into() }, "*.json"),
        ] {
            let mut source = source(&cut, format);
            source.paths = vec![cut.clone(), bare.clone(), good.clone()];
            let found = read(&source, &Cancel::new()).unwrap();
            let kept: Vec<_> = found.captions.iter().map(|c| c.image_id.as_str()).collect();
            assert_eq!(kept, ["000"], "packed {packed}");
            let [of_cut, of_bare] = found.rejects.as_slice() else { panic!("{:?}", found.rejects) };
            assert_eq!(of_cut.class, RejectClass::BrokenMember);
            assert_eq!(&*of_cut.origin.member, "cut.tar");
            assert!(of_cut.message.contains("ends in the middle of a member"), "{of_cut}");
            assert_eq!(of_bare.class, RejectClass::BrokenMember);
            assert_eq!(&*of_bare.origin.member, "bare.tar");
            assert!(of_bare.message.contains(&format!("holds no member named `{name}`")));

            // where none has any, the wrong files were named
            for paths in [vec![cut.clone()], vec![bare.clone(), cut.clone()]] {
                let first = paths[0].display().to_string();
                source.paths = paths;
                let error = read(&source, &Cancel::new()).unwrap_err();
                assert_eq!(error.kind(), Kind::BadInput);
                assert!(format!("{error:?}").contains(&first), "{error:?}");
                assert!(error.what().contains(name), "{error:?}");
            }
        }
    }
}

#[test]
fn what_is_no_archive_at_all_is_a_reject_and_no_caption() {
    let dir = tempfile::tempdir().unwrap();
    let members = ["000.jpg", "000.txt"];
    let good = text(dir.path(), "good.tar", &shard(&members));
    let mut short = shard(&members);
    short.truncate(300);
    let mut packed = gz(&shard(&members));
    packed.truncate(12);
    for (bytes, why) in [
        (short.as_slice(), "no tar and no zip archive"),
        (b"<html>moved</html>", "no tar and no zip archive"),
        (packed.as_slice(), "could not be read to its end"),
        (b"PK\x03\x04 and no more", "no zip that can be read"),
    ] {
        let bad = text(dir.path(), "bad.tar", bytes);
        let mut source = source(&bad, CaptionFormat::WebDatasetText);
        source.paths = vec![bad.clone(), good.clone()];
        let found = read(&source, &Cancel::new()).unwrap();
        let kept: Vec<_> = found.captions.iter().map(|c| c.image_id.as_str()).collect();
        assert_eq!(kept, ["000"], "{why}");
        let [reject] = found.rejects.as_slice() else { panic!("{:?}", found.rejects) };
        assert_eq!(reject.class, RejectClass::BrokenMember);
        assert_eq!(&*reject.origin.member, "bad.tar");
        assert!(reject.message.contains(why), "{reject}");
        // where there is no other, the wrong file was named
        source.paths = vec![bad];
        let error = read(&source, &Cancel::new()).unwrap_err();
        assert!(format!("{error:?}").contains("bad.tar"), "{why}: {error:?}");
    }
    // captions that were taken out of their shards
    for (name, bytes) in [("7.txt", b"a dog".to_vec()), ("7.txt.gz", gz(b"a dog"))] {
        let alone = text(dir.path(), name, &bytes);
        let found = read(&source(&alone, CaptionFormat::WebDatasetText), &Cancel::new()).unwrap();
        let kept: Vec<_> = found.captions.iter().map(|c| &*c.text).collect();
        assert_eq!(kept, ["a dog"], "{name}");
    }
}

#[test]
fn of_other_captions_every_archive_has_some() {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = TarWriter::new(Vec::new());
    tar.file("x.token", b"1.jpg#0\ta dog\n", 0).unwrap();
    let good = text(dir.path(), "good.tar", &tar.finish().unwrap());
    let bare = text(dir.path(), "bare.tar", &shard(&["000.jpg"]));
    let mut source = source(&good, CaptionFormat::Flickr);
    source.paths = vec![good, bare];
    let error = read(&source, &Cancel::new()).unwrap_err();
    assert!(error.help_text().unwrap().contains("000.jpg"), "{error:?}");
}
