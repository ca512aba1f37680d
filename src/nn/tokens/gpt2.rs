//! GPT-2's byte-level byte-pair encoding, by the crate that transformers is built on.

use std::collections::BTreeMap;

use serde_json::json;

use crate::base::{Error, Kind, Result};

/// The `tokenizer.json` that transformers makes of GPT-2's `vocab.json` and `merges.txt`
/// (`convert_slow_tokenizer.py`, `GPT2Converter`).
///
/// # Errors
/// [`Kind::Internal`] when it cannot be written as JSON.
pub(crate) fn gpt2_tokenizer_json(
    vocabulary: &BTreeMap<String, u32>,
    merges: &[&str],
) -> Result<String> {
    let added: Vec<serde_json::Value> = vocabulary
        .get("<|endoftext|>")
        .map(|id| {
            json!({"id": id, "content": "<|endoftext|>", "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": true, "special": true})
        })
        .into_iter()
        .collect();
    let mut by_id: Vec<(&String, &u32)> = vocabulary.iter().collect();
    by_id.sort_by_key(|(_, id)| **id);
    let by_id: serde_json::Map<String, serde_json::Value> =
        by_id.into_iter().map(|(token, id)| (token.clone(), json!(id))).collect();
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
               "use_regex": true});
    let value = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null, "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": by_id, "merges": merges,
        },
    });
    serde_json::to_string(&value).map_err(|cause| {
        Error::new(Kind::Internal, "cannot write a tokenizer as JSON").caused_by(cause)
    })
}

/// Hands on the pieces that GPT-2's pattern cuts a text into, spaces at the end of lines aside:
/// letters, digits or signs, each with one space before.
pub(super) fn pieces(text: &str, mut each: impl FnMut(&str)) {
    let kind = |c: char| match c {
        c if c.is_whitespace() => 0,
        c if c.is_alphabetic() => 1,
        c if c.is_numeric() => 2,
        _ => 3,
    };
    let mut piece = String::new();
    let mut of = 0;
    for c in text.chars() {
        if kind(c) != of || of == 0 {
            let space = of == 0 && piece.ends_with(' ') && kind(c) != 0;
            if space {
                piece.pop();
            }
            if !piece.is_empty() {
                each(&piece);
            }
            piece.clear();
            if space {
                piece.push(' ');
            }
            of = kind(c);
        }
        piece.push(c);
    }
    if !piece.is_empty() {
        each(&piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_one_kind_of_characters_and_one_space() {
        let mut all = Vec::new();
        pieces("Two red  cars, 12 m.", |piece| all.push(piece.to_owned()));
        assert_eq!(all, ["Two", " red", " ", " cars", ",", " 12", " m", "."]);
    }
}
