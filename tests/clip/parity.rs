//! Features and tokens against PyTorch's on the same files (`tests/golden/clip_parity.py`).

use std::path::{Path, PathBuf};

use clipmill::embed::{ImageEncoder, TextEncoder};
use clipmill::plan::model::{Dtype, ModelFiles, ModelSpec};
use serde::Deserialize;

use super::{device, largest_difference, spec};

#[derive(Deserialize)]
struct Case {
    texts: Vec<String>,
    tokens: Vec<Vec<u32>>,
    kind: String,
    weights: Option<String>,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/clip")
}

fn floats(path: &Path) -> Vec<f32> {
    let bytes = clipmill::base::files::read_capped(path, 1 << 20).unwrap();
    bytes.as_chunks::<4>().0.iter().map(|n| f32::from_le_bytes(*n)).collect()
}

fn open(name: &str) -> (PathBuf, Case, ModelSpec) {
    let folder = golden().join(name);
    let text = clipmill::base::files::read_text_capped(&folder.join("case.json"), 1 << 20).unwrap();
    let case: Case = serde_json::from_str(&text).unwrap();
    let weights = folder.join(case.weights.as_deref().unwrap_or_default());
    let tokenizer = Some(folder.join("bpe.txt.gz"));
    let files = match case.kind.as_str() {
        "openai" => ModelFiles::OpenAi { weights, tokenizer },
        "open_clip" => {
            let config = Some(folder.join("open_clip_config.json"));
            ModelFiles::OpenClip { weights, config, tokenizer }
        }
        "huggingface" => ModelFiles::HuggingFace { folder: folder.clone() },
        other => panic!("{other}"),
    };
    (folder, case, ModelSpec { device: device(), ..spec(files) })
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn close(what: &str, ours: &[f32], theirs: &[f32], width: usize) {
    let off = largest_difference(ours, theirs, width);
    assert!(off <= 1e-4, "{what}: off by {off} of the norm");
    for (ours, theirs) in ours.chunks(width).zip(theirs.chunks(width)) {
        let cosine = cosine(ours, theirs);
        assert!(cosine >= 0.99999, "{what}: cosine {cosine}");
    }
    println!("{what}: off by {off:.1e} of the norm at most");
}

fn agrees(name: &str) {
    let (folder, case, model) = open(name);
    let images = ImageEncoder::load(&model).unwrap();
    let batch = floats(&folder.join("images.f32"));
    let side = usize::try_from(images.preprocessing().size_px).unwrap();
    let ours = images.encode(&batch, batch.len() / (3 * side * side)).unwrap();
    let theirs = floats(&folder.join("image_features.f32"));
    close(&format!("{name} images"), &ours.data, &theirs, images.width());

    let texts = TextEncoder::load(&model).unwrap();
    let inputs: Vec<&str> = case.texts.iter().map(String::as_str).collect();
    for (text, tokens) in inputs.iter().zip(&case.tokens) {
        assert_eq!(&texts.token_ids(&[text]).unwrap()[0], tokens, "{name} {text}");
    }
    let ours = texts.encode(&inputs).unwrap();
    let theirs = floats(&folder.join("text_features.f32"));
    close(&format!("{name} texts"), &ours.data, &theirs, texts.width());
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => { $(#[test] fn $name() { agrees(stringify!($name)); })* };
}

cases!(
    openai,
    open_clip,
    open_clip_quick_pt,
    open_clip_custom_text,
    hf_quick,
    hf_gelu_bin,
    hf_eos_2_legacy,
    hf_bf16_shards,
);

#[test]
fn half_precision_is_near() {
    let (folder, _, mut model) = open("hf_quick");
    model.dtype = Dtype::F16;
    let images = ImageEncoder::load(&model).unwrap();
    let ours = images.encode(&floats(&folder.join("images.f32")), 2).unwrap();
    let theirs = floats(&folder.join("image_features.f32"));
    let off = largest_difference(&ours.data, &theirs, images.width());
    assert!(off < 0.01 && off > 0.0, "{off}");
}

#[test]
fn what_does_not_fit_is_listed_with_names_and_shapes() {
    let (folder, _, model) = open("open_clip");
    let ModelFiles::OpenClip { weights, tokenizer, .. } = model.files else { panic!() };
    let text =
        clipmill::base::files::read_text_capped(&folder.join("open_clip_config.json"), 1 << 20)
            .unwrap();
    let other = tempfile::tempdir().unwrap();
    let config = other.path().join("open_clip_config.json");
    let text = text.replace("\"context_length\": 16", "\"context_length\": 12");
    let text = text.replacen("\"layers\": 2", "\"layers\": 3", 1);
    clipmill::base::files::write_atomic(&config, |w| {
        std::io::Write::write_all(w, text.as_bytes()).unwrap();
        Ok(())
    })
    .unwrap();
    let files = ModelFiles::OpenClip { weights, config: Some(config), tokenizer };
    let error = ImageEncoder::load(&spec(files)).unwrap_err().to_string();
    assert!(
        error.contains("shape: positional_embedding is [16, 24], expected [12, 24]"),
        "{error}"
    );
    assert!(error.contains("missing: visual.transformer.resblocks.2.ln_1.weight [16]"), "{error}");
}
