//! Learning a small CLIP vocabulary from captions: byte-pair encoding (Sennrich et al., 2016,
//! <https://arxiv.org/abs/1508.07909>) over bytes, words closed by `</w>`.

use std::collections::BTreeMap;

use super::bytes::{byte_characters, byte_table};

/// A vocabulary in the order and the form of CLIP's: 256 bytes, 256 bytes that end a word, one
/// token a merge, start, end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearntVocabulary {
    /// Token and id.
    pub tokens: BTreeMap<String, u32>,
    /// `first second`, best first, as in `merges.txt`.
    pub merges: Vec<String>,
}

/// Learns at most `merges` merges. The same texts in the same order give the same vocabulary:
/// among pairs seen equally often the one first in byte order wins.
#[must_use]
pub fn learn(texts: &[&str], merges: usize) -> LearntVocabulary {
    let learnt = best_merges(words(texts), merges);
    let characters = byte_characters();
    let bytes = characters.iter().map(|(_, c)| c.to_string());
    let ends = characters.iter().map(|(_, c)| format!("{c}</w>"));
    let merged = learnt.iter().map(|(a, b)| format!("{a}{b}"));
    let special = ["<|startoftext|>".to_owned(), "<|endoftext|>".to_owned()];
    let mut tokens = BTreeMap::new();
    let mut next = 0;
    for token in bytes.chain(ends).chain(merged) {
        // Two merges can give one token; it keeps its first id and the ids stay dense.
        tokens.entry(token).or_insert_with(|| {
            next += 1;
            next - 1
        });
    }
    for (token, id) in special.into_iter().zip(next..) {
        tokens.insert(token, id);
    }
    LearntVocabulary {
        tokens,
        merges: learnt.into_iter().map(|(a, b)| format!("{a} {b}")).collect(),
    }
}

/// As [`learn`], in the form of GPT-2's vocabulary: 256 bytes, one token a merge, end. A word
/// takes the space before it along; case stays.
#[must_use]
pub fn learn_gpt2(texts: &[&str], merges: usize) -> LearntVocabulary {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        super::gpt2::pieces(text, |piece| *counts.entry(piece.to_owned()).or_default() += 1);
    }
    let table = byte_table();
    let spell = |word: &str| {
        let character = |byte| table.get(usize::from(byte)).map(char::to_string);
        word.bytes().filter_map(character).collect()
    };
    let words = counts.iter().map(|(word, count)| (spell(word), *count)).collect();
    let learnt = best_merges(words, merges);
    let mut tokens = BTreeMap::new();
    let mut next = 0;
    let bytes = byte_characters().into_iter().map(|(_, character)| character.to_string());
    let merged = learnt.iter().map(|(a, b)| format!("{a}{b}"));
    for token in bytes.chain(merged).chain(["<|endoftext|>".to_owned()]) {
        tokens.entry(token).or_insert_with(|| {
            next += 1;
            next - 1
        });
    }
    let merges = learnt.into_iter().map(|(a, b)| format!("{a} {b}")).collect();
    LearntVocabulary { tokens, merges }
}

/// The pairs to merge, best first, out of words in parts and how often they occur.
fn best_merges(mut words: Vec<(Vec<String>, usize)>, merges: usize) -> Vec<(String, String)> {
    let mut learnt: Vec<(String, String)> = Vec::new();
    while learnt.len() < merges {
        let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (parts, count) in &words {
            for pair in parts.windows(2) {
                if let [a, b] = pair {
                    *pairs.entry((a, b)).or_default() += count;
                }
            }
        }
        // `max_by` takes the last of equals; reversed, that is the first in byte order.
        let best = pairs.into_iter().rev().max_by_key(|(_, count)| *count);
        let Some(((a, b), 2..)) = best else { break };
        let (a, b) = (a.to_owned(), b.to_owned());
        words.iter_mut().for_each(|(parts, _)| merge(parts, &a, &b));
        learnt.push((a, b));
    }
    learnt
}

/// Each word as its bytes' characters, the last closed by `</w>`, and how often it occurs.
fn words(texts: &[&str]) -> Vec<(Vec<String>, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        let lower = text.to_lowercase();
        for word in lower.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    let table = byte_table();
    let spell = |word: &str| {
        let mut parts: Vec<String> = word
            .bytes()
            .filter_map(|byte| table.get(usize::from(byte)).map(char::to_string))
            .collect();
        if let Some(last) = parts.last_mut() {
            last.push_str("</w>");
        }
        parts
    };
    counts.iter().map(|(word, count)| (spell(word), *count)).collect()
}

fn merge(parts: &mut Vec<String>, a: &str, b: &str) {
    let mut out = Vec::with_capacity(parts.len());
    let mut rest = parts.drain(..).peekable();
    while let Some(part) = rest.next() {
        if part == a && rest.next_if(|next| next == b).is_some() {
            out.push(format!("{a}{b}"));
        } else {
            out.push(part);
        }
    }
    drop(rest);
    *parts = out;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_become_one_token() {
        let learnt = learn(&["a red circle", "a red square", "the red circle"], 100);
        assert!(learnt.tokens.contains_key("red</w>"));
        assert!(learnt.tokens.contains_key("circle</w>"));
        assert!(!learnt.tokens.contains_key("square</w>"), "seen once");
        assert_eq!(learnt.tokens.len(), 512 + learnt.merges.len() + 2);
    }

    #[test]
    fn gpt2_words_take_their_space_along() {
        let learnt = learn_gpt2(&["A red circle.", "a red square, a red dot"], 100);
        assert!(learnt.tokens.contains_key("Ġred"));
        assert!(!learnt.tokens.contains_key("Ġsquare"), "seen once");
        let mut ids: Vec<u32> = learnt.tokens.values().copied().collect();
        ids.sort_unstable();
        assert!(ids.iter().zip(0..).all(|(id, n)| *id == n));
        assert_eq!(learnt.tokens["<|endoftext|>"], *ids.last().unwrap());
    }

    #[test]
    fn ids_are_dense_and_the_end_token_is_the_highest() {
        let learnt = learn(&["aaaa aaa aa a", "abab ab"], 50);
        let mut ids: Vec<u32> = learnt.tokens.values().copied().collect();
        ids.sort_unstable();
        assert!(ids.iter().zip(0..).all(|(id, n)| *id == n));
        assert_eq!(learnt.tokens["<|endoftext|>"], *ids.last().unwrap());
    }
}
