//! BERT's WordPiece, as transformers' `BertTokenizer`.

use serde::Deserialize;
use serde_json::json;

use crate::base::{Error, Kind, Result};

/// Tokens that stand for no text.
pub(super) const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// What a `tokenizer_config.json` says of texts, before they are looked up; each as `BertTokenizer`
/// has it where it is left out.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Rules {
    do_lower_case: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    strip_accents: Option<bool>,
}

impl Rules {
    /// Reads the text of a `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when it is no JSON, or one of these is neither true nor false.
    pub(super) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|cause| {
            let what = "tokenizer_config.json does not say how texts become tokens";
            Error::new(Kind::BadInput, what).caused_by(cause).help(
                "`do_lower_case`, `tokenize_chinese_chars` and `strip_accents` are true or false; \
                 take the file that was published with the weights",
            )
        })
    }
}

/// The `tokenizer.json` that transformers makes of a `vocab.txt` (`convert_slow_tokenizer.py`,
/// `BertConverter`), without the tokens it would put around a text.
///
/// # Errors
/// [`Kind::BadInput`] when the vocabulary has no `[UNK]` or no `[SEP]`.
pub(super) fn word_piece_json(vocabulary: &str, rules: Rules) -> Result<String> {
    let mut by_token = serde_json::Map::new();
    // A token that comes twice has its last id, as in Python's `load_vocab`.
    for (id, token) in vocabulary.lines().enumerate() {
        by_token.insert(token.to_owned(), json!(id));
    }
    for token in ["[UNK]", "[SEP]"] {
        if !by_token.contains_key(token) {
            let what = format!("the vocabulary has no token `{token}`");
            return Err(Error::new(Kind::BadInput, what).help("expected the vocab.txt of a BERT"));
        }
    }
    let added: Vec<serde_json::Value> = SPECIAL
        .iter()
        .filter_map(|token| {
            Some(json!({"id": by_token.get(*token)?, "content": token, "single_word": false,
                        "lstrip": false, "rstrip": false, "normalized": false, "special": true}))
        })
        .collect();
    let value = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true,
                       "handle_chinese_chars": rules.tokenize_chinese_chars.unwrap_or(true),
                       "strip_accents": rules.strip_accents,
                       "lowercase": rules.do_lower_case.unwrap_or(true)},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": by_token},
    });
    serde_json::to_string(&value).map_err(|cause| {
        Error::new(Kind::Internal, "cannot write a tokenizer as JSON").caused_by(cause)
    })
}

/// Tokens as text: `##` joins, characters that are written without spaces stand without, and so
/// do signs after a word; between other words is one space.
pub(super) fn join(tokens: &[String]) -> String {
    let mut out = String::new();
    for token in tokens {
        if let Some(rest) = token.strip_prefix("##").filter(|rest| !rest.is_empty()) {
            out.push_str(rest);
            continue;
        }
        let first = token.chars().next();
        let open = |c: char| c.is_alphanumeric() && !is_wide(c);
        let apart = |before: char, after: char| {
            open(after) && (open(before) || matches!(before, '.' | ',' | '!' | '?' | ';' | ':'))
        };
        if out.chars().last().zip(first).is_some_and(|(before, after)| apart(before, after)) {
            out.push(' ');
        }
        out.push_str(token);
    }
    out
}

/// Characters of scripts without spaces: Han, kana, and full-width signs.
fn is_wide(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}'
        | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_stands_without_spaces_and_words_with_them() {
        let join = |tokens: &[&str]| {
            join(&tokens.iter().map(|token| (*token).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(join(&["一", "只", "狗", "。"]), "一只狗。");
        assert_eq!(join(&["a", "walk", "##ing", "dog", ".", "2", "men"]), "a walking dog. 2 men");
        assert_eq!(join(&["穿", "t", "-", "shirt", "的", "人"]), "穿t-shirt的人");
    }
}
