//! How captions are cut into words before they are compared.

use std::sync::LazyLock;

use jieba_rs::Jieba;

use super::ptb;
use super::sentence::Sentence;

/// Building it reads a dictionary of 350,000 words; once is enough.
static JIEBA: LazyLock<Jieba> = LazyLock::new(Jieba::new);

/// A way to cut captions into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tokenizer {
    /// English, as COCO's evaluation: see [`ptb`].
    Ptb,
    /// Every character that is no space is a word: Chinese, as most of its papers score.
    Characters,
    /// Chinese words by jieba's dictionary and its model for unknown ones.
    Jieba,
}

impl Tokenizer {
    /// All of them, by the name that a definition has for each.
    pub const NAMES: [(&str, Self); 3] =
        [("ptb", Self::Ptb), ("characters", Self::Characters), ("jieba", Self::Jieba)];

    /// The tokenizer of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, tokenizer)| *tokenizer)
    }

    /// Its name in a definition.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// A caption's words. Never fails, whatever the text.
    #[must_use]
    pub fn tokenize(self, text: &str) -> Vec<String> {
        match self {
            Self::Ptb => ptb::tokenize(text),
            Self::Characters => text.chars().filter(|c| !is_blank(*c)).map(String::from).collect(),
            Self::Jieba => JIEBA
                .cut(text, true)
                .into_iter()
                .map(|word| word.word)
                .map(|word| word.chars().filter(|c| !is_blank(*c)).collect::<String>())
                .filter(|word| !word.is_empty())
                .collect(),
        }
    }

    /// A caption ready to be compared.
    #[must_use]
    pub fn sentence(self, text: &str) -> Sentence {
        Sentence::new(self.tokenize(text))
    }
}

/// Space, seen or not: Flickr8k-CN has zero-width ones between its characters.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{1c}'..='\u{1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for (name, tokenizer) in Tokenizer::NAMES {
            assert_eq!(Tokenizer::named(name), Some(tokenizer));
            assert_eq!(tokenizer.name(), name);
        }
        assert_eq!(Tokenizer::named("words"), None);
    }

    #[test]
    fn chinese_by_character_and_by_word() {
        let text = "一个 男人\u{200b}在弹吉他。";
        assert_eq!(
            Tokenizer::Characters.tokenize(text),
            ["一", "个", "男", "人", "在", "弹", "吉", "他", "。"]
        );
        let words = Tokenizer::Jieba.tokenize(text);
        assert_eq!(words.concat(), "一个男人在弹吉他。");
        assert!(
            words.contains(&"男人".to_owned()) && words.contains(&"吉他".to_owned()),
            "{words:?}"
        );
    }
}
