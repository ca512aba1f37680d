//! transformers' `CLIPTokenizer`, by the crate that it is built on.

use std::collections::BTreeMap;

use serde_json::json;
use tokenizers::Tokenizer;

use crate::base::{Error, Kind, Result};

/// A `tokenizer.json`, or `vocab.json` with `merges.txt`.
///
/// NFC, whitespace runs to one space, lower case; unlike OpenAI's tokenizer it neither repairs
/// mojibake nor reads HTML entities.
#[derive(Debug)]
pub struct HuggingFaceTokenizer {
    tokenizer: Tokenizer,
    start: u32,
    end: u32,
}

impl HuggingFaceTokenizer {
    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when it is none, or does not begin and end texts as CLIP does.
    pub fn from_json(text: &str) -> Result<Self> {
        let bad = |what: &str| Error::new(Kind::BadInput, what);
        let mut tokenizer = Tokenizer::from_bytes(text)
            .map_err(|cause| bad("is no tokenizer.json that can be read").caused_by(cause))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|cause| bad("its truncation cannot be switched off").caused_by(cause))?;
        let empty = tokenizer
            .encode_fast("", true)
            .map_err(|cause| bad("cannot tokenize an empty text").caused_by(cause))?;
        let [start, end] = empty.get_ids() else {
            return Err(bad("does not put a start token before a text and an end token after it")
                .help("take the tokenizer.json that was published with the CLIP"));
        };
        Ok(Self { start: *start, end: *end, tokenizer })
    }

    /// Puts a tokenizer together from `vocab.json` and `merges.txt`, as transformers does.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when they are damaged or do not belong together.
    pub fn from_vocabulary(vocabulary: &str, merges: &str) -> Result<Self> {
        let vocabulary: BTreeMap<String, u32> =
            serde_json::from_str(vocabulary).map_err(|cause| {
                Error::new(Kind::BadInput, "vocab.json is no map of tokens to ids").caused_by(cause)
            })?;
        let merges: Vec<&str> = merges
            .lines()
            .filter(|line| !line.starts_with("#version") && !line.is_empty())
            .collect();
        Self::from_json(&clip_tokenizer_json(&vocabulary, &merges)?)
    }

    pub(super) fn ids(&self, text: &str, context: usize) -> Result<Vec<u32>> {
        let failed = |cause: tokenizers::Error| {
            Error::new(Kind::BadInput, "the tokenizer's rules fail on a text").caused_by(cause)
        };
        let encoding = self.tokenizer.encode_fast(text, false).map_err(failed)?;
        let inner = encoding.get_ids();
        let kept = inner.get(..context.saturating_sub(2)).unwrap_or(inner);
        Ok([self.start].iter().chain(kept).chain([&self.end]).copied().collect())
    }

    pub(super) fn size(&self) -> usize {
        let highest = self.tokenizer.get_vocab(true).into_values().max();
        highest.and_then(|id| usize::try_from(id).ok()).map_or(0, |id| id + 1)
    }

    pub(super) fn end(&self) -> u32 {
        self.end
    }
}

/// The `tokenizer.json` that transformers makes of a CLIP vocabulary
/// (`tokenization_clip.py`, `CLIPTokenizer.__init__`).
///
/// # Errors
/// [`Kind::BadInput`] when the vocabulary lacks the start or the end token.
pub(crate) fn clip_tokenizer_json(
    vocabulary: &BTreeMap<String, u32>,
    merges: &[&str],
) -> Result<String> {
    let id = |token: &str| {
        vocabulary.get(token).copied().ok_or_else(|| {
            Error::new(Kind::BadInput, format!("the vocabulary has no token `{token}`"))
        })
    };
    let (start, end) = (id("<|startoftext|>")?, id("<|endoftext|>")?);
    let special = |id: u32, content: &str, normalized: bool| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": normalized, "special": true})
    };
    let mut by_id: Vec<(&str, u32)> = vocabulary.iter().map(|(t, id)| (t.as_str(), *id)).collect();
    by_id.sort_by_key(|(_, id)| *id);
    let by_id: serde_json::Map<String, serde_json::Value> =
        by_id.into_iter().map(|(token, id)| (token.to_owned(), json!(id))).collect();
    let pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    let value = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [
            special(start, "<|startoftext|>", true),
            special(end, "<|endoftext|>", false),
        ],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
             "use_regex": true},
        ]},
        "post_processor": {"type": "RobertaProcessing", "sep": ["<|endoftext|>", end],
            "cls": ["<|startoftext|>", start], "trim_offsets": false, "add_prefix_space": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
            "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<|endoftext|>",
            "continuing_subword_prefix": "", "end_of_word_suffix": "</w>", "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": false,
            "vocab": by_id, "merges": merges,
        },
    });
    serde_json::to_string(&value).map_err(|cause| {
        Error::new(Kind::Internal, "cannot write a tokenizer as JSON").caused_by(cause)
    })
}
