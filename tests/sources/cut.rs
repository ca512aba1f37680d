//! Archives that end too early, or hold more than they say: what is there is read, and the rest is told.

use std::io::Write;

use clipmill::base::Cancel;
use clipmill::flow::RejectClass;
use clipmill::plan::source::CaptionFormat;
use clipmill::plan::source::ImageSourceKind::Tar;
use clipmill::sources::captions::{CaptionsRead, read};

use super::caption_caps::{gz, tar};
use super::captions::{source, text};
use super::{image_source, known, open, streamed};

/// Lines that do not pack to nothing.
fn lines(count: u32) -> String {
    (0..count).map(|n| format!("{n}.jpg#0\ta dog {}\n", n.wrapping_mul(2_654_435_761))).collect()
}

fn captions(name: &str, bytes: &[u8], member: Option<&str>) -> CaptionsRead {
    let dir = tempfile::tempdir().unwrap();
    let mut source = source(&text(dir.path(), name, bytes), CaptionFormat::Flickr);
    source.member = member.map(str::to_owned);
    read(&source, &Cancel::new()).unwrap()
}

#[test]
fn of_a_cut_archive_every_caption_before_the_cut_is_read_and_the_cut_is_told_once() {
    let lines = lines(20_000);
    let whole = tar(&[("readme.txt", b"about"), ("x.token", lines.as_bytes())]);
    let packed = gz(&whole);
    let text_at = whole.windows(8).position(|bytes| bytes == b"0.jpg#0\t").unwrap();
    for cut in [9, 700, lines.len() / 2, lines.len() - 300].map(|far| text_at + far) {
        let before = &whole[text_at..cut];
        let expected = before.iter().filter(|byte| **byte == b'\n').count();
        // A line that is cut is no caption, though it may look like one.
        let found = captions("a.tar", &whole[..cut], None);
        assert_eq!(found.captions.len(), expected, "cut at {cut}: {:?}", found.rejects);
        let [reject] = found.rejects.as_slice() else { panic!("{cut}: {:?}", found.rejects) };
        assert_eq!((reject.class, &*reject.origin.member), (RejectClass::BrokenMember, "x.token"));
        assert_eq!(reject.origin.offset, before.len() as u64, "where it ends");
    }
    // As many as of the text alone, packed and cut alike: what zlib gives before the cut.
    for cut in [packed.len() / 3, packed.len() - 300] {
        let found = captions("a.tar.gz", &packed[..cut], None);
        let mut unpacked = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(&packed[..cut]);
        let broken = std::io::copy(&mut reader, &mut unpacked);
        assert!(broken.is_err());
        let expected = unpacked[text_at..].iter().filter(|byte| **byte == b'\n').count();
        assert!(expected > 1000);
        assert_eq!((found.captions.len(), found.rejects.len()), (expected, 1), "cut at {cut}");
    }
}

#[test]
fn a_tar_that_ends_behind_a_whole_member_or_goes_on_behind_its_end_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (tar(&[("1.jpg", b"one"), ("2.jpg", b"two")]), tar(&[("3.jpg", b"three")]));
    let padded = [a.as_slice(), &[0; 30_000]].concat();
    // What a writer's last record held before.
    let stale = [a.as_slice(), &[b'x'; 3000]].concat();
    let unmarked = a[..2048].to_vec();
    let joined = [a.as_slice(), &b].concat();
    for (form, members, told) in [
        (a.as_slice(), 2, None),
        (padded.as_slice(), 2, None),
        (stale.as_slice(), 2, None),
        (unmarked.as_slice(), 2, Some("no end marker")),
        (joined.as_slice(), 2, Some("members behind")),
    ] {
        for (name, bytes) in [("x.tar", form.to_vec()), ("x.tar.gz", gz(form))] {
            let path = text(dir.path(), name, &bytes);
            let archive = open(&image_source(Tar, &[&path]), &dir.path().join(name));
            let (found, rejects) = if name == "x.tar" {
                let (members, rejects) = known(&archive);
                (members.len(), rejects)
            } else {
                let (samples, rejects) = streamed(&archive);
                (samples.len(), rejects)
            };
            assert_eq!(found, members, "{name}");
            let said: Vec<&str> = rejects.iter().map(|reject| reject.message.as_str()).collect();
            assert_eq!(said.len(), usize::from(told.is_some()), "{name}: {said:?}");
            assert!(told.is_none_or(|told| said[0].contains(told)), "{name}: {said:?}");
            assert!(rejects.iter().all(|reject| reject.class == RejectClass::BrokenMember));
        }
    }
}

#[test]
fn captions_in_a_tar_that_ends_oddly_are_read_and_its_end_is_told() {
    let (a, b) = (tar(&[("a.token", b"1.jpg#0\ta dog\n")]), tar(&[("b.token", b"2.jpg#0\tb\n")]));
    let joined = [a.as_slice(), &b].concat();
    for (bytes, told) in [(&a[..1024], "no end marker"), (&joined, "members behind")] {
        for (name, bytes) in [("a.tar", bytes.to_vec()), ("a.tar.gz", gz(bytes))] {
            let found = captions(name, &bytes, Some("*.token"));
            assert_eq!(found.captions.len(), 1, "{name}, {told}");
            let [reject] = found.rejects.as_slice() else { panic!("{:?}", found.rejects) };
            assert!(reject.message.contains(told) && &*reject.origin.member == name, "{reject}");
        }
    }
}

#[test]
fn a_member_of_a_zip_whose_own_header_is_damaged_is_a_reject() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    // Damage to the first one makes every place of a zip doubtful.
    for name in ["c.txt", "a.token", "b.token"] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(format!("{name}.jpg#0\ta dog\n").as_bytes()).unwrap();
    }
    let good = zip.finish().unwrap().into_inner();
    let headers: Vec<usize> =
        (0..good.len()).filter(|at| good[*at..].starts_with(b"PK\x03\x04")).collect();
    assert_eq!(headers.len(), 3);
    for (damaged, captions_left, told) in [(1, 1, "a.token"), (2, 1, "b.token")] {
        let mut bytes = good.clone();
        bytes[headers[damaged]] ^= 0xff;
        let found = captions("a.zip", &bytes, Some("*.token"));
        assert_eq!(found.captions.len(), captions_left, "{damaged}: {:?}", found.rejects);
        let members: Vec<&str> = found.rejects.iter().map(|r| &*r.origin.member).collect();
        assert_eq!(members, [told]);
        assert!(found.rejects.iter().all(|reject| reject.class == RejectClass::BrokenMember));
    }
}

#[test]
fn text_of_another_encoding_is_told_and_zero_bytes_are_no_text() {
    let line = "1.jpg#0\ta dog\n";
    for (mark, low) in [(b"\xff\xfe", 0), (b"\xfe\xff", 1)] {
        let pair = |byte| if low == 0 { [byte, 0] } else { [0, byte] };
        let wide: Vec<u8> = line.bytes().flat_map(pair).collect();
        let found = captions("a.token", &[mark.as_slice(), &wide].concat(), None);
        assert!(found.captions.is_empty());
        let [reject] = found.rejects.as_slice() else { panic!("{:?}", found.rejects) };
        assert_eq!(reject.class, RejectClass::BadText);
        assert!(reject.message.contains("iconv"), "{reject}");
    }
    let found = captions("a.token", b"1.jpg#0\ta\0dog\n2\0.jpg#0\ta dog\n3.jpg#0\tdog\n", None);
    let told: Vec<_> = found.rejects.iter().map(|r| (r.class, r.image_id.as_deref())).collect();
    assert_eq!(told, [(RejectClass::BadText, Some("1")), (RejectClass::BadName, None)]);
    assert_eq!(found.captions.len(), 1);
}
