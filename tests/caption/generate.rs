//! Greedy, beam search and kept tokens beside transformers' `generate`.

use candle_core::{DType, Device};
use clipmill::base::Cancel;
use clipmill::caption::decode::{Sequence, generate, warp};
use clipmill::caption::{EarlyStopping, ModelDecoder, Settings, Strategy};
use clipmill::nn::captioner::Captioner;
use clipmill::nn::gpt2::Gpt2Config;
use clipmill::nn::weights::Weights;
use serde_json::Value;

use crate::{floats, golden, json};

fn rows(path: &str, name: &str) -> Vec<Vec<f32>> {
    let weights = Weights::open(&golden(path)).unwrap();
    weights.tensor(name, DType::F32, &Device::Cpu).unwrap().to_vec2().unwrap()
}

fn captioner(weights: &Weights) -> Captioner {
    let config =
        r#"{"vocab_size": 97, "n_positions": 32, "n_embd": 32, "n_layer": 2, "n_head": 4}"#;
    let config = Gpt2Config::parse(config).unwrap();
    let device = (&Device::Cpu, DType::F32, false);
    Captioner::from_checkpoint(weights, Some(&config), None, device).unwrap()
}

fn weights() -> Weights {
    Weights::open(&golden("generate/captioner.safetensors")).unwrap()
}

fn run(captioner: &Captioner, features: &[Vec<f32>], settings: &Settings) -> Vec<Vec<Sequence>> {
    let features: Vec<&[f32]> = features.iter().map(Vec::as_slice).collect();
    let keys: Vec<u64> = (0..features.len() as u64).collect();
    let mut decoder = ModelDecoder::new(captioner, &features, settings.max_tokens).unwrap();
    generate(&mut decoder, &keys, settings, &Cancel::new()).unwrap()
}

fn number(of: &Value) -> usize {
    usize::try_from(of.as_u64().unwrap()).unwrap()
}

fn settings(of: &Value, end: u32) -> Settings {
    let strategy = match of.get("num_beams") {
        None => Strategy::Greedy,
        Some(beams) => Strategy::Beams {
            beams: number(beams),
            length_penalty: of["length_penalty"].as_f64().unwrap(),
            early_stopping: match &of["early_stopping"] {
                Value::Bool(true) => EarlyStopping::Enough,
                Value::Bool(false) => EarlyStopping::Heuristic,
                _ => EarlyStopping::Never,
            },
            captions: number(&of["num_return_sequences"]),
        },
    };
    let max_tokens = number(&of["max_new_tokens"]);
    Settings { strategy, max_tokens, ends: vec![end], ..Settings::default() }
}

#[test]
fn fifty_images_are_captioned_as_by_transformers() {
    let (expected, captioner) = (json("generate/expected.json"), captioner(&weights()));
    let features = rows("generate/features.safetensors", "features");
    let end = u32::try_from(number(&expected["end"])).unwrap();
    let cases = expected["cases"].as_array().unwrap();
    assert_eq!((features.len(), cases.len()), (50, 17));
    for case in cases {
        let name = &case["settings"];
        let ours = run(&captioner, &features, &settings(name, end));
        let texts: Vec<Vec<Vec<u32>>> = serde_json::from_value(case["texts"].clone()).unwrap();
        for (image, (ours, theirs)) in ours.iter().zip(&texts).enumerate() {
            let ours: Vec<&[u32]> = ours.iter().map(|text| text.tokens.as_slice()).collect();
            assert_eq!(ours, *theirs, "image {image}, {name}");
        }
        for (ours, theirs) in ours.iter().zip(case["scores"].as_array().unwrap()) {
            for (ours, theirs) in ours.iter().zip(floats(theirs)) {
                let far = (f64::from(ours.score) - theirs).abs();
                assert!(far < 1e-4 * theirs.abs().max(1.0), "{} {theirs}, {name}", ours.score);
            }
        }
    }
}

#[test]
fn either_projects_names_give_the_same_captions() {
    let expected = json("generate/expected.json");
    let features = rows("generate/features.safetensors", "features");
    let end = u32::try_from(number(&expected["end"])).unwrap();
    let mut renamed = weights();
    renamed.rename(|name| {
        Some(name.strip_prefix("gpt.").map_or(name.to_owned(), |name| format!("gpt2.{name}")))
    });
    let case = &expected["cases"][2];
    let ours = run(&captioner(&renamed), &features, &settings(&case["settings"], end));
    let texts: Vec<Vec<Vec<u32>>> = serde_json::from_value(case["texts"].clone()).unwrap();
    assert!(ours.iter().zip(&texts).all(|(ours, theirs)| ours[0].tokens == theirs[0]));
}

#[test]
fn kept_tokens_are_the_warpers() {
    let expected = json("generate/expected.json");
    let logits = rows("generate/logits.safetensors", "logits");
    let cases = expected["kept"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let (k, p) = (case["top_k"].as_u64(), case["top_p"].as_f64());
        let k = k.map(|k| usize::try_from(k).unwrap());
        for (row, theirs) in logits.iter().zip(case["tokens"].as_array().unwrap()) {
            let mut scores = row.clone();
            if case["rounded"].as_bool().unwrap() {
                scores.iter_mut().for_each(|score| *score = score.round_ties_even());
            }
            warp(&mut scores, case["temperature"].as_f64().unwrap(), k, p);
            let kept = |token: &usize| scores[*token].is_finite();
            let (list, ours): (&Value, Vec<usize>) = match theirs.get("all_but") {
                Some(list) => (list, (0..row.len()).filter(|t| !kept(t)).collect()),
                None => (theirs, (0..row.len()).filter(kept).collect()),
            };
            let theirs: Vec<usize> = serde_json::from_value(list.clone()).unwrap();
            let settings = (&case["temperature"], k, p);
            assert_eq!(ours, theirs, "{settings:?}");
        }
    }
}

#[test]
fn drawn_captions_do_not_depend_on_the_batch() {
    let captioner = captioner(&weights());
    let features = rows("generate/features.safetensors", "features");
    let strategy =
        Strategy::Sample { temperature: 0.9, top_k: None, top_p: Some(0.8), captions: 3, seed: 42 };
    let settings = Settings { strategy, max_tokens: 12, ends: vec![3], ..Settings::default() };
    let together = run(&captioner, &features[..20], &settings);
    assert_eq!(together, run(&captioner, &features[..20], &settings), "same seed, same text");
    for size in [1, 3] {
        // Keys go by place, so only the head of the list has the same.
        let few = run(&captioner, &features[..size], &settings);
        for (few, many) in few.iter().zip(&together) {
            let tokens = |of: &[Sequence]| -> Vec<Vec<u32>> {
                of.iter().map(|text| text.tokens.clone()).collect()
            };
            assert_eq!(tokens(few), tokens(many));
        }
    }
    assert!(together.iter().any(|of| of[0].tokens != of[1].tokens));
}
