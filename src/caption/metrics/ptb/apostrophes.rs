//! Contractions, and words with an apostrophe in them.

use super::shapes::{Found, at, begins, is_alnum, is_apostrophe, is_letter, run};

/// Words that fall in two; the first part's length, and the whole.
const HALVED: &[(usize, &str)] =
    &[(3, "cannot"), (3, "gonna"), (3, "gotta"), (3, "lemme"), (3, "gimme"), (3, "wanna")];

/// Words kept whole with their apostrophe.
const WHOLE: &[&str] = &[
    "'em",
    "'till",
    "'til",
    "'cause",
    "somethin'",
    "dunkin'",
    "ol'",
    "cap'n",
    "c'mon",
    "s'mores",
    "e'er",
    "ev'ry",
    "li'l",
    "nat'l",
    "nor'easter",
    "cont'd",
    "'n'",
    "'n",
];

const ENDINGS: &[&str] = &["'s", "'m", "'d", "'ll", "'re", "'ve"];

/// All rules of this file; the longest reading.
pub(super) fn rule(text: &[char]) -> Option<Found> {
    let first = *text.first()?;
    if !first.is_ascii_alphabetic() && !is_apostrophe(first) {
        return None;
    }
    let mut best: Option<Found> = None;
    let mut offer = |found: Option<Found>| {
        if let Some(found) = found
            && best.as_ref().is_none_or(|best| found.seen > best.seen)
        {
            best = Some(found);
        }
    };
    offer(halved(text));
    offer(ending(text));
    offer(it_is(text));
    offer(decade(text));
    for word in WHOLE {
        offer(begins(text, word).then(|| Found::plain(word.chars().count())));
    }
    offer(elided(text));
    offer(inside(text));
    offer(before_not(text));
    offer(not(text));
    offer(opening(text));
    best
}

/// `gonna` → `gon na`.
fn halved(text: &[char]) -> Option<Found> {
    let (take, whole) = HALVED.iter().find(|(_, whole)| begins(text, whole))?;
    let seen = whole.len();
    (!at(text, seen, is_alnum)).then(|| Found::before(*take, seen))
}

/// `'s`, `'ll` and their like, which end a word.
fn ending(text: &[char]) -> Option<Found> {
    let word = ENDINGS.iter().find(|word| begins(text, word))?;
    let take = word.len();
    (!at(text, take, is_letter)).then(|| Found::before(take, take + 1))
}

/// `'tis` → `'t is`, and `'twas`.
fn it_is(text: &[char]) -> Option<Found> {
    if begins(text, "'twas") {
        return Some(Found::before(2, 5));
    }
    begins(text, "'tis").then(|| Found::before(2, 4))
}

/// `'60s` and `'99`.
fn decade(text: &[char]) -> Option<Found> {
    if !is_apostrophe(*text.first()?) {
        return None;
    }
    let round = at(text, 1, |c| matches!(c, '2'..='9')) && at(text, 2, |c| c == '0');
    if round && at(text, 3, |c| matches!(c, 's' | 'S')) {
        return Some(Found::plain(4));
    }
    let digit = |place: usize| at(text, place, |c| c.is_ascii_digit());
    (digit(1) && digit(2) && !at(text, 3, |c| is_alnum(c) || c == '"')).then(|| Found::plain(3))
}

/// `l'`, `d'`, `j'` and `y'` before a word, and `O'Brien`.
fn elided(text: &[char]) -> Option<Found> {
    let first = *text.first()?;
    if !at(text, 1, is_apostrophe) {
        return None;
    }
    let letters = run(text.get(2..)?, is_letter);
    let joins = matches!(first, 'A'..='H' | 'J'..='X' | 'Z' | 'n' | 'o' | 'l' | 'd');
    if joins && letters >= 2 {
        return Some(Found::plain(2 + letters));
    }
    let elides = matches!(first, 'l' | 'L' | 'd' | 'D' | 'j' | 'J')
        || matches!(first, 'y' | 'Y') && letters > 0;
    (elides && ending(text.get(1..)?).is_none()).then(|| Found::plain(2))
}

/// `ma'am`: vowels on both sides.
fn inside(text: &[char]) -> Option<Found> {
    let letters = run(text, is_letter);
    let vowel = |c: char| matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u' | 'y');
    let starts = |c: char| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'A'..='Z');
    let fits = letters >= 2
        && at(text, letters - 1, vowel)
        && at(text, letters, is_apostrophe)
        && at(text, letters + 1, starts);
    if !fits {
        return None;
    }
    let more = run(text.get(letters + 1..)?, is_letter);
    // All capitals are shouted contractions: IT'S, WE'LL.
    let tail = text.get(letters..letters + 1 + more)?;
    let contraction = ENDINGS.iter().any(|e| begins(tail, e) && e.len() == tail.len());
    (!contraction).then(|| Found::plain(letters + 1 + more))
}

/// `do` of `don't`.
fn before_not(text: &[char]) -> Option<Found> {
    let letters = run(text, is_letter);
    let take = letters.checked_sub(1)?;
    (take > 0 && not(text.get(take..)?).is_some()).then(|| Found::before(take, take + 3))
}

/// `n't`; the reference also takes a grave accent there.
fn not(text: &[char]) -> Option<Found> {
    let fits = at(text, 0, |c| matches!(c, 'n' | 'N'))
        && at(text, 1, |c| is_apostrophe(c) || c == '`')
        && at(text, 2, |c| matches!(c, 't' | 'T'))
        && !at(text, 3, is_letter);
    fits.then(|| Found::before(3, 4))
}

/// A quotation mark before a word, which is punctuation.
fn opening(text: &[char]) -> Option<Found> {
    let fits = is_apostrophe(*text.first()?)
        && at(text, 1, |c| c.is_ascii_alphabetic())
        && at(text, 2, |c| !c.is_whitespace());
    fits.then_some(Found { take: 1, seen: 3, says: Some("'") })
}
