//! Numbers, fractions, times and telephone numbers.

use super::shapes::{Found, at, fraction, is_digit, is_gap, run};

/// All rules of this file; the longest reading.
pub(super) fn rule(text: &[char]) -> Option<Found> {
    let first = *text.first()?;
    if let Some(words) = fraction(first) {
        return Some(Found::says(1, words));
    }
    if !(is_digit(first) || matches!(first, '+' | '-' | '.' | ',' | ':' | '(')) {
        return None;
    }
    [signed(text), mixed(text), telephone(text)].into_iter().flatten().max_by_key(|f| f.seen)
}

/// `-1,000.50`, `10:30`, `.5`.
fn signed(text: &[char]) -> Option<Found> {
    let sign = usize::from(at(text, 0, |c| matches!(c, '+' | '-')));
    let length = decimal(text.get(sign..)?);
    (length > 0).then(|| Found::plain(sign + length))
}

/// Digits, and groups of them behind `.`, `,` or `:`; how many characters.
pub(super) fn decimal(text: &[char]) -> usize {
    let mut length = run(text, is_digit);
    while at(text, length, |c| matches!(c, '.' | ',' | ':')) {
        let more = run(text.get(length + 1..).unwrap_or_default(), is_digit);
        if more == 0 {
            break;
        }
        length += 1 + more;
    }
    length
}

/// `5 1/2` and `5-1/2`; the space stays in the token, as in the reference.
fn mixed(text: &[char]) -> Option<Found> {
    let whole = run(text, is_digit);
    if whole == 0 || whole > 4 || !at(text, whole, |c| matches!(c, ' ' | '-' | '\u{a0}')) {
        return None;
    }
    let above = run(text.get(whole + 1..)?, is_digit);
    let slash = whole + 1 + above;
    if above == 0 || above > 4 || !at(text, slash, |c| matches!(c, '/' | '⁄')) {
        return None;
    }
    let below = run(text.get(slash + 1..)?, is_digit);
    (1..=4).contains(&below).then(|| Found::plain(slash + 1 + below))
}

/// `(555) 555-1212` and `1-800-555-1212`.
fn telephone(text: &[char]) -> Option<Found> {
    let group =
        |from: usize, digits: usize| run(text.get(from..).unwrap_or_default(), is_digit) == digits;
    if at(text, 0, |c| c == '(') && group(1, 3) && at(text, 4, |c| c == ')') {
        let gap = usize::from(at(text, 5, is_gap));
        let from = 5 + gap;
        let fits = group(from, 3) && at(text, from + 3, |c| c == '-') && group(from + 4, 4);
        return fits.then(|| Found::plain(from + 8));
    }
    let dash = |from: usize| at(text, from, |c| c == '-');
    let fits = group(0, 1) && dash(1) && group(2, 3) && dash(5) && group(6, 3) && dash(9);
    (fits && group(10, 4)).then(|| Found::plain(14))
}
