//! Words, joined words, acronyms and addresses.

use super::numbers::decimal;
use super::shapes::{Found, at, begins, is_alnum, is_digit, is_letter, run};

/// All rules of this file; the longest reading.
pub(super) fn rule(text: &[char]) -> Option<Found> {
    let first = *text.first()?;
    if matches!(first, '#' | '@') {
        return tag(text);
    }
    if !is_alnum(first) {
        return None;
    }
    [
        Some(Found::plain(run(text, is_alnum))),
        joined(text),
        dotted(text),
        exclaimed(text),
        ampersand(text),
        sharp(text),
        dollar(text),
        address(text),
        mail(text),
    ]
    .into_iter()
    .flatten()
    .max_by_key(|found| found.seen)
}

/// `#tag` and `@user`.
fn tag(text: &[char]) -> Option<Found> {
    let rest = text.get(1..)?;
    let length = if text.first() == Some(&'#') {
        run(rest, is_letter)
    } else if at(rest, 0, |c| c.is_ascii_alphabetic() || c == '_') {
        run(rest, |c| c.is_ascii_alphanumeric() || c == '_')
    } else {
        0
    };
    (length > 0).then(|| Found::plain(1 + length))
}

/// `t-shirt`, `and/or`, `1/2-inch`, `u.s.-based`.
fn joined(text: &[char]) -> Option<Found> {
    let mut length = segment(text, true);
    let mut segments = 1;
    let mut digits_only = run(text, is_digit) == length;
    let mut widths = vec![length];
    while at(text, length, |c| matches!(c, '-' | '_' | '/' | '\u{ad}')) {
        let rest = text.get(length + 1..).unwrap_or_default();
        let more = segment(rest, false);
        if more == 0 {
            break;
        }
        digits_only &= run(rest, is_digit) == more;
        widths.push(more);
        length += 1 + more;
        segments += 1;
    }
    if digits_only && widths.len() == 3 && widths.iter().take(2).any(|&width| width > 2) {
        // Neither a date nor a score: the reference ends it before the last.
        length -= 1 + widths.last().copied().unwrap_or_default();
        segments -= 1;
    }
    (segments > 1).then(|| Found::plain(length))
}

/// One part of a joined word: letters and digits, an acronym, or at the head a decimal number.
fn segment(text: &[char], head: bool) -> usize {
    let plain = run(text, is_alnum);
    let number = if head && !at(text, plain, |c| c == ':') { decimal(text) } else { 0 };
    let mut acronym = 0;
    while at(text, acronym, |c| c.is_ascii_alphabetic()) && at(text, acronym + 1, |c| c == '.') {
        acronym += 2;
    }
    // `a.b` ends in its letter, `a.b.` in its full stop.
    let last = at(text, acronym, |c| c.is_ascii_alphabetic()) && !at(text, acronym + 1, is_alnum);
    if acronym > 0 && last {
        if !head && acronym < 4 {
            acronym = 0;
        } else {
            acronym += 1;
        }
    }
    if acronym > 0 && acronym < 3 && !at(text, acronym, |c| c == '-') {
        acronym = 0;
    }
    let abbreviation =
        if head { super::abbreviations::rule(text).map_or(0, |found| found.take) } else { 0 };
    let abbreviation = if at(text, abbreviation, |c| c == '-') { abbreviation } else { 0 };
    plain.max(number).max(acronym).max(abbreviation)
}

/// `u.s.a.`, `a.b`, `foo.bar`: letters around full stops.
fn dotted(text: &[char]) -> Option<Found> {
    let mut length = dotted_part(text);
    let mut single = length == 1;
    let mut parts = 1;
    if length == 0 {
        return None;
    }
    while at(text, length, |c| c == '.') {
        let more = dotted_part(text.get(length + 1..).unwrap_or_default());
        if more == 0 {
            break;
        }
        single &= more == 1;
        length += 1 + more;
        parts += 1;
    }
    if single && parts > 1 && at(text, length, |c| c == '.') {
        length += 1;
    } else if parts == 2 && begins(text, "ph.d.") {
        length = 5;
    }
    (parts > 1).then(|| Found::plain(length))
}

/// A letter, and what letters and digits follow.
fn dotted_part(text: &[char]) -> usize {
    if at(text, 0, |c| c.is_ascii_alphabetic()) {
        run(text, |c| c.is_ascii_alphanumeric())
    } else {
        0
    }
}

/// `dog!cat`, as in names.
fn exclaimed(text: &[char]) -> Option<Found> {
    let head = run(text, is_letter);
    if head == 0 || !at(text, head, |c| matches!(c, '!' | '?')) {
        return None;
    }
    let tail = run(text.get(head + 1..)?, is_letter);
    (tail > 0).then(|| Found::plain(head + 1 + tail))
}

/// `AT&T`: capitals only.
fn ampersand(text: &[char]) -> Option<Found> {
    let capital = |c: char| c.is_ascii_uppercase();
    let mut length = run(text, capital);
    let mut parts = 1;
    while length > 0 && at(text, length, |c| c == '&') {
        let more = run(text.get(length + 1..).unwrap_or_default(), capital);
        if more == 0 {
            break;
        }
        length += 1 + more;
        parts += 1;
    }
    (parts > 1).then(|| Found::plain(length))
}

/// `C++`, `C#`, `F#`.
fn sharp(text: &[char]) -> Option<Found> {
    if begins(text, "c++") {
        return Some(Found::plain(3));
    }
    (begins(text, "c#") || begins(text, "f#")).then(|| Found::plain(2))
}

/// `US$`.
fn dollar(text: &[char]) -> Option<Found> {
    let capitals = run(text, |c| c.is_ascii_uppercase());
    ((1..=3).contains(&capitals) && at(text, capitals, |c| c == '$'))
        .then(|| Found::plain(capitals + 1))
}

/// A web address with its scheme or `www.`.
fn address(text: &[char]) -> Option<Found> {
    let head = ["http://", "https://", "ftp://", "www."].into_iter().find(|s| begins(text, s))?;
    let from = head.len();
    let body = |c: char| !c.is_whitespace() && !matches!(c, '<' | '>' | '"' | '(' | ')' | '|');
    let mut length = run(text.get(from..)?, body);
    while length > 0
        && at(text, from + length - 1, |c| matches!(c, '.' | ',' | '!' | '?' | ';' | ':'))
    {
        length -= 1;
    }
    let dots = text.get(from..from + length)?.contains(&'.');
    (length > 0 && (dots || head == "www.")).then(|| Found::plain(from + length))
}

/// `somebody@somewhere.com`.
fn mail(text: &[char]) -> Option<Found> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    let name = run(text, part);
    if !at(text, name, |c| c == '@') {
        return None;
    }
    let host = run(text.get(name + 1..)?, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    let trailing = text.get(name + 1..name + 1 + host)?.iter().rev();
    let host = host - trailing.take_while(|&&c| matches!(c, '.' | '-')).count();
    (host > 0).then(|| Found::plain(name + 1 + host))
}
