//! Cleaning of captions: what a model should not see, and a reader does not.

use crate::plan::source::Cleaning;

/// Cleans `text`. The order of `cleanings` does not matter, and cleaning twice is cleaning
/// once: invisible characters go first, as they hide white space from the rest.
#[must_use]
pub fn clean(text: &str, cleanings: &[Cleaning]) -> String {
    let mut text = text.to_string();
    if cleanings.contains(&Cleaning::ZeroWidth) {
        text = without_zero_width(&text);
    }
    if cleanings.contains(&Cleaning::JoinChinese) {
        text = joined(&text);
    }
    if cleanings.contains(&Cleaning::Whitespace) {
        text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    text
}

/// Whether nothing can be seen of `text`.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_zero_width(c) || is_joiner(c))
}

fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{180e}')
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether a joiner beside `c` can mean something.
fn joins(c: char) -> bool {
    !(c.is_ascii() || c.is_whitespace() || is_chinese(c) || is_joiner(c) || is_zero_width(c))
}

fn without_zero_width(text: &str) -> String {
    let chars: Vec<char> = text.chars().filter(|c| !is_zero_width(*c)).collect();
    let mut out = String::with_capacity(text.len());
    let mut last = None;
    for (at, c) in chars.iter().copied().enumerate() {
        if is_joiner(c) {
            let next = chars.iter().skip(at + 1).copied().find(|c| !is_joiner(*c));
            if !(last.is_some_and(joins) && next.is_some_and(joins)) {
                continue;
            }
        }
        out.push(c);
        last = Some(c);
    }
    out
}

/// Characters and punctuation of Chinese text, which has no spaces between words.
fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{2e80}'..='\u{2fff}' | '\u{3001}'..='\u{303f}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}'
        | '\u{ff01}'..='\u{ff65}' | '\u{20000}'..='\u{323af}')
}

fn joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut space = String::new();
    for c in text.chars() {
        if c.is_whitespace() {
            space.push(c);
            continue;
        }
        let between = out.chars().next_back().is_some_and(is_chinese) && is_chinese(c);
        if !between {
            out.push_str(&space);
        }
        space.clear();
        out.push(c);
    }
    out.push_str(&space);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: &[Cleaning] = &[Cleaning::Whitespace, Cleaning::ZeroWidth, Cleaning::JoinChinese];

    #[test]
    fn each_kind_cleans_what_it_names() {
        let all = ALL;
        assert_eq!(clean("a  b\u{a0}\u{3000}\nc ", &[Cleaning::Whitespace]), "a b c");
        assert_eq!(clean("a\u{200b} b\u{feff}", &[Cleaning::ZeroWidth]), "a b");
        assert_eq!(clean("一个 女孩 。", &[Cleaning::JoinChinese]), "一个女孩。");
        assert_eq!(clean("穿 T 恤 的 人", all), "穿 T 恤的人");
        assert_eq!(clean("一个\u{200b} \u{200b}女孩", all), "一个女孩");
        assert_eq!(clean(" x ", &[]), " x ");
    }

    #[test]
    fn joiners_stay_where_they_join() {
        let family = "👨\u{200d}👩\u{200d}👧";
        assert_eq!(clean(family, ALL), family);
        assert_eq!(clean("a\u{200d}b \u{200c}c", ALL), "ab c");
    }

    #[test]
    fn blank_is_what_cannot_be_seen() {
        assert!(is_blank(" \u{a0}\u{200b}\u{200d}") && !is_blank("."));
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(
            text in "[ a一女。👨\u{200b}\u{200d}\u{200c}\u{a0}\u{3000}\u{feff}\nप]{0,24}",
            which in 0_usize..8,
        ) {
            let chosen: Vec<Cleaning> = ALL.iter().copied().enumerate()
                .filter(|(bit, _)| which & (1 << bit) != 0).map(|(_, c)| c).collect();
            let once = clean(&text, &chosen);
            prop_assert_eq!(clean(&once, &chosen), once.clone());
            let mut reversed = chosen.clone();
            reversed.reverse();
            prop_assert_eq!(clean(&text, &reversed), once);
        }
    }
}
