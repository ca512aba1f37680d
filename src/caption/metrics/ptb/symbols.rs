//! Punctuation, brackets, signs, smileys, markup.

use super::shapes::{Found, at, begins, is_alnum, run};

/// What one character becomes that is not written as it is. The last four are money.
const WRITTEN: &[(char, &str)] = &[
    ('(', "-lrb-"),
    (')', "-rrb-"),
    ('[', "-lsb-"),
    (']', "-rsb-"),
    ('{', "-lcb-"),
    ('}', "-rcb-"),
    ('"', "''"),
    ('“', "``"),
    ('”', "''"),
    ('„', "``"),
    ('«', "``"),
    ('»', "''"),
    ('‘', "`"),
    ('‹', "`"),
    ('’', "'"),
    ('›', "'"),
    ('…', "..."),
    ('–', "--"),
    ('—', "--"),
    ('€', "$"),
    ('£', "#"),
    ('¢', "cents"),
];

const ENTITIES: &[(&str, &str)] = &[
    ("&amp;", "&"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "''"),
    ("&apos;", "'"),
    ("&nbsp;", ""),
];

/// Smileys: eyes, a nose perhaps, a mouth; and how the mouth is written.
const MOUTHS: &[(&str, &str)] = &[
    (":-)", ":--rrb-"),
    (":)", ":-rrb-"),
    (":-(", ":--lrb-"),
    (":(", ":-lrb-"),
    (";-)", ";--rrb-"),
    (";)", ";-rrb-"),
    ("=)", "=-rrb-"),
    ("=(", "=-lrb-"),
    (":'(", ":'-lrb-"),
    (":]", ":]"),
    ("^_^", "^_^"),
];

/// Bracket names as the reference itself writes them.
const NAMES: &[&str] = &["-lrb-", "-rrb-", "-lsb-", "-rsb-", "-lcb-", "-rcb-"];

/// The longest reading of what is neither a word nor a number; `None` drops a character.
pub(super) fn rule(text: &[char]) -> Option<Found> {
    let first = *text.first()?;
    [markup(text), entity(text), smiley(text), repeated(text), one(first)]
        .into_iter()
        .flatten()
        .max_by_key(|found| found.seen)
}

/// `<unk>`, `</b>`, `<!-- note -->`.
fn markup(text: &[char]) -> Option<Found> {
    if text.first() != Some(&'<') {
        return None;
    }
    let close = text.iter().position(|&c| c == '>')?;
    let head = if at(text, 1, |c| matches!(c, '!' | '?' | '/')) { 2 } else { 1 };
    let fits = close > head
        && (at(text, head, |c| c.is_ascii_alphabetic()) || begins(text, "<!--"))
        && !text.get(1..close)?.contains(&'<');
    fits.then(|| Found::plain(close + 1))
}

fn entity(text: &[char]) -> Option<Found> {
    let (entity, says) = ENTITIES.iter().find(|(entity, _)| begins(text, entity))?;
    Some(Found::says(entity.len(), says))
}

fn smiley(text: &[char]) -> Option<Found> {
    if let Some(name) = NAMES.iter().find(|name| begins(text, name)) {
        return Some(Found::plain(name.len()));
    }
    if let Some((smiley, says)) = MOUTHS.iter().find(|(smiley, _)| begins(text, smiley)) {
        return Some(Found::says(smiley.len(), says));
    }
    if !at(text, 0, |c| matches!(c, ':' | ';' | '=')) {
        return None;
    }
    let nose = usize::from(at(text, 1, |c| c == '-'));
    let mouth = 1 + nose;
    let fits =
        at(text, mouth, |c| matches!(c, 'D' | 'd' | 'P' | 'p')) && !at(text, mouth + 1, is_alnum);
    fits.then(|| Found::before(mouth + 1, mouth + 2))
}

/// Signs that stay together.
fn repeated(text: &[char]) -> Option<Found> {
    let first = *text.first()?;
    let length = run(text, |c| c == first);
    match first {
        '-' if (2..=4).contains(&length) => Some(Found::says(length, "--")),
        '-' | '*' | '_' | '#' if length > 1 => Some(Found::plain(length)),
        '.' if length >= 3 => Some(Found::says(3, "...")),
        '!' | '?' => Some(Found::plain(run(text, |c| matches!(c, '!' | '?')))),
        '<' | '>' | '`' | '\'' if length > 1 => Some(Found::plain(2)),
        _ => None,
    }
}

fn one(first: char) -> Option<Found> {
    if let Some((_, says)) = WRITTEN.iter().find(|(c, _)| *c == first) {
        return Some(Found::says(1, says));
    }
    let code = u32::from(first);
    let kept = matches!(
        code,
        0x21..=0x7e
            | 0xa1..=0xbf
            | 0xd7
            | 0xf7
            | 0x2010..=0x2027
            | 0x2030..=0x205e
            | 0x20a0..=0x2bff
            | 0x3001..=0x3007
            | 0xff01..=0xff5e
    );
    kept.then(|| Found::plain(1))
}
