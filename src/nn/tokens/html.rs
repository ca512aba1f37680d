//! Python's `html.unescape`: HTML 5's rules for character references, valid or not.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Name (with its `;` where it has one) and text, from `html.entities.html5`.
static NAMED: LazyLock<BTreeMap<&'static str, String>> = LazyLock::new(|| {
    include_str!("html5.tsv")
        .lines()
        .filter_map(|line| {
            let (name, text) = line.split_once('\t')?;
            let code = |hex| char::from_u32(u32::from_str_radix(hex, 16).ok()?);
            Some((name, text.split(' ').map(code).collect::<Option<String>>()?))
        })
        .collect()
});

/// What browsers make of references to the C1 range: Windows-1252.
const WINDOWS_1252: [u32; 32] = [
    0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039,
    0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc,
    0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178,
];

/// Replaces every character reference once.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        rest = match reference(after) {
            Some((replacement, tail)) => {
                out.push_str(&replacement);
                tail
            }
            None => {
                out.push('&');
                after
            }
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The replacement of the reference that starts `after` its ampersand, and what follows it.
fn reference(after: &str) -> Option<(String, &str)> {
    if let Some(number) = after.strip_prefix('#') {
        let (digits, radix) = match number.strip_prefix(['x', 'X']) {
            Some(hex) => (hex, 16),
            None => (number, 10),
        };
        let length = digits.bytes().take_while(|b| char::from(*b).is_digit(radix)).count();
        let (digits, tail) = digits.split_at_checked(length)?;
        if digits.is_empty() {
            return None;
        }
        // Too long for 32 bits is too large for Unicode.
        let code = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
        return Some((numbered(code), tail.strip_prefix(';').unwrap_or(tail)));
    }
    let ends = |c: char| matches!(c, '\t' | '\n' | '\x0c' | ' ' | '<' | '&' | '#' | ';');
    let length: usize = after.chars().take_while(|c| !ends(*c)).take(32).map(char::len_utf8).sum();
    let (name, tail) = after.split_at_checked(length)?;
    if let Some(tail) = tail.strip_prefix(';') {
        let closed = format!("{name};");
        if let Some(text) = NAMED.get(closed.as_str()) {
            return Some((text.clone(), tail));
        }
    }
    // The longest known beginning of at least two characters.
    let cuts: Vec<usize> = name.char_indices().map(|(at, _)| at).skip(2).collect();
    cuts.into_iter().chain([name.len()]).rev().find_map(|cut| {
        let text = NAMED.get(name.get(..cut)?)?;
        Some((text.clone(), after.get(cut..)?))
    })
}

fn numbered(code: u32) -> String {
    let windows = code.checked_sub(0x80).and_then(|i| WINDOWS_1252.get(usize::try_from(i).ok()?));
    let code = match code {
        0 => 0xfffd,
        0x0d => 0x0d,
        0x80..=0x9f => windows.copied().unwrap_or(0xfffd),
        1..=8 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => return String::new(),
        _ if code & 0xfffe == 0xfffe && code <= 0x10_ffff => return String::new(),
        _ => code,
    };
    char::from_u32(code).unwrap_or('\u{fffd}').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_as_python_reads_them() {
        // Right-hand sides printed by Python 3.13's html.unescape.
        for (text, want) in [
            ("a &amp; b &lt;c&gt;", "a & b <c>"),
            ("&quot;x&quot;&nbsp;&hellip;", "\"x\"\u{a0}…"),
            ("&#39;&#x27;&#X2764;&#10084", "''❤❤"),
            ("&ampamp; &amp;amp;", "&amp; &amp;"),
            ("&notit; &notin; &notanything", "¬it; ∉ ¬anything"),
            ("&#0;&#128;&#x99;&#xd800;&#99999999999;", "\u{fffd}€™\u{fffd}\u{fffd}"),
            ("&#1;&#xfffe;|&#129;", "|\u{81}"),
            ("&unknown; & && &; &# &#x; &#xg", "&unknown; & && &; &# &#x; &#xg"),
            ("AT&T &copy2024 &Eacute;", "AT&T ©2024 É"),
            ("两&只&amp;狗", "两&只&狗"),
        ] {
            assert_eq!(unescape(text), want, "{text}");
        }
    }
}
