//! Captions to token ids and back, as a GPT-2 of whichever language has them.

use std::collections::BTreeMap;
use std::path::Path;

use tokenizers::Tokenizer;

use super::gpt2::gpt2_tokenizer_json;
use super::word_piece::{Rules, SPECIAL, join, word_piece_json};
use crate::base::{Error, Kind, Result};

/// Largest file of a vocabulary that is read.
const CAP_BYTES: u64 = 256 << 20;

/// The vocabulary of a text model: GPT-2's byte-level BPE or BERT's WordPiece.
#[derive(Debug)]
pub struct TextCodec {
    tokenizer: Tokenizer,
    word_piece: bool,
    end: u32,
    size: usize,
}

impl TextCodec {
    /// Opens the vocabulary of a folder: `tokenizer.json`, or `vocab.json` with `merges.txt`
    /// (GPT-2), or `vocab.txt` (BERT, as Chinese GPT-2s have it), in this order.
    ///
    /// # Errors
    /// When the folder has none of them, or a file is damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            if !path.is_file() {
                return Ok(None);
            }
            crate::base::files::read_text_capped(&path, CAP_BYTES).map(Some)
        };
        let opened = if let Some(text) = read("tokenizer.json")? {
            Self::from_json(&text)
        } else if let (Some(vocabulary), Some(merges)) = (read("vocab.json")?, read("merges.txt")?)
        {
            Self::from_merges(&vocabulary, &merges)
        } else if let Some(vocabulary) = read("vocab.txt")? {
            let rules = read("tokenizer_config.json")?;
            rules
                .map_or_else(|| Ok(Rules::default()), |text| Rules::parse(&text))
                .and_then(|rules| word_piece_json(&vocabulary, rules))
                .and_then(|text| Self::from_json(&text))
        } else {
            Err(Error::new(
                Kind::MissingInput,
                "has neither `tokenizer.json`, nor `vocab.json` with `merges.txt`, nor `vocab.txt`",
            )
            .help("take the vocabulary that was published with the weights"))
        };
        opened.map_err(|error| error.at(folder.display()))
    }

    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when it is none, or has no token that ends a text.
    pub fn from_json(text: &str) -> Result<Self> {
        let bad = |what: &str| Error::new(Kind::BadInput, what);
        let mut tokenizer = Tokenizer::from_bytes(text)
            .map_err(|cause| bad("is no tokenizer.json that can be read").caused_by(cause))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|cause| bad("its truncation cannot be switched off").caused_by(cause))?;
        let end = ["<|endoftext|>", "[SEP]", "</s>"]
            .iter()
            .find_map(|token| tokenizer.token_to_id(token))
            .ok_or_else(|| bad("has none of the tokens `<|endoftext|>`, `[SEP]` and `</s>`"))?;
        let word_piece = tokenizer.token_to_id("[SEP]") == Some(end);
        let highest = tokenizer.get_vocab(true).into_values().max();
        let size = highest.and_then(|id| usize::try_from(id).ok()).map_or(0, |id| id + 1);
        Ok(Self { tokenizer, word_piece, end, size })
    }

    /// Puts a tokenizer together from GPT-2's `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when they are damaged or do not belong together.
    pub fn from_merges(vocabulary: &str, merges: &str) -> Result<Self> {
        let vocabulary: BTreeMap<String, u32> =
            serde_json::from_str(vocabulary).map_err(|cause| {
                Error::new(Kind::BadInput, "vocab.json is no map of tokens to ids").caused_by(cause)
            })?;
        let merges: Vec<&str> = merges
            .lines()
            .filter(|line| !line.starts_with("#version") && !line.is_empty())
            .collect();
        Self::from_json(&gpt2_tokenizer_json(&vocabulary, &merges)?)
    }

    /// The ids of a text and no others: no start and no end.
    ///
    /// # Errors
    /// When the tokenizer's rules fail on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|cause| {
            Error::new(Kind::BadInput, "the tokenizer's rules fail on a text").caused_by(cause)
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of ids. Tokens that stand for no text (end, padding) and ids that are not in the
    /// vocabulary are left out; bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// When the tokenizer's rules fail on them.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        if self.word_piece {
            let tokens: Vec<String> = ids
                .iter()
                .filter_map(|id| self.tokenizer.id_to_token(*id))
                .filter(|token| !SPECIAL.contains(&token.as_str()))
                .collect();
            return Ok(join(&tokens));
        }
        self.tokenizer.decode(ids, true).map_err(|cause| {
            Error::new(Kind::BadInput, "the tokenizer's rules fail on ids").caused_by(cause)
        })
    }

    /// The id of the token that ends a caption: `<|endoftext|>` or `[SEP]`. (Checkpoints of
    /// CLIP_prefix_caption end theirs with a full stop, [`id`](Self::id)`(".")`.)
    #[must_use]
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The id of the token that stands for whatever a WordPiece vocabulary has not, and is never to
    /// be written: `predict.py` of ClipCap-Chinese sets its logit to minus infinity. A byte-level
    /// BPE has every text, and no such token.
    #[must_use]
    pub fn unknown(&self) -> Option<u32> {
        self.id("[UNK]").filter(|_| self.word_piece)
    }

    /// The id of one token, as the vocabulary writes it.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The id that fills up rows: `[PAD]`, or the end where there is none.
    #[must_use]
    pub fn padding(&self) -> u32 {
        self.id("[PAD]").unwrap_or(self.end)
    }

    /// One more than the highest id.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.size
    }
}
