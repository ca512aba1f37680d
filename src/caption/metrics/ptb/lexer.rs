//! From a line to its words.

use super::shapes::{Found, is_gap};
use super::{abbreviations, apostrophes, numbers, symbols, words};

/// Left out of every tokenised caption, as in `pycocoevalcap`. Its list also has `-LRB-` and
/// other brackets in capitals; they never meet its lower-cased tokens, so brackets stay as words.
const PUNCTUATION: &[&str] =
    &["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"];

/// A caption's words in lower case, without punctuation.
///
/// A word may hold U+00A0 (`5 1/2` is one), as in the reference. Never fails, whatever the text.
#[must_use]
pub fn tokenize(text: &str) -> Vec<String> {
    let text: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.first().is_some_and(|&c| is_gap(c)) {
            at += 1;
            continue;
        }
        let Some(found) = longest(rest) else {
            at += 1;
            continue;
        };
        let taken = found.take.max(1);
        let token = match found.says {
            Some(says) => says.to_owned(),
            None => written(rest.get(..taken).unwrap_or(rest)),
        };
        if !token.is_empty() && !PUNCTUATION.contains(&token.as_str()) {
            tokens.push(token);
        }
        at += taken;
    }
    tokens
}

/// Lower case; spaces inside become U+00A0, soft hyphens go, apostrophes are straight.
fn written(token: &[char]) -> String {
    let token: String = token
        .iter()
        .filter(|&&c| c != '\u{ad}')
        .map(|&c| match c {
            ' ' => '\u{a0}',
            '’' | '\u{92}' => '\'',
            c => c,
        })
        .collect();
    if let Some(rest) = token.strip_prefix('(')
        && let Some((area, number)) = rest.split_once(')')
    {
        return format!("-lrb-{area}-rrb-{number}");
    }
    token.to_lowercase()
}

/// The rule that sees the most; of equals the first.
fn longest(text: &[char]) -> Option<Found> {
    let rules = [apostrophes::rule, abbreviations::rule, words::rule, numbers::rule, symbols::rule];
    let mut best: Option<Found> = None;
    for rule in rules {
        if let Some(found) = rule(text)
            && best.as_ref().is_none_or(|best| found.seen > best.seen)
        {
            best = Some(found);
        }
    }
    best
}
