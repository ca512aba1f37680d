//! `[stages.<table>.evaluate]`: scores of made captions against those of people.

use schemars::JsonSchema;
use serde::Serialize;

use super::findings::Findings;
use super::reader::{Setting, TableReader, read_name};
use super::span::Spanned;
use super::tree::Node;

/// Settings of `evaluate`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Evaluate {
    /// Table of made captions, made by `caption`; of several for one image the first is scored.
    pub generated: Spanned<String>,
    /// Table of captions, made by `read_captions`: the references.
    pub captions: Spanned<String>,
    /// How captions become words.
    #[schemars(default)]
    pub tokenizer: Words,
}

/// How captions become words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Words {
    /// The Penn Treebank's words, as the scores of COCO are counted.
    #[default]
    Ptb,
    /// One character a word, for Chinese.
    Characters,
    /// Words as jieba cuts them, for Chinese.
    Jieba,
}

impl Evaluate {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let generated = table.required("generated");
        let captions = table.required("captions");
        let tokenizer = table.or("tokenizer", Words::default());
        Some(Self { generated: generated?, captions: captions?, tokenizer })
    }
}

impl Words {
    /// The name in a definition, and in a fingerprint.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ptb => "ptb",
            Self::Characters => "characters",
            Self::Jieba => "jieba",
        }
    }
}

impl Setting for Words {
    const EXPECTED: &'static str = "`\"ptb\"`, `\"characters\"` or `\"jieba\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let names = [Self::Ptb, Self::Characters, Self::Jieba].map(|of| (of.name(), of));
        read_name(node, "tokenizer", &names, findings)
    }
}
