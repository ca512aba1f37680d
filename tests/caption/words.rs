//! The tokenisers.

use clipmill::caption::metrics::{Tokenizer, ptb};
use proptest::prelude::*;

use crate::golden;

#[test]
fn hand_made_lines_equal_the_reference() {
    let lines = std::fs::read_to_string(golden("scores/lines.tsv")).unwrap();
    let mut count = 0;
    for line in lines.lines() {
        let (text, words) = line.rsplit_once('\t').unwrap();
        assert_eq!(ptb::tokenize(text).join(" "), words, "{text}");
        count += 1;
    }
    assert!(count >= 30, "only {count} lines");
}

#[test]
fn odd_texts_have_words_too() {
    for (text, words) in [
        ("", ""),
        (" \t\r\n\u{a0}\u{2028}", ""),
        ("a\u{200b}b", "a b"),
        ("dog \u{1f436} runs", "dog runs"),
        ("\u{301}", "\u{301}"),
        ("soft\u{ad}ware", "software"),
        ("<", "<"),
        ("(555) 555-1212", "-lrb-555-rrb-\u{a0}555-1212"),
    ] {
        assert_eq!(ptb::tokenize(text).join(" "), words, "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_can_be_cut(text in any::<String>()) {
        for (_, tokenizer) in Tokenizer::NAMES {
            for token in tokenizer.tokenize(&text) {
                prop_assert!(!token.is_empty());
                prop_assert!(!token.contains([' ', '\n', '\t']));
            }
        }
    }

    /// What the rules look at, in any order.
    #[test]
    fn any_punctuation_can_be_cut(text in "[a-cA-Cnst0-9'’\"`.,:;!?()<>/&#@$%*_+= \u{a0}-]{0,24}") {
        let tokens = ptb::tokenize(&text);
        let letters = |text: &str| text.chars().filter(char::is_ascii_digit).count();
        prop_assert_eq!(letters(&tokens.join(" ")), letters(&text));
    }
}
