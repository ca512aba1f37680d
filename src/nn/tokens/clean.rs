//! What OpenAI's tokenizer does to a text first: `ftfy.fix_text`, `html.unescape` twice, white
//! space to single spaces, lower case (`clip/simple_tokenizer.py`).
//!
//! Of ftfy 6.3 this does: HTML entities (unless the line holds `<`), Latin ligatures, full- and
//! half-width forms, curly quotes, line breaks, terminal escapes, control characters, NFC. It
//! does **not** repair mojibake (`fix_encoding`, `fix_c1_controls`: text that was decoded with
//! the wrong character set, such as `cafÃ©`), nor ftfy's all-capital entity names (`&EACUTE;`).

use tokenizers::NormalizedString;

use super::html::unescape;

/// The cleaned text.
pub(super) fn clean(text: &str) -> String {
    let fixed: String = text.split_inclusive('\n').map(fix).collect();
    let once = unescape(&fixed);
    let twice = unescape(&once);
    twice.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// `ftfy.fix_and_explain` of one line, to its fixed point.
fn fix(line: &str) -> String {
    let mut text = line.to_owned();
    if text.is_ascii() && !text.contains('&') && !text.bytes().any(is_odd) {
        return text;
    }
    let entities = !line.contains('<');
    loop {
        let mut next = if entities { unescape_closed(&text) } else { text.clone() };
        next = remove_terminal_escapes(&simple(&next));
        next.retain(|c| !is_control(c));
        let mut normal = NormalizedString::from(next.as_str());
        normal.nfc();
        next = normal.get().to_owned();
        if next == text {
            return next;
        }
        text = next;
    }
}

fn is_odd(byte: u8) -> bool {
    byte < b' ' && !matches!(byte, b'\t' | b'\n')
}

/// Entities with their semicolon, as ftfy takes them; others are left to `html.unescape`.
fn unescape_closed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let body = after.strip_prefix('#').unwrap_or(after);
        let length = body.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let end = after.len() - body.len() + length;
        let closed = (1..=24).contains(&length)
            && after.get(end..).is_some_and(|tail| tail.starts_with(';'));
        match after.split_at_checked(end + 1) {
            Some((name, tail)) if closed => {
                let entity = format!("&{name}");
                let replaced = unescape(&entity);
                // ftfy leaves alone what only begins like an entity.
                out.push_str(if replaced.ends_with(';') { &entity } else { &replaced });
                rest = tail;
            }
            _ => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Ligatures, widths, quotes and line breaks: one character becomes one or a few.
fn simple(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{0132}'
            | '\u{0133}'
            | '\u{0149}'
            | '\u{01c4}'..='\u{01cc}'
            | '\u{01f1}'..='\u{01f3}'
            | '\u{fb00}'..='\u{fb06}' => out.push_str(ligature(c)),
            '\u{3000}' => out.push(' '),
            '\u{ff01}'..='\u{ffef}' => {
                let mut form = NormalizedString::from(c.to_string().as_str());
                form.nfkc();
                out.push_str(form.get());
            }
            '\u{02bc}' | '\u{2018}'..='\u{201b}' => out.push('\''),
            '\u{201c}'..='\u{201f}' => out.push('"'),
            '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            other => out.push(other),
        }
    }
    out
}

/// ftfy's `LIGATURES`; not NFKC, which would give `ſt` and `ʼn` other forms.
fn ligature(c: char) -> &'static str {
    match c {
        '\u{0132}' => "IJ",
        '\u{0133}' => "ij",
        '\u{0149}' => "'n",
        '\u{01f1}' => "DZ",
        '\u{01f2}' => "Dz",
        '\u{01f3}' => "dz",
        '\u{01c4}' => "DŽ",
        '\u{01c5}' => "Dž",
        '\u{01c6}' => "dž",
        '\u{01c7}' => "LJ",
        '\u{01c8}' => "Lj",
        '\u{01c9}' => "lj",
        '\u{01ca}' => "NJ",
        '\u{01cb}' => "Nj",
        '\u{01cc}' => "nj",
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' => "ſt",
        _ => "st",
    }
}

/// ANSI colours and the like: `ESC [ digits and semicolons, letter`.
fn remove_terminal_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        let tail = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match tail.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
            Some(tail) => rest = tail,
            None => {
                out.push_str("\u{1b}[");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// ftfy's `CONTROL_CHARS`.
fn is_control(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{206a}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffc}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_what_ftfy_and_openai_make_of_them() {
        // Right-hand sides printed by open_clip's `_clean_lower`, with ftfy 6.3.
        for (text, want) in [
            ("  Two\tDogs \u{a0} play\n", "two dogs play"),
            ("the dog\u{2019}s \u{201c}ball\u{201d}", "the dog's \"ball\""),
            ("ﬁne ＡＢＣ，两只狗。\u{3000}x", "fine abc,两只狗。 x"),
            ("&amp;amp; &lt;b&gt; <i>&eacute;</i>", "& <b> <i>é</i>"),
            ("cafe\u{301} \u{1b}[31mred\u{1b}[0m \u{feff}x", "café red x"),
            ("ΟΔΟΣ İ ŒUVRE", "οδος i\u{307} œuvre"),
            ("a\r\nb\u{2028}c", "a b c"),
        ] {
            assert_eq!(clean(text), want, "{text:?}");
        }
    }
}
