//! Real captions: all of Flickr30k, Flickr8k and COCO's validation set.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clipmill::caption::metrics::{Case, Tokenizer, evaluate, ptb};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::scores::compare;
use crate::{golden, setting};

/// `image#number` and caption, in the file's order.
fn flickr30k(data: &Path) -> Vec<(String, String)> {
    let file = std::fs::File::open(data.join("flickr30k/flickr30k.tar.gz")).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().to_string_lossy().ends_with(".token") {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            return text.lines().map(pair).collect();
        }
    }
    panic!("no token file in the archive");
}

fn pair(line: &str) -> (String, String) {
    let (key, caption) = line.split_once('\t').unwrap();
    (key.to_owned(), caption.to_owned())
}

fn digest(captions: impl Iterator<Item = String>) -> String {
    let mut digest = Sha256::new();
    for caption in captions {
        digest.update(ptb::tokenize(&caption).join(" "));
        digest.update("\n");
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn expected() -> Value {
    crate::json("scores/real.json")
}

#[test]
fn every_caption_of_flickr30k_has_the_references_words() {
    let Some(data) = setting("CLIPMILL_TESTDATA") else { return };
    let captions = flickr30k(&data);
    assert_eq!(captions.len(), 158_915);
    let ours = digest(captions.into_iter().map(|(_, caption)| caption));
    assert_eq!(ours, expected()["flickr30k"].as_str().unwrap());
}

#[test]
fn every_caption_of_flickr8k_and_coco_has_the_references_words() {
    let Some(data) = setting("CLIPMILL_TESTDATA") else { return };
    let text = std::fs::read_to_string(data.join("flickr8k/Flickr8k.token.txt")).unwrap();
    let ours = digest(text.lines().map(|line| pair(line).1));
    assert_eq!(ours, expected()["flickr8k"].as_str().unwrap());

    let bytes = std::fs::read(data.join("coco/captions_val2017.json")).unwrap();
    let coco: Value = serde_json::from_slice(&bytes).unwrap();
    let captions = coco["annotations"].as_array().unwrap().iter();
    let ours = digest(captions.map(|of| of["caption"].as_str().unwrap().to_owned()));
    assert_eq!(ours, expected()["coco_alone"].as_str().unwrap());
}

/// The first caption of each of the first thousand images against its others.
fn thousand(data: &Path) -> Vec<Case> {
    let mut order: Vec<Case> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (key, caption) in flickr30k(data) {
        let image_id = key.rsplit_once('#').unwrap().0.to_owned();
        match places.get(&image_id) {
            Some(place) => order[*place].references.push(caption),
            None => {
                places.insert(image_id.clone(), order.len());
                order.push(Case { image_id, candidate: caption, references: Vec::new() });
            }
        }
    }
    order.truncate(1000);
    order
}

#[test]
fn captions_by_people_score_as_in_the_reference() {
    let Some(data) = setting("CLIPMILL_TESTDATA") else { return };
    let cases = thousand(&data);
    let scores = evaluate(&cases, Tokenizer::Ptb).unwrap();
    compare(&scores, &json!({"corpus": expected()["corpus"]}));
    let Some(python) = setting("CLIPMILL_PYTHON") else { return };
    let input: Vec<Value> = cases
        .iter()
        .map(|case| json!({"candidate": case.candidate, "references": case.references}))
        .collect();
    let Some(output) = reference(&python, "scores", &json!(input).to_string()) else { return };
    compare(&scores, &serde_json::from_str(&output).unwrap());
}

/// Texts out of pieces that the rules look at, beside the reference itself.
#[test]
fn mixed_pieces_have_the_references_words() {
    let Some(python) = setting("CLIPMILL_PYTHON") else { return };
    let pieces = [
        "a",
        "dog",
        "dogs'",
        "'s",
        "don't",
        "it's",
        "T-shirt",
        "U.S.",
        "st.",
        "Mr.",
        "5",
        "10:30",
        "1,000",
        "3/4",
        "$5",
        "50%",
        "#1",
        "(",
        ")",
        "\"",
        "'",
        ",",
        ".",
        "...",
        "!",
        "--",
        "-",
        "cannot",
        "'em",
        "\u{2019}s",
        "\u{201c}",
        "\u{201d}",
        "and/or",
        "&",
        "@",
        "café",
    ];
    let mut state = 12_345_u64;
    let mut next = |most: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % most
    };
    let line = |next: &mut dyn FnMut(usize) -> usize| -> String {
        let of = (0..8).map(|_| pieces[next(pieces.len())]).collect::<Vec<_>>();
        of.join(" ")
    };
    let lines: Vec<String> = (0..3000).map(|_| line(&mut next)).collect();
    let Some(output) = reference(&python, "tokens", &(lines.join("\n") + "\n")) else { return };
    assert_eq!(output.lines().count(), lines.len());
    for (text, words) in lines.iter().zip(output.split('\n')) {
        assert_eq!(ptb::tokenize(text).join(" "), words, "{text}");
    }
}

fn reference(python: &Path, what: &str, input: &str) -> Option<String> {
    let ready = Command::new(python).args(["-c", "import pycocoevalcap"]).output();
    let java = Command::new("java").arg("-version").output();
    if !ready.is_ok_and(|done| done.status.success()) || java.is_err() {
        eprintln!("skipped: no pycocoevalcap or no java");
        return None;
    }
    let script: PathBuf = golden("scores.py");
    let mut child = Command::new(python)
        .arg(script)
        .arg(what)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    Some(String::from_utf8(done.stdout).unwrap())
}
