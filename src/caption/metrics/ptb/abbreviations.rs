//! Words that keep the full stop behind them.

use super::shapes::{Found, at, is_digit, is_gap, is_letter, run};

/// In any case, wherever they stand. Sorted.
const ALWAYS: &[&str] = &[
    "adm", "al", "ala", "apr", "ariz", "assn", "assoc", "asst", "aug", "ave", "bhd", "bldg",
    "blvd", "bros", "calif", "capt", "cf", "cmdr", "co", "col", "colo", "conn", "corp", "cos",
    "cpl", "ct", "dec", "dept", "dr", "elec", "esq", "est", "etc", "ext", "feb", "fla", "fri",
    "ft", "ga", "gen", "gov", "hon", "inc", "ind", "intl", "invt", "jan", "jr", "jul", "jun",
    "kan", "kans", "ky", "lt", "ltd", "maj", "mar", "md", "messrs", "mfg", "mich", "minn", "mlle",
    "mme", "mo", "mon", "mont", "mr", "mrs", "ms", "msgr", "mt", "mtg", "natl", "neb", "nev",
    "nov", "oct", "okla", "penn", "pfc", "ph", "plc", "pres", "prof", "pty", "pvt", "rd", "rep",
    "reps", "rev", "sen", "sens", "sep", "sept", "sgt", "spc", "sq", "sr", "st", "ste", "supt",
    "tel", "tenn", "thu", "thurs", "treas", "tue", "tues", "univ", "va", "vs", "vt", "wed", "wis",
    "wisc", "wyo",
];

/// Only with a capital, since small they are other words. Sorted.
const CAPITAL: &[&str] = &["Ark", "Del", "Ill", "La", "Mass", "Miss", "Ore", "Pa", "Tex", "Wash"];

/// Only before a number. Sorted.
const NUMBERED: &[&str] = &["art", "ca", "fig", "figs", "no", "nos", "op", "pp", "prop"];

/// Words that begin a sentence: before them a single letter gives up its full stop. Sorted.
const BEGINS: &[&str] = &[
    "A",
    "About",
    "According",
    "After",
    "An",
    "As",
    "At",
    "But",
    "He",
    "Her",
    "Here",
    "However",
    "If",
    "In",
    "It",
    "Last",
    "Many",
    "More",
    "Now",
    "Once",
    "One",
    "Other",
    "Our",
    "She",
    "Since",
    "So",
    "Some",
    "Such",
    "That",
    "The",
    "Their",
    "Then",
    "There",
    "These",
    "They",
    "This",
    "We",
    "What",
    "When",
    "While",
    "Yet",
    "You",
];

/// An abbreviation with its full stop.
pub(super) fn rule(text: &[char]) -> Option<Found> {
    let letters = run(text, |c| c.is_ascii_alphabetic());
    if letters == 0 || letters > 7 || text.get(letters) != Some(&'.') {
        return None;
    }
    let word: String = text.iter().take(letters).collect();
    let small = word.to_ascii_lowercase();
    let known = |list: &[&str], word: &str| list.binary_search(&word).is_ok();
    let stop = letters + 1;
    let initial = letters == 1 && !sentence_next(text, stop);
    if initial || known(ALWAYS, &small) || (known(CAPITAL, &word) && !capital_next(text, stop)) {
        return Some(Found::plain(stop));
    }
    let gaps = run(text.get(stop..).unwrap_or_default(), is_gap);
    (known(NUMBERED, &small) && at(text, stop + gaps, is_digit))
        .then(|| Found::before(stop, stop + gaps + 1))
}

/// A sentence seems to begin behind, or the text is over.
fn capital_next(text: &[char], from: usize) -> bool {
    let rest = text.get(from..).unwrap_or_default();
    let gaps = run(rest, is_gap);
    rest.get(gaps).is_none_or(|&c| is_letter(c) && c.is_uppercase())
}

/// A word of [`BEGINS`] stands behind.
fn sentence_next(text: &[char], from: usize) -> bool {
    let rest = text.get(from..).unwrap_or_default();
    let gaps = run(rest, is_gap);
    let word = rest.get(gaps..).unwrap_or_default();
    let word: String = word.iter().take_while(|&&c| is_letter(c)).take(10).collect();
    gaps > 0 && BEGINS.binary_search(&word.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [ALWAYS, CAPITAL, NUMBERED, BEGINS] {
            assert!(list.is_sorted());
        }
    }
}
