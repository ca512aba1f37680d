//! Small GPT-2s of seeded random weights, as complete Hugging Face folders: for the demo and for
//! tests. transformers loads them too.

use std::io::Write;
use std::path::Path;

use candle_core::{DType, Device};
use serde_json::{Value, json};

use super::config::Gpt2Config;
use super::model::Gpt2;
use crate::base::files::write_atomic;
use crate::base::{Error, Result};
use crate::nn::tokens::{gpt2_tokenizer_json, learn_gpt2};
use crate::nn::weights::write_safetensors;

/// Writes a whole GPT-2 into `folder`: `config.json`, `model.safetensors` and the tokenizer's
/// files. Its vocabulary is learnt from `texts` and has at most `config.vocabulary` tokens, 257 of
/// them bytes and the end; the written configuration says how many it became. The same arguments
/// write the same bytes.
///
/// # Errors
/// When the sizes are impossible or a file cannot be written.
pub fn write_random(folder: &Path, config: &Gpt2Config, seed: u64, texts: &[&str]) -> Result<()> {
    let vocabulary = learn_gpt2(texts, config.vocabulary.saturating_sub(257));
    let config = Gpt2Config { vocabulary: vocabulary.tokens.len(), ..*config }.check()?;
    let end = vocabulary.tokens.get("<|endoftext|>").copied().unwrap_or_default();
    let merges: Vec<&str> = vocabulary.merges.iter().map(String::as_str).collect();
    let mut by_id: Vec<(&String, &u32)> = vocabulary.tokens.iter().collect();
    by_id.sort_by_key(|(_, id)| **id);
    let by_id: serde_json::Map<String, Value> =
        by_id.into_iter().map(|(token, id)| (token.clone(), json!(id))).collect();
    let special = json!({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
                         "unk_token": "<|endoftext|>"});
    let mut settings = special.clone();
    let mut written = config.to_json();
    if let (Value::Object(settings), Value::Object(written)) = (&mut settings, &mut written) {
        settings.insert("tokenizer_class".into(), json!("GPT2Tokenizer"));
        settings.insert("model_max_length".into(), json!(config.positions));
        written.insert("bos_token_id".into(), json!(end));
        written.insert("eos_token_id".into(), json!(end));
    }
    write_text(folder, "vocab.json", &Value::Object(by_id).to_string())?;
    write_text(folder, "merges.txt", &format!("#version: 0.2\n{}\n", merges.join("\n")))?;
    write_text(folder, "tokenizer.json", &gpt2_tokenizer_json(&vocabulary.tokens, &merges)?)?;
    write_text(folder, "tokenizer_config.json", &format!("{settings:#}\n"))?;
    write_text(folder, "special_tokens_map.json", &format!("{special:#}\n"))?;
    write_text(folder, "config.json", &format!("{written:#}\n"))?;
    let model = Gpt2::random(&config, seed, &Device::Cpu, DType::F32, false)?;
    let tensors: Vec<_> = model
        .weights()
        .iter()
        .map(|(name, weight)| (name.clone(), weight.tensor().clone()))
        .collect();
    write_safetensors(&folder.join("model.safetensors"), &tensors)
}

fn write_text(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    write_atomic(&path, |writer| {
        writer
            .write_all(text.as_bytes())
            .map_err(|cause| Error::io("cannot write", path.display(), cause))
    })
}
