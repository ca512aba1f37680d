//! The two archives as they are sent: 240 photos and all captions of Flickr30k.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::Command;

use clipmill::base::Digest;
use clipmill::base::environment::Environment;
use clipmill::nn::clip::write_random;
use serde_json::Value;

use super::house::{DEFINITION, House, quick_clip};

const PHOTOS: usize = 240;
const CAPTIONS: usize = 5 * PHOTOS;

/// The stages of every house, over the archives, with the splits that are sent beside them.
fn definition(data: &Path) -> String {
    let at = |name: &str| format!("'{}'", data.join("flickr30k").join(name).display());
    let (_, models) = DEFINITION.split_once("[models.").unwrap();
    let source = "source = \"sentences\"\n";
    assert!(models.contains(source), "{models}");
    format!(
        "[pipeline]\nname = \"real\"\nstore = \"store\"\n\
         [sources.photos.tar]\npaths = {}\n\
         [sources.sentences.flickr]\npaths = {}\nmember = \"results_20130124.token\"\n\
         [sources.entities.splits]\ntrain = {}\nval = {}\ntest = {}\n\
         [models.{}",
        at("flickr30k-images.tar"),
        at("flickr30k.tar.gz"),
        at("splits/train.txt"),
        at("splits/val.txt"),
        at("splits/test.txt"),
        models.replace(source, &format!("{source}splits = \"entities\"\n")),
    )
}

/// `image_id|member|offset|size_bytes|digest` of each photo.
fn photos(data: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(data.join("flickr30k/flickr30k-images.tar")).unwrap();
    let mut rows = BTreeMap::new();
    for entry in tar::Archive::new(file).entries().unwrap() {
        let mut entry = entry.unwrap();
        let member = entry.path().unwrap().to_string_lossy().into_owned();
        let Some(id) = member.rsplit('/').next().unwrap().strip_suffix(".jpg") else { continue };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let (offset, size) = (entry.raw_file_position(), bytes.len());
        let row = format!("{id}|{member}|{offset}|{size}|{}", Digest::of(&bytes));
        rows.insert(id.to_owned(), row);
    }
    rows
}

/// `image_id|caption_index|text|split` of each caption of those images.
fn captions(data: &Path, of: &BTreeMap<String, String>) -> Vec<String> {
    let mut splits = BTreeMap::new();
    for split in ["train", "val", "test"] {
        let file = data.join(format!("flickr30k/splits/{split}.txt"));
        let ids = std::fs::read_to_string(file).unwrap();
        splits.extend(ids.lines().map(|id| (id.trim().to_owned(), split)));
    }
    let file = std::fs::File::open(data.join("flickr30k/flickr30k.tar.gz")).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut text = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with("results_20130124.token") {
            entry.read_to_string(&mut text).unwrap();
        }
    }
    let mut rows = Vec::new();
    for line in text.lines() {
        let (key, caption) = line.split_once('\t').unwrap();
        let (name, index) = key.rsplit_once('#').unwrap();
        let id = name.strip_suffix(".jpg").unwrap();
        if of.contains_key(id) {
            rows.push(format!("{id}|{index}|{caption}|{}", splits[id]));
        }
    }
    rows.sort();
    rows
}

fn query(house: &House, sql: &str) -> Vec<Value> {
    let out = Command::new(assert_cmd::cargo::cargo_bin!("clipmill"))
        .args(["query", "store", sql, "--format", "json"])
        .current_dir(house.dir.path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn the_archives_of_flickr30k_become_tables_of_all_that_they_hold() {
    let environment = Environment::of_process();
    let Some(data) = environment.get("CLIPMILL_TESTDATA").map(Path::new) else {
        eprintln!("skipped: CLIPMILL_TESTDATA is not set, so there are no real archives");
        return;
    };
    let photos = photos(data);
    let captions = captions(data, &photos);
    assert_eq!((photos.len(), captions.len()), (PHOTOS, CAPTIONS));

    let house = House::new(1);
    std::fs::remove_dir_all(house.path("clip")).unwrap();
    let texts: Vec<&str> = captions.iter().map(|row| row.split('|').nth(2).unwrap()).collect();
    write_random(&house.path("clip"), &quick_clip(64), 7, &texts).unwrap();
    house.define(&definition(data));
    let report = house.run().unwrap();
    assert!(report.broken.is_empty() && report.rejects.is_empty(), "{report:?}");
    let rows: Vec<_> = report.tables.iter().map(|t| (t.table.as_str(), t.rows)).collect();
    let (images, texts) = (PHOTOS as u64, CAPTIONS as u64);
    assert_eq!(
        rows,
        [
            ("images", images),
            ("image_features", images),
            ("captions", texts),
            ("caption_features", texts),
            ("examples", texts),
            ("rejects", 0),
        ]
    );
    assert_eq!(report.images, images);

    let columns = ["image_id", "member", "offset", "size_bytes", "digest"];
    let mut listed: Vec<_> = photos.values().cloned().collect();
    listed.sort();
    assert_eq!(house.rows("images", &columns), listed);
    let columns = ["image_id", "caption_index", "text", "split"];
    assert_eq!(house.rows("captions", &columns), captions);
    assert_eq!(house.rows("examples", &columns), captions);
    let features = house.rows("image_features", &["image_id", "embedding"]);
    let ids: BTreeSet<_> = features.iter().map(|row| row.split('|').next().unwrap()).collect();
    assert!(ids.into_iter().eq(photos.keys()));
    let distinct: BTreeSet<_> = features.iter().map(|row| row.split('|').nth(1)).collect();
    assert!(distinct.len() > PHOTOS * 9 / 10, "{} features of {PHOTOS} photos", distinct.len());

    // A caption's own words find it.
    let asked = captions[CAPTIONS / 2].split('|').nth(2).unwrap();
    let found = query(
        &house,
        &format!(
            "SELECT c.text, cosine(f.embedding, clip_text('{}')) AS score \
             FROM caption_features f JOIN captions c \
             ON c.image_id = f.image_id AND c.caption_index = f.caption_index \
             ORDER BY score DESC LIMIT 1",
            asked.replace('\'', "''")
        ),
    );
    assert_eq!(found[0]["text"], asked);
    assert!((found[0]["score"].as_f64().unwrap() - 1.0).abs() < 1e-5, "{found:?}");

    let again = house.run().unwrap();
    assert!(again.is_up_to_date(), "{again:?}");
    assert_eq!(again.images, 0, "no byte of an image is read again");
}
