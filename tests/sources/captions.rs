//! Caption files and splits as they are in the world.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use clipmill::base::{Cancel, Kind};
use clipmill::flow::{Caption, RejectClass, Split};
use clipmill::plan::source::Cleaning;
use clipmill::plan::source::{Caps, CaptionFormat, CaptionSource, IdRule, SplitSource};
use clipmill::sources::captions::{CaptionsRead, read};
use clipmill::sources::clean::clean;
use clipmill::sources::splits;
use clipmill::sources::write::{TarWriter, gzip, zstd};

use super::real;

pub fn source(path: &Path, format: CaptionFormat) -> CaptionSource {
    CaptionSource {
        name: "sentences".into(),
        paths: vec![path.to_path_buf()],
        member: None,
        format,
        id: IdRule::Stem,
        caps: Caps::default(),
    }
}

fn all(path: &Path, format: CaptionFormat) -> CaptionsRead {
    read(&source(path, format), &Cancel::new()).unwrap()
}

fn csv(delimiter: &str, columns: [&str; 2], index: Option<&str>, quoted: bool) -> CaptionFormat {
    CaptionFormat::Csv {
        delimiter: delimiter.into(),
        image: columns[0].into(),
        text: columns[1].into(),
        index: index.map(Into::into),
        split: None,
        quoted,
    }
}

fn images(captions: &[Caption]) -> usize {
    captions.iter().map(|c| &c.image_id).collect::<BTreeSet<_>>().len()
}

fn by_key(captions: &[Caption]) -> HashMap<(&str, i32), &str> {
    captions.iter().map(|c| ((c.image_id.as_str(), c.caption_index), c.text.as_str())).collect()
}

#[test]
fn flickr30k_in_its_archive() {
    let Some(path) = real("flickr30k/flickr30k.tar.gz") else { return };
    let start = std::time::Instant::now();
    let read = all(&path, CaptionFormat::Flickr);
    eprintln!("158,915 captions: {:?}", start.elapsed());
    assert_eq!((read.captions.len(), read.rejects.len()), (158_915, 0));
    assert_eq!(images(&read.captions), 31_783);
    let (first, last) = (&read.captions[0], read.captions.last().unwrap());
    assert_eq!((first.image_id.as_str(), first.caption_index), ("1000092795", 0));
    assert_eq!(
        first.text,
        "Two young guys with shaggy hair look at their hands while hanging out in the yard ."
    );
    assert_eq!((&*first.origin.member, first.origin.offset), ("results_20130124.token", 0));
    assert_eq!((last.image_id.as_str(), last.caption_index), ("998845445", 4));
    assert!(last.text.ends_with("hills and mist in the background ."));
    // what bites
    let count =
        |test: &dyn Fn(&str) -> bool| read.captions.iter().filter(|c| test(&c.text)).count();
    assert_eq!(count(&|text| text.contains('#')), 42);
    assert_eq!(count(&|text| text.contains('"')), 840);
    let odd = &read.captions[10_118];
    assert_eq!(odd.text, "A picture of a sidewalk in a city with people and cars . \u{a0}");
    assert!(clean(&odd.text, &[Cleaning::Whitespace]).ends_with("cars ."));
    let offset = read.captions[1].origin.offset;
    assert_eq!(offset, "1000092795.jpg#0\t".len() as u64 + first.text.len() as u64 + 1);
    assert!(read.captions.iter().any(|c| c.image_id.parse::<u32>().is_err()));
}

#[test]
fn the_same_captions_in_every_packing() {
    let text = b"1.jpg#0\ta dog\n2.jpg#0\ta cat\n";
    let dir = tempfile::tempdir().unwrap();
    let mut tar = TarWriter::new(Vec::new());
    tar.file("readme.txt", b"1.jpg#0\tnot this one", 0).unwrap();
    tar.file("__MACOSX/._x.token", b"junk", 0).unwrap();
    tar.file("x.token", text, 0).unwrap();
    let tar = tar.finish().unwrap();
    let packed = |bytes: &[u8]| {
        let mut gz = gzip(Vec::new());
        gz.write_all(bytes).unwrap();
        let mut zst = zstd(Vec::new()).unwrap();
        zst.write_all(bytes).unwrap();
        [gz.finish().unwrap(), zst.finish().unwrap()]
    };
    let [text_gz, text_zst] = packed(text);
    let [tar_gz, tar_zst] = packed(&tar);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, content) in [("__MACOSX/._x.token", &b"junk"[..]), ("in/x.token", text)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    let zip = zip.finish().unwrap().into_inner();
    let forms: [&[u8]; 7] = [text, &text_gz, &text_zst, &tar, &tar_gz, &tar_zst, &zip];
    for (n, bytes) in forms.iter().enumerate() {
        let path = dir.path().join(format!("form{n}"));
        std::fs::write(&path, bytes).unwrap();
        let read = all(&path, CaptionFormat::Flickr);
        let texts: Vec<&str> = read.captions.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(texts, ["a dog", "a cat"], "form {n}");
        assert!(read.rejects.is_empty());
    }
    // an archive that lacks what was asked for says what it has
    let mut source = source(&dir.path().join("form4"), CaptionFormat::Flickr);
    source.member = Some("other.token".into());
    let error = read(&source, &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.help_text().unwrap().contains("x.token"), "{error:?}");
}

#[test]
fn kaggle_flickr30k_in_its_zip() {
    let (Some(zip), Some(tar)) =
        (real("flickr30k/kaggle-results.csv.zip"), real("flickr30k/flickr30k.tar.gz"))
    else {
        return;
    };
    let format = csv("| ", ["image_name", "comment"], Some("comment_number"), false);
    let read = all(&zip, format);
    assert_eq!(read.captions.len(), 158_914);
    let [reject] = read.rejects.as_slice() else { panic!("{:?}", read.rejects) };
    assert_eq!(reject.class, RejectClass::BadLine);
    assert!(&*reject.origin.member == "results.csv" && reject.message.contains("3 fields, got 2"));
    let original = all(&tar, CaptionFormat::Flickr);
    let original = by_key(&original.captions);
    let differ = read
        .captions
        .iter()
        .filter(|c| original[&(c.image_id.as_str(), c.caption_index)] != c.text)
        .count();
    assert_eq!(differ, 43);
}

#[test]
fn chinese_flickr30k_is_quoted_csv() {
    let Some(path) = real("flickr30k/captions-zh-3000.csv") else { return };
    let read = all(&path, csv(",", ["image_path", "caption_zh"], None, true));
    let rows = std::fs::read_to_string(&path).unwrap().lines().count() - 1;
    assert_eq!((read.captions.len(), read.rejects.len()), (rows, 0));
    assert_eq!(images(&read.captions), rows);
    assert_eq!(read.captions[0].image_id, "1000092795");
    let last = read.captions.last().unwrap();
    assert_eq!(last.text, "三个人走在一条街上, 在雨中被商业标志灯点亮。");
    let first = clean(&read.captions[0].text, &[Cleaning::JoinChinese]);
    assert_eq!(first, "两个毛发发发型的年轻人一边在院子里晃来晃去一边看着自己的手");
}

#[test]
fn flickr8k_in_english_and_chinese() {
    let (Some(english), Some(chinese)) =
        (real("flickr8k/Flickr8k.token.txt"), real("flickr8k/flickr8kzhb.caption.txt"))
    else {
        return;
    };
    let english = all(&english, CaptionFormat::Flickr);
    let chinese = all(&chinese, CaptionFormat::Flickr);
    let zero_width = |c: &&Caption| clean(&c.text, &[Cleaning::ZeroWidth]).len() < c.text.len();
    for read in [&english, &chinese] {
        assert_eq!((read.captions.len(), read.rejects.len()), (40_460, 0));
        assert_eq!(images(&read.captions), 8_092);
        let odd = read.captions.iter().filter(|c| c.image_id == "2258277193_586949ec62.jpg.1");
        assert_eq!(odd.count(), 5);
    }
    let keys = |read: &CaptionsRead| -> BTreeSet<(String, i32)> {
        read.captions.iter().map(|c| (c.image_id.clone(), c.caption_index)).collect()
    };
    assert_eq!(keys(&english), keys(&chinese));
    assert_eq!(chinese.captions[0].text, "穿着粉红色连衣裙的孩子爬上楼梯，进入一个入口。");
    assert_eq!(english.captions.iter().filter(zero_width).count(), 0);
    let left: usize = chinese
        .captions
        .iter()
        .map(|c| {
            clean(&c.text, &[Cleaning::Whitespace, Cleaning::ZeroWidth, Cleaning::JoinChinese])
                .matches('\u{200b}')
                .count()
        })
        .sum();
    assert_eq!(left, 0);
}

#[test]
fn coco_is_one_object() {
    let Some(path) = real("coco/captions_val2017.json") else { return };
    let read = all(&path, CaptionFormat::Coco);
    assert_eq!((read.captions.len(), read.rejects.len()), (25_014, 0));
    assert_eq!(images(&read.captions), 5_000);
    assert_eq!(read.captions.iter().filter(|c| c.text.contains('\n')).count(), 83);
    let first = &read.captions[0];
    assert_eq!((first.image_id.as_str(), first.caption_index), ("000000179765", 0));
    assert_eq!(first.split, Some(Split::Val));
    let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
    for caption in &read.captions {
        let count = counts.entry(&caption.image_id).or_default();
        assert_eq!(caption.caption_index, *count);
        *count += 1;
    }
    assert_eq!(counts.values().filter(|n| **n == 6).count(), 12);
    assert_eq!(counts.values().filter(|n| **n == 7).count(), 1);
    // an offset leads to its entry
    let bytes = std::fs::read(&path).unwrap();
    let at = usize::try_from(first.origin.offset).unwrap();
    assert!(
        bytes[at..].starts_with(b"{\"image_id\": 179765")
            || bytes[at..].starts_with(b"{\"image_id\":179765")
    );
}

#[test]
fn real_splits_cover_every_image() {
    let Some(folder) = real("flickr30k/splits") else { return };
    let files = [(Split::Train, "train.txt"), (Split::Val, "val.txt"), (Split::Test, "test.txt")];
    let source = SplitSource {
        name: "parts".into(),
        files: files.iter().map(|(split, name)| (*split, folder.join(name))).collect(),
        id: IdRule::Stem,
        caps: Caps::default(),
    };
    let (splits, rejects) = splits::read(&source).unwrap();
    let count = |split| splits.values().filter(|s| **s == split).count();
    assert_eq!(
        (count(Split::Train), count(Split::Val), count(Split::Test)),
        (29_783, 1_000, 1_000)
    );
    assert!(rejects.is_empty());
}

pub fn text(dir: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn broken_lines_are_rows() {
    let dir = tempfile::tempdir().unwrap();
    let bad = b"1.jpg#0\tone\nnonsense\n1.jpg#0\tagain\n2.jpg#0\t \xc2\xa0\n3.jpg#0\t\xff\n#0\tx\n\n4\tfour\n4\tfive\r\n";
    let read = all(&text(dir.path(), "a.token", bad), CaptionFormat::Flickr);
    let classes: Vec<RejectClass> = read.rejects.iter().map(|r| r.class).collect();
    use RejectClass::{BadLine, BadName, BadText, DuplicateCaption, EmptyCaption};
    assert_eq!(classes, [BadLine, DuplicateCaption, EmptyCaption, BadText, BadName]);
    let kept: Vec<_> = read
        .captions
        .iter()
        .map(|c| (c.image_id.as_str(), c.caption_index, c.text.as_str()))
        .collect();
    assert_eq!(kept, [("1", 0, "one"), ("4", 0, "four"), ("4", 1, "five")]);

    let open = b"image,text\n1.jpg,\"never closed\n2.jpg,two\n3.jpg,three,four\n4.jpg,five\n";
    let read = all(&text(dir.path(), "a.csv", open), csv(",", ["image", "text"], None, true));
    let ids: Vec<&str> = read.captions.iter().map(|c| c.image_id.as_str()).collect();
    assert_eq!((ids, read.rejects.len()), (vec!["2", "4"], 2));
    let error = super::captions::read(
        &source(&dir.path().join("a.csv"), csv(",", ["file", "text"], None, true)),
        &Cancel::new(),
    );
    assert!(error.unwrap_err().help_text().unwrap().contains("image, text"));
}

#[test]
fn a_field_that_is_no_text_is_a_reject_in_every_column() {
    let dir = tempfile::tempdir().unwrap();
    let rows = b"image,text,number,split\n1.jpg,one,0,train\n2.jpg,two,\xff,train\n\
                 3.jpg,three,0,\xff\n4.jpg,four,,\n";
    let mut format = csv(",", ["image", "text"], Some("number"), false);
    if let CaptionFormat::Csv { split, .. } = &mut format {
        *split = Some("split".into());
    }
    let read = all(&text(dir.path(), "a.csv", rows), format);
    let classes: Vec<RejectClass> = read.rejects.iter().map(|r| r.class).collect();
    assert_eq!(classes, [RejectClass::BadText; 2]);
    let kept: Vec<_> = read.captions.iter().map(|c| (c.image_id.as_str(), c.split)).collect();
    assert_eq!(kept, [("1", Some(Split::Train)), ("4", None)]);
}

#[test]
fn karpathy_has_splits_and_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let json = br#"{"dataset": "x", "images": [
      {"filename": "a/1.jpg", "split": "restval", "sentences": [{"raw": "one"}, {"tokens": []}, {"raw": "two"}]},
      {"filename": "2.jpg", "split": "nowhere", "sentences": []}, 7,
      {"filename": "3.jpg", "split": "test", "sentences": [{"raw": "three"}]}], "more": {}}"#;
    let read = all(&text(dir.path(), "dataset.json", json), CaptionFormat::Karpathy);
    let rows: Vec<_> =
        read.captions.iter().map(|c| (c.image_id.as_str(), c.caption_index, c.split)).collect();
    assert_eq!(
        rows,
        [("1", 0, Some(Split::Train)), ("1", 2, Some(Split::Train)), ("3", 0, Some(Split::Test))]
    );
    assert_eq!(read.rejects.len(), 3);
    let not_json = text(dir.path(), "no.json", b"<html>");
    assert!(
        super::captions::read(&source(&not_json, CaptionFormat::Karpathy), &Cancel::new()).is_err()
    );
}

#[test]
fn shards_hold_captions_beside_images() {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = TarWriter::new(Vec::new());
    for (name, content) in [
        ("d/000.jpg", &b"\xff\xd8"[..]),
        ("d/000.txt", b"a dog\n"),
        ("d/000.json", br#"{"caption": ["x", "y"], "w": 3}"#),
        ("d/001.txt", b"\xff"),
        ("d/001.json", br#"{"caption": 3}"#),
    ] {
        tar.file(name, content, 0).unwrap();
    }
    let path = text(dir.path(), "s.tar", &tar.finish().unwrap());
    let read = all(&path, CaptionFormat::WebDatasetText);
    assert_eq!(
        (read.captions[0].image_id.as_str(), read.captions[0].text.as_str()),
        ("000", "a dog")
    );
    assert_eq!(read.rejects[0].class, RejectClass::BadText);
    assert_eq!(read.rejects[0].image_id.as_deref(), Some("001"));
    let read = all(&path, CaptionFormat::WebDatasetJson { field: "caption".into() });
    let rows: Vec<_> = read.captions.iter().map(|c| (c.caption_index, c.text.as_str())).collect();
    assert_eq!(rows, [(0, "x"), (1, "y")]);
    assert_eq!(&*read.rejects[0].origin.member, "d/001.json");
    assert_eq!(read.rejects[0].image_id.as_deref(), Some("001"));
}

fn with_split(mut format: CaptionFormat) -> CaptionFormat {
    if let CaptionFormat::Csv { split, .. } = &mut format {
        *split = Some("split".into());
    }
    format
}

#[test]
fn an_image_has_one_split_whatever_its_rows_say() {
    let dir = tempfile::tempdir().unwrap();
    let rows = b"image,text,split\n1.jpg,a,train\n1.jpg,b,test\n1.jpg,c,\n\
                 2.jpg,a,\n2.jpg,b,val\n2.jpg,c,train\n3.jpg,a,\n3.jpg,b,\n1.jpg,d,train\n";
    let path = text(dir.path(), "a.csv", rows);
    let format = with_split(csv(",", ["image", "text"], None, false));
    let found = all(&path, format.clone());
    let kept: Vec<_> =
        found.captions.iter().map(|c| (c.image_id.as_str(), c.text.as_str(), c.split)).collect();
    let (train, val) = (Some(Split::Train), Some(Split::Val));
    assert_eq!(
        kept,
        [
            ("1", "a", train),
            ("1", "c", train),
            ("2", "a", val),
            ("2", "b", val),
            ("3", "a", None),
            ("3", "b", None),
            ("1", "d", train),
        ]
    );
    let rejects: Vec<_> = found
        .rejects
        .iter()
        .map(|r| (r.class, r.image_id.as_deref().unwrap(), r.message.as_str()))
        .collect();
    let says = |image, message| (RejectClass::BadLine, image, message);
    assert_eq!(
        rejects,
        [
            says("1", "1 is in test by this caption, and in train by one before"),
            says("2", "2 is in train by this caption, and in val by one before"),
        ]
    );
    // where others decide, the column costs no row
    let mut number = 0;
    let rejects = clipmill::sources::captions::stream(
        &source(&path, format),
        false,
        &Cancel::new(),
        &mut |some| {
            number += some.len();
            std::ops::ControlFlow::Continue(())
        },
    );
    assert_eq!((rejects.unwrap().len(), number), (0, 9));
}

#[test]
fn files_of_coco_with_a_split_in_their_name_give_it_to_those_without() {
    let dir = tempfile::tempdir().unwrap();
    let json = |caption: &str| {
        format!(
            r#"{{"images": [{{"id": 1, "file_name": "1.jpg"}}],
                "annotations": [{{"image_id": 1, "caption": "{caption}"}}]}}"#
        )
    };
    let mine = text(dir.path(), "mine.json", json("a").as_bytes());
    let val = text(dir.path(), "captions_val2017.json", json("b").as_bytes());
    let test = text(dir.path(), "captions_test2017.json", json("c").as_bytes());
    let mut source = source(&mine, CaptionFormat::Coco);
    source.paths = vec![mine, val, test];
    let found = read(&source, &Cancel::new()).unwrap();
    let kept: Vec<_> = found.captions.iter().map(|c| (c.text.as_str(), c.split)).collect();
    assert_eq!(kept, [("a", Some(Split::Val)), ("b", Some(Split::Val))]);
    assert_eq!(found.rejects[0].class, RejectClass::BadLine);
}

#[test]
fn a_split_behind_captions_without_one_is_theirs_too() {
    let dir = tempfile::tempdir().unwrap();
    let json = br#"{"images": [
      {"filename": "1.jpg", "sentences": [{"raw": "a"}]},
      {"filename": "1.jpg", "split": "val", "sentences": [{"raw": "a"}, {"raw": "b"}]}]}"#;
    let found = all(&text(dir.path(), "dataset.json", json), CaptionFormat::Karpathy);
    let kept: Vec<_> = found.captions.iter().map(|c| (c.text.as_str(), c.split)).collect();
    assert_eq!(kept, [("a", Some(Split::Val)), ("b", Some(Split::Val))]);
    let classes: Vec<RejectClass> = found.rejects.iter().map(|r| r.class).collect();
    assert_eq!(classes, [RejectClass::DuplicateCaption]);
}

#[test]
fn the_checksum_of_a_packed_json_is_looked_at_and_what_stands_behind_a_gzip_is_not() {
    let dir = tempfile::tempdir().unwrap();
    // More than what is looked at to learn what the file is.
    let json = format!(
        r#"{{"images": [{{"id": 1, "file_name": "1.jpg"}}],{}
            "annotations": [{{"image_id": 1, "caption": "a"}}]}}"#,
        " ".repeat(1000)
    );
    let json = json.as_bytes();
    let packed = |bytes: &[u8]| {
        let mut packer = gzip(Vec::new());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    };
    let good = packed(json);
    let mut bad = good.clone();
    let at = bad.len() - 6;
    bad[at] ^= 1;
    for behind in [0, 1, 9, 10, 100] {
        let padded = [good.as_slice(), &vec![b'\n'; behind]].concat();
        let read = all(&text(dir.path(), "a.json.gz", &padded), CaptionFormat::Coco);
        assert_eq!((read.captions.len(), read.rejects.len()), (1, 0), "{behind}");
    }
    let read = all(&text(dir.path(), "b.json.gz", &bad), CaptionFormat::Coco);
    let classes: Vec<RejectClass> = read.rejects.iter().map(|r| r.class).collect();
    assert_eq!(classes, [RejectClass::BrokenMember]);
    let two = [packed(&json[..40]), packed(&json[40..])].concat();
    let read = all(&text(dir.path(), "c.json.gz", &two), CaptionFormat::Coco);
    assert_eq!((read.captions.len(), read.rejects.len()), (1, 0), "members follow each other");
}

#[test]
fn a_line_that_is_no_caption_names_its_image_where_that_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let ids = |read: &CaptionsRead| -> Vec<Option<String>> {
        read.rejects.iter().map(|reject| reject.image_id.clone()).collect()
    };
    let lines = b"1.jpg#1\t\xff\n2.jpg#x\ttext\n3.jpg#-1\ttext\n\xff#0\ttext\nno tab\n4.jpg#0\tx\n";
    let read = all(&text(dir.path(), "a.token", lines), CaptionFormat::Flickr);
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(ids(&read), [some("1"), some("2"), some("3"), None, None]);
    assert_eq!(read.captions.len(), 1);
    let rows = b"image,text,number,split\n1.jpg,a,x,train\n2.jpg,b,0,nowhere\n3.jpg,\xff,0,train\n\
                 \xff,d,0,train\n";
    let format = with_split(csv(",", ["image", "text"], Some("number"), false));
    let read = all(&text(dir.path(), "a.csv", rows), format);
    assert_eq!(ids(&read), [some("1"), some("2"), some("3"), None]);
    let short = b"image,text\n1.jpg\n2.jpg,b,c\n\xff\n3.jpg,c\n";
    let read = all(&text(dir.path(), "b.csv", short), csv(",", ["image", "text"], None, true));
    assert_eq!(ids(&read), [some("1"), some("2"), None]);
    let behind = b"text,image\na\nb,2.jpg,c\n";
    let read = all(&text(dir.path(), "c.csv", behind), csv(",", ["image", "text"], None, true));
    assert_eq!(ids(&read), [None, None]);
    let json = br#"{"images": [{"filename": "1.jpg", "split": "nowhere", "sentences": []},
        {"filename": "2.jpg", "sentences": [{"tokens": []}]}]}"#;
    let read = all(&text(dir.path(), "dataset.json", json), CaptionFormat::Karpathy);
    assert_eq!(ids(&read), [some("1"), some("2")]);
}

#[test]
fn two_images_of_coco_with_one_id_lose_their_captions_and_are_both_named() {
    let dir = tempfile::tempdir().unwrap();
    let json =
        br#"{"annotations": [{"image_id": 1, "caption": "a"}, {"image_id": 2, "caption": "b"}],
        "images": [{"id": 1, "file_name": "one.jpg"}, {"id": 2, "file_name": "two.jpg"},
                   {"id": 2, "file_name": "two.jpg"}, {"id": 1, "file_name": "other.jpg"}]}"#;
    let read = all(&text(dir.path(), "mine.json", json), CaptionFormat::Coco);
    let kept: Vec<_> = read.captions.iter().map(|c| (c.image_id.as_str(), &*c.text)).collect();
    assert_eq!(kept, [("two", "b")]);
    for reject in &read.rejects {
        assert_eq!(reject.class, RejectClass::BadLine);
        assert!(reject.message.contains("`one.jpg` and `other.jpg`"), "{reject}");
    }
    assert_eq!(read.rejects.len(), 2, "the image and its caption");
}

#[test]
fn a_column_that_is_there_twice_is_an_error_where_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = text(dir.path(), "a.csv", b"image,text,text,more,more\n1.jpg,a,b,c,d\n");
    let wrong = read(&source(&path, csv(",", ["image", "text"], None, true)), &Cancel::new());
    assert!(wrong.unwrap_err().what().contains("more than one column `text`"));
    let path = text(dir.path(), "b.csv", b"image,text,more,more\n1.jpg,a,b,c\n");
    assert_eq!(all(&path, csv(",", ["image", "text"], None, true)).captions.len(), 1);
}

#[test]
fn captions_in_an_archive_whose_checksum_is_wrong_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = TarWriter::new(Vec::new());
    tar.file("x.token", b"1.jpg#0\ta dog\n", 0).unwrap();
    let mut packer = gzip(Vec::new());
    packer.write_all(&tar.finish().unwrap()).unwrap();
    let mut bytes = packer.finish().unwrap();
    let at = bytes.len() - 6;
    bytes[at] ^= 0x55;
    let read = all(&text(dir.path(), "a.tar.gz", &bytes), CaptionFormat::Flickr);
    assert_eq!((read.captions.len(), read.rejects.len()), (1, 1));
    assert_eq!(read.rejects[0].class, RejectClass::BrokenMember);
    assert_eq!(&*read.rejects[0].origin.member, "a.tar.gz");
}

#[test]
fn captions_from_what_is_no_file_are_not_waited_for() {
    let source = source(Path::new("/dev/null"), CaptionFormat::Flickr);
    let error = read(&source, &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.what().contains("a character device"), "{error:?}");
}
