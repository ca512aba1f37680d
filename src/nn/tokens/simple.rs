//! OpenAI's `SimpleTokenizer` (`clip/simple_tokenizer.py`), which open_clip uses too.

use std::collections::BTreeMap;
use std::io::Read;

use regex::Regex;

use super::bytes::{byte_characters, byte_table};
use super::clean::clean;
use crate::base::capped::read_all;
use crate::base::{Error, Kind, Result};

/// How a library spells the tokens around a text, should a text hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `<|startoftext|>`: OpenAI.
    OpenAi,
    /// `<start_of_text>`: open_clip.
    OpenClip,
}

impl Spelling {
    fn tokens(self) -> [&'static str; 2] {
        match self {
            Self::OpenAi => ["<|startoftext|>", "<|endoftext|>"],
            Self::OpenClip => ["<start_of_text>", "<end_of_text>"],
        }
    }
}

/// A byte-pair tokenizer read from `bpe_simple_vocab_16e6.txt.gz`.
#[derive(Debug)]
pub struct SimpleTokenizer {
    words: Regex,
    special: [(&'static str, u32); 2],
    /// For each byte its token, and its token at the end of a word.
    bytes: Vec<[u32; 2]>,
    /// The rank of a pair and the token it becomes.
    merges: BTreeMap<(u32, u32), (usize, u32)>,
}

/// `49152 - 256 - 2`: what OpenAI takes of the file's lines.
const MERGES: usize = 48_894;
const CAP_BYTES: u64 = 64 << 20;

impl SimpleTokenizer {
    /// Reads the published file, gzipped or not.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when it is damaged or is no list of merges.
    pub fn read(bytes: &[u8], spelling: Spelling) -> Result<Self> {
        let bad = |what: String| Error::new(Kind::BadInput, what);
        let unpacked = if bytes.starts_with(&[0x1f, 0x8b]) {
            let reader: Box<dyn Read + '_> = Box::new(flate2::read::MultiGzDecoder::new(bytes));
            read_all(reader, CAP_BYTES, "the vocabulary")?
        } else {
            bytes.to_vec()
        };
        let text = String::from_utf8(unpacked)
            .map_err(|cause| bad("is no vocabulary: not UTF-8".into()).caused_by(cause))?;
        let characters = byte_characters();
        let mut ids: BTreeMap<String, u32> = BTreeMap::new();
        let mut next = 0_u32;
        let mut add = |ids: &mut BTreeMap<String, u32>, token: String| {
            ids.insert(token, next);
            next += 1;
            next - 1
        };
        for (_, c) in &characters {
            add(&mut ids, c.to_string());
        }
        for (_, c) in &characters {
            add(&mut ids, format!("{c}</w>"));
        }
        let mut pairs = Vec::new();
        for line in text.split('\n').skip(1).take(MERGES) {
            let mut parts = line.split_whitespace();
            let (Some(a), Some(b), None) = (parts.next(), parts.next(), parts.next()) else {
                return Err(bad(format!("is no vocabulary: `{line}` is not two tokens")));
            };
            pairs.push((a.to_owned(), b.to_owned()));
            add(&mut ids, format!("{a}{b}"));
        }
        let special = spelling.tokens().map(|token| (token, add(&mut ids, token.into())));
        let id = |token: &str| {
            ids.get(token).copied().ok_or_else(|| {
                bad(format!("is no vocabulary: merges `{token}`, which is no token"))
            })
        };
        let mut merges = BTreeMap::new();
        for (rank, (a, b)) in pairs.iter().enumerate() {
            // A pair listed twice has its last rank, as in a Python dict.
            merges.insert((id(a)?, id(b)?), (rank, id(&format!("{a}{b}"))?));
        }
        let bytes = byte_table()
            .iter()
            .map(|c| Ok([id(&c.to_string())?, id(&format!("{c}</w>"))?]))
            .collect::<Result<Vec<_>>>()?;
        let [start, end] = spelling.tokens().map(regex::escape);
        let pattern = format!(
            r"(?i){start}|{end}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+"
        );
        let words = Regex::new(&pattern).map_err(|cause| {
            Error::new(Kind::Internal, "cannot build the tokenizer's pattern").caused_by(cause)
        })?;
        Ok(Self { words, special, bytes, merges })
    }

    pub(super) fn ids(&self, text: &str, context: usize) -> Vec<u32> {
        let [(_, start), (_, end)] = self.special;
        let mut ids = vec![start];
        for word in self.words.find_iter(&clean(text)) {
            self.word(word.as_str(), &mut ids);
        }
        ids.truncate(context.saturating_sub(1));
        ids.push(end);
        ids
    }

    fn word(&self, word: &str, out: &mut Vec<u32>) {
        if let Some((_, id)) = self.special.iter().find(|(token, _)| *token == word) {
            out.push(*id);
            return;
        }
        let last = word.len().saturating_sub(1);
        let token = |(at, byte): (usize, u8)| {
            self.bytes.get(usize::from(byte)).map(|forms| forms[usize::from(at == last)])
        };
        let mut parts: Vec<u32> = word.bytes().enumerate().filter_map(token).collect();
        while let Some((pair, merged)) = self.best(&parts) {
            let mut kept = 0;
            let mut at = 0;
            while let Some(part) = parts.get(at).copied() {
                let joins = part == pair.0 && parts.get(at + 1) == Some(&pair.1);
                if let Some(slot) = parts.get_mut(kept) {
                    *slot = if joins { merged } else { part };
                }
                kept += 1;
                at += if joins { 2 } else { 1 };
            }
            parts.truncate(kept);
        }
        out.extend(parts);
    }

    /// The pair of lowest rank, and what it becomes.
    fn best(&self, parts: &[u32]) -> Option<((u32, u32), u32)> {
        parts
            .windows(2)
            .filter_map(|window| {
                let [a, b] = window else { return None };
                let (rank, merged) = self.merges.get(&(*a, *b))?;
                Some((*rank, (*a, *b), *merged))
            })
            .min_by_key(|(rank, _, _)| *rank)
            .map(|(_, pair, merged)| (pair, merged))
    }

    pub(super) fn end(&self) -> u32 {
        let [_, (_, end)] = self.special;
        end
    }

    pub(super) fn size(&self) -> usize {
        usize::try_from(self.end()).map_or(usize::MAX, |end| end + 1)
    }
}
