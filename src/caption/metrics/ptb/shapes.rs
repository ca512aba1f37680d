//! What a run of characters is made of.

/// What a rule found at the head of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Characters that become the token.
    pub(super) take: usize,
    /// Characters that were looked at, what follows the token included; the longest wins.
    pub(super) seen: usize,
    /// What the token says, where it is not the text itself; empty for no token at all.
    pub(super) says: Option<&'static str>,
}

impl Found {
    /// The next `take` characters as they are.
    pub(super) fn plain(take: usize) -> Self {
        Self { take, seen: take, says: None }
    }

    /// The next `take` characters, told apart by what follows up to `seen`.
    pub(super) fn before(take: usize, seen: usize) -> Self {
        Self { take, seen, says: None }
    }

    /// The next `take` characters, written otherwise.
    pub(super) fn says(take: usize, says: &'static str) -> Self {
        Self { take, seen: take, says: Some(says) }
    }
}

/// Letters and the marks that sit on them.
pub(super) fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !matches!(c, 'ª' | 'º') || is_mark(c)
}

fn is_mark(c: char) -> bool {
    matches!(u32::from(c), 0x300..=0x36f | 0x483..=0x487 | 0x591..=0x5c7 | 0x64b..=0x652
        | 0x900..=0x903 | 0x93a..=0x94f | 0xe31..=0xe4e | 0xad)
}

/// ASCII digits and those of other scripts.
pub(super) fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric() && !is_fraction(c) && !is_enclosed(c))
}

fn is_enclosed(c: char) -> bool {
    matches!(u32::from(c), 0xb2 | 0xb3 | 0xb9 | 0x2070..=0x20ff | 0x2460..=0x24ff | 0x2776..=0x2793)
}

/// One character that stands for a fraction.
pub(super) fn is_fraction(c: char) -> bool {
    fraction(c).is_some()
}

/// How a one-character fraction is written out.
pub(super) fn fraction(c: char) -> Option<&'static str> {
    Some(match c {
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        '⅓' => "1/3",
        '⅔' => "2/3",
        _ => return None,
    })
}

pub(super) fn is_alnum(c: char) -> bool {
    is_letter(c) || is_digit(c)
}

/// An apostrophe, straight or curled.
pub(super) fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | '\u{92}')
}

/// Space as Python's `str.split` sees it, and what parts words without being seen.
pub(super) fn is_gap(c: char) -> bool {
    c.is_whitespace() || matches!(u32::from(c), 0x1c..=0x1f | 0x200b | 0xfeff)
}

/// How many characters at the head of `text` are `of` a kind.
pub(super) fn run(text: &[char], of: impl Fn(char) -> bool) -> usize {
    text.iter().take_while(|&&c| of(c)).count()
}

/// Whether `text` begins with `word`, letters compared without case; `'` also stands for `’`.
pub(super) fn begins(text: &[char], word: &str) -> bool {
    let mut at = text.iter();
    word.chars().all(|expected| {
        at.next().is_some_and(|&c| {
            c.eq_ignore_ascii_case(&expected) || expected == '\'' && is_apostrophe(c)
        })
    })
}

/// The character at `at` is of a kind; `false` at the end of the text.
pub(super) fn at(text: &[char], at: usize, is: impl Fn(char) -> bool) -> bool {
    text.get(at).is_some_and(|&c| is(c))
}
