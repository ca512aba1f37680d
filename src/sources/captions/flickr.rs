//! `name.jpg#0<TAB>text`, `name<TAB>text`, and flickr8kcn's `name.jpg#zhb#0 text`.

use std::io::{self, BufRead};

use super::collector::{Collector, Found};
use crate::base::units::Bytes;
use crate::flow::RejectClass;
use crate::sources::lines::Lines;
use crate::sources::names::{Named, is_image};

pub(super) fn read(
    reader: &mut dyn BufRead,
    member: &str,
    cap_bytes: u64,
    out: &mut Collector<'_>,
) -> io::Result<()> {
    let mut lines = Lines::new(reader, cap_bytes);
    while !out.is_closed()
        && let Some(line) = lines.next_line()?
    {
        if line.over {
            let why = format!("it is longer than the cap of {}", Bytes(cap_bytes));
            let id = image_before_tab(line.bytes).and_then(|name| out.id_of(name, Named::Text));
            out.reject(member, line.offset, id, RejectClass::OverCap, why, None);
            continue;
        }
        if line.bytes.trim_ascii().is_empty() {
            continue;
        }
        let Ok(text) = std::str::from_utf8(line.bytes) else {
            let why = "it is no UTF-8".to_string();
            let class = RejectClass::BadText;
            let id = image_before_tab(line.bytes).and_then(|name| out.id_of(name, Named::Text));
            out.reject(member, line.offset, id, class, why, Some(line.bytes));
            continue;
        };
        match parts(text) {
            Ok((image, index, text)) => {
                let (offset, raw) = (line.offset, line.bytes);
                let (named, split, item) = (Named::Text, None, None);
                out.add(member, &Found { image, named, index, text, split, offset, raw, item });
            }
            Err((image, why)) => {
                let image = image.map(|name| (name, Named::Text));
                out.bad_line(member, line.offset, image, why, line.bytes);
            }
        }
    }
    Ok(())
}

/// Why a line has no parts, and the name of its image if that can be told.
type NoParts<'l> = (Option<&'l str>, String);

/// Name of the image, number of the caption, text. Captions hold `#` and spaces, so the id
/// ends at the tab first and is split at its own last `#`.
fn parts(line: &str) -> Result<(&str, Option<i32>, &str), NoParts<'_>> {
    if let Some((id, text)) = line.split_once('\t') {
        let (name, digits) = split_id(id);
        let Some(digits) = digits else { return Ok((name, None, text)) };
        return number(digits).map(|at| (name, Some(at), text)).map_err(|why| (Some(name), why));
    }
    let expected = || "expected `name.jpg#0<TAB>text` or `name.jpg#zhb#0 text`".to_string();
    // without a tab only an id with a language ends surely at its number
    let mut rest = line;
    let mut before = 0;
    while let Some((head, tail)) = rest.split_once('#') {
        before += head.len();
        let (digits, text) = tail.split_once(' ').unwrap_or((tail, ""));
        let name = line.get(..before).unwrap_or_default();
        if is_number(digits) && without_language(name) != name {
            let name = without_language(name).trim();
            return number(digits)
                .map(|at| (name, Some(at), text))
                .map_err(|why| (Some(name), why));
        }
        before += 1;
        rest = tail;
    }
    Err((None, expected()))
}

/// The name in an id, and what should be the caption's number: what follows the last `#`, where it is
/// one or the name of an image has ended before it.
fn split_id(id: &str) -> (&str, Option<&str>) {
    match id.rsplit_once('#') {
        Some((name, digits)) => {
            let name = without_language(name).trim();
            let is_image = |name| is_image(name, Named::Text);
            if is_number(digits) || (is_image(name) && !is_image(id.trim())) {
                return (name, Some(digits));
            }
            (id.trim(), None)
        }
        None => (id.trim(), None),
    }
}

/// The name of the image in a line whose text is unusable.
fn image_before_tab(line: &[u8]) -> Option<&str> {
    let end = line.iter().position(|byte| *byte == b'\t')?;
    let id = std::str::from_utf8(line.get(..end)?).ok()?;
    Some(split_id(id).0)
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(digits: &str) -> Result<i32, String> {
    if !is_number(digits) {
        return Err(format!("expected a caption's number behind `#`, got `{digits}`"));
    }
    digits
        .parse()
        .map_err(|cause: std::num::ParseIntError| format!("its number `{digits}` is none: {cause}"))
}

/// `name.jpg#zhb` is the image `name.jpg` in a language.
fn without_language(name: &str) -> &str {
    match name.rsplit_once('#') {
        Some((bare, language))
            if (2..=8).contains(&language.len())
                && language.bytes().all(|byte| byte.is_ascii_lowercase()) =>
        {
            bare
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_end_at_the_tab_and_split_at_their_last_hash() {
        assert_eq!(parts("1.jpg#2\ta # b\tc").unwrap(), ("1.jpg", Some(2), "a # b\tc"));
        assert_eq!(parts("36979\ttext").unwrap(), ("36979", None, "text"));
        assert_eq!(parts("a#b.jpg#0\tx").unwrap(), ("a#b.jpg", Some(0), "x"));
        assert_eq!(parts("a#b.jpg\tx").unwrap(), ("a#b.jpg", None, "x"));
        assert_eq!(parts("x.jpg.1#0\ty").unwrap(), ("x.jpg.1", Some(0), "y"));
    }

    #[test]
    fn chinese_ids_end_at_a_space() {
        assert_eq!(parts("1_a.jpg#zhb#0 一个 女孩").unwrap(), ("1_a.jpg", Some(0), "一个 女孩"));
        assert_eq!(parts("1_a.jpg#zhb#3\t女孩").unwrap(), ("1_a.jpg", Some(3), "女孩"));
        assert_eq!(parts("1.jpg#enc#1 a #1 b").unwrap(), ("1.jpg", Some(1), "a #1 b"));
        assert_eq!(parts("1_a.jpg#zhb#4").unwrap(), ("1_a.jpg", Some(4), ""));
    }

    #[test]
    fn what_has_no_parts_says_so() {
        for line in ["no tab here", "1.jpg#0 text", "#", "1.jpg#99999999999\tx"] {
            assert!(parts(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_follows_the_name_of_an_image_is_its_captions_number() {
        for line in ["1.jpg#x\tb", "1.jpg#-1\tb", "1.jpg#\tb", "1.jpg#zhb#x\tb", "1.jpg#0 \tb"] {
            assert_eq!(parts(line).unwrap_err().0, Some("1.jpg"), "{line}");
        }
        for id in ["a#b.jpg", "a#x", "1.jpg#2.jpg", "2258277193_586949ec62.jpg.1"] {
            assert_eq!(parts(&format!("{id}\tb")), Ok((id, None, "b")));
        }
    }

    #[test]
    fn a_line_whose_text_is_unusable_has_its_image_before_the_tab() {
        assert_eq!(image_before_tab(b"1.jpg#1\t\xff"), Some("1.jpg"));
        assert_eq!(image_before_tab(b"1\t\xff"), Some("1"));
        assert_eq!(image_before_tab(b"\xff\tx"), None);
        assert_eq!(image_before_tab(b"no tab \xff"), None);
    }
}
