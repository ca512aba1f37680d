//! Every token of every real caption against the references (`tests/golden/clip_tokens.py`).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use clipmill::base::environment::Environment;
use clipmill::base::files::{read_capped, read_text_capped};
use clipmill::nn::tokens::{HuggingFaceTokenizer, SimpleTokenizer, Spelling, Tokenizer};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Expected {
    texts: usize,
    simple: String,
    transformers: String,
}

fn lines(text: &str) -> Vec<String> {
    text.split('\n').filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn read(path: &Path) -> String {
    read_text_capped(path, 1 << 30).unwrap()
}

fn flickr30k(path: &Path) -> Vec<String> {
    let bytes = read_capped(path, 1 << 30).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let mut text = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with("results_20130124.token") {
            entry.read_to_string(&mut text).unwrap();
        }
    }
    lines(&text).iter().map(|line| line.split_once('\t').unwrap().1.to_owned()).collect()
}

fn coco(path: &Path) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(&read(path)).unwrap();
    let captions = value["annotations"].as_array().unwrap().iter();
    captions.map(|a| a["caption"].as_str().unwrap().to_owned()).collect()
}

fn digest(tokenizer: &Tokenizer, texts: &[String]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        let ids = tokenizer.ids(text, 77).unwrap();
        hash.update(u32::try_from(ids.len()).unwrap().to_le_bytes());
        ids.iter().for_each(|id| hash.update(id.to_le_bytes()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn tokens_of_all_captions_are_those_of_the_references() {
    let environment = Environment::of_process();
    let Some(data) = environment.get("CLIPMILL_TESTDATA") else {
        eprintln!("skipped: CLIPMILL_TESTDATA is not set");
        return;
    };
    let data = Path::new(data);
    let vocabulary = data.join("vocab/clip");
    let bpe = read_capped(&vocabulary.join("bpe_simple_vocab_16e6.txt.gz"), 1 << 24).unwrap();
    let simple = SimpleTokenizer::read(&bpe, Spelling::OpenClip).unwrap();
    let simple = Tokenizer::Simple(Box::new(simple));
    let json = read(&vocabulary.join("tokenizer.json"));
    let fast = HuggingFaceTokenizer::from_json(&json).unwrap();
    let fast = Tokenizer::HuggingFace(Box::new(fast));
    let golden: BTreeMap<String, Expected> =
        serde_json::from_str(include_str!("../golden/clip/tokens.json")).unwrap();
    assert_eq!(golden["flickr30k"].texts, 158_915);
    for (name, expected) in &golden {
        let texts = match name.as_str() {
            "flickr30k" => flickr30k(&data.join("flickr30k/flickr30k.tar.gz")),
            "flickr8k_zh" => lines(&read(&data.join("flickr8k/flickr8kzhb.caption.txt"))),
            "flickr30k_zh" => lines(&read(&data.join("flickr30k/captions-zh-3000.csv"))),
            "coco" => coco(&data.join("coco/captions_val2017.json")),
            other => panic!("{other}"),
        };
        assert_eq!(texts.len(), expected.texts, "{name}");
        assert_eq!(digest(&simple, &texts), expected.simple, "{name}, SimpleTokenizer");
        assert_eq!(digest(&fast, &texts), expected.transformers, "{name}, CLIPTokenizer");
    }
}
