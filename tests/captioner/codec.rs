//! Vocabularies that GPT-2s come with.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use clipmill::nn::gpt2::{Gpt2, Gpt2Config, write_random};
use clipmill::nn::tokens::TextCodec;

fn real(name: &str) -> Option<PathBuf> {
    let Some(data) = std::env::var_os("CLIPMILL_TESTDATA") else {
        eprintln!("skipped: CLIPMILL_TESTDATA is not set");
        return None;
    };
    Some(Path::new(&data).join("vocab").join(name))
}

const TEXTS: [&str; 5] = [
    "A man in a red shirt isn't riding  2 bikes .",
    "two dogs play",
    "Two dogs' owners, 3pm; café naïve 🐕",
    "一只狗在草地上奔跑。",
    " leading and trailing \n",
];

#[test]
fn gpt2_texts_come_back_whole_from_either_form_of_the_files() {
    let Some(folder) = real("gpt2") else { return };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let merges = TextCodec::from_merges(&read("vocab.json"), &read("merges.txt")).unwrap();
    let json = TextCodec::from_json(&read("tokenizer.json")).unwrap();
    for codec in [&merges, &json, &TextCodec::open(&folder).unwrap()] {
        assert_eq!((codec.end(), codec.vocab_size()), (50256, 50257));
        assert_eq!(codec.encode("A man riding a bike.").unwrap(), [32, 582, 10311, 257, 7161, 13]);
        assert_eq!(codec.id("."), Some(13));
        for text in TEXTS {
            let ids = codec.encode(text).unwrap();
            assert_eq!(ids, json.encode(text).unwrap());
            assert_eq!(codec.decode(&ids).unwrap(), text);
        }
        assert_eq!(codec.decode(&[32, 582, 50256]).unwrap(), "A man");
    }
}

#[test]
fn chinese_vocabularies_are_word_pieces() {
    for name in ["gpt2-chinese-clipcap", "gpt2-chinese-morizeyao"] {
        let Some(folder) = real(name) else { return };
        let codec = TextCodec::open(&folder).unwrap();
        assert_eq!(codec.id("[SEP]"), Some(codec.end()));
        assert_eq!(codec.id("[PAD]"), Some(codec.padding()));
        let ids = codec.encode("一只狗在草地上奔跑。").unwrap();
        assert_eq!(ids.len(), 10);
        assert!(!ids.contains(&codec.end()));
        let ended: Vec<u32> = ids.into_iter().chain([codec.end(), codec.padding()]).collect();
        assert_eq!(codec.decode(&ended).unwrap(), "一只狗在草地上奔跑。");
    }
}

#[test]
fn a_folder_without_a_vocabulary_says_what_it_could_have() {
    let folder = tempfile::tempdir().unwrap();
    let error = TextCodec::open(folder.path()).unwrap_err();
    assert!(error.what().contains("vocab.txt") && error.what().contains("merges.txt"));
    std::fs::write(folder.path().join("vocab.txt"), "a\nb\n").unwrap();
    let error = TextCodec::open(folder.path()).unwrap_err();
    assert!(error.what().contains("[UNK]"), "{error:?}");
}

#[test]
fn a_random_gpt2_is_a_whole_folder_and_writes_its_captions_words() {
    let texts = ["A red circle above a blue square.", "A blue circle above a red square."];
    let config = Gpt2Config {
        vocabulary: 400,
        positions: 32,
        width: 32,
        layers: 1,
        heads: 2,
        inner: 64,
        ..Gpt2Config::default()
    };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for folder in &folders {
        write_random(folder.path(), &config, 7, &texts).unwrap();
    }
    let read = |i: usize| std::fs::read(folders[i].path().join("model.safetensors")).unwrap();
    assert_eq!(read(0), read(1), "the same bytes");
    let folder = folders[0].path();
    let gpt2 = Gpt2::load(folder, &Device::Cpu, DType::F32, false).unwrap();
    let codec = TextCodec::open(folder).unwrap();
    assert_eq!(codec.vocab_size(), gpt2.config().vocabulary);
    assert!(codec.vocab_size() <= 400);
    assert_eq!(codec.unknown(), None, "a byte-level vocabulary has every text");
    for text in texts.iter().chain(&TEXTS) {
        assert_eq!(codec.decode(&codec.encode(text).unwrap()).unwrap(), *text);
    }
    let ids = codec.encode(texts[0]).unwrap();
    assert!(ids.len() < 12, "words are tokens: {ids:?}");
}

/// What `tests/golden/chinese.py` had transformers' `BertTokenizer` make of odd texts.
#[test]
fn word_pieces_of_chinese_and_odd_texts_are_transformers() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chinese");
    let text = std::fs::read_to_string(golden.join("chinese.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let texts: Vec<String> = serde_json::from_value(value["texts"].clone()).unwrap();
    for (name, lowercase) in [("lowercase", true), ("cased", false)] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(golden.join("vocab.txt"), folder.path().join("vocab.txt")).unwrap();
        let settings = format!(r#"{{"do_lower_case": {lowercase}}}"#);
        std::fs::write(folder.path().join("tokenizer_config.json"), settings).unwrap();
        let codec = TextCodec::open(folder.path()).unwrap();
        let ids: Vec<Vec<u32>> = serde_json::from_value(value["ids"][name].clone()).unwrap();
        assert_eq!((texts.len(), ids.len()), (20, 20));
        assert_eq!(codec.unknown(), Some(1));
        for (text, want) in texts.iter().zip(ids) {
            assert_eq!(codec.encode(text).unwrap(), want, "{name}: {text:?}");
        }
    }
}

/// The ids are those that transformers 5.24's `BertTokenizer` gives with such a file.
#[test]
fn rules_of_a_word_piece_vocabulary_are_transformers_and_broken_ones_an_error() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chinese");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(golden.join("vocab.txt"), folder.path().join("vocab.txt")).unwrap();
    let open = |rules: &str| {
        std::fs::write(folder.path().join("tokenizer_config.json"), rules).unwrap();
        TextCodec::open(folder.path())
    };
    for (rules, ids) in [
        (r#"{"model_max_length": 1024}"#, &[215, 5, 23, 72][..]),
        (r#"{"do_lower_case": false}"#, &[1, 5, 23, 72]),
        (r#"{"strip_accents": false}"#, &[216, 5, 23, 72]),
        (r#"{"strip_accents": null}"#, &[215, 5, 23, 72]),
        (r#"{"do_lower_case": false, "strip_accents": true}"#, &[148, 225, 230, 229, 5, 23, 72]),
        (r#"{"tokenize_chinese_chars": false}"#, &[215, 1]),
    ] {
        assert_eq!(open(rules).unwrap().encode("Café 一只狗").unwrap(), ids, "{rules}");
    }
    for broken in ["", "{\"do_lower_case\": fal", r#"{"do_lower_case": "false"}"#, "[]"] {
        let error = open(broken).unwrap_err();
        assert!(error.what().contains("tokenizer_config.json"), "{broken}: {error:?}");
    }
}
