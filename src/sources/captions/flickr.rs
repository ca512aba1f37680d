//! `name.jpg#0<TAB>text`, `name<TAB>text`, and flickr8kcn's `name.jpg#zhb#0 text`.

use std::io::{self, BufRead};

use super::collector::{Collector, Found};
use crate::base::units::Bytes;
use crate::flow::RejectClass;
use crate::sources::lines::Lines;
use crate::sources::names::Named;

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
            out.reject(member, line.offset, None, RejectClass::OverCap, why, None);
            continue;
        }
        if line.bytes.trim_ascii().is_empty() {
            continue;
        }
        let Ok(text) = std::str::from_utf8(line.bytes) else {
            let why = "it is no UTF-8".to_string();
            let class = RejectClass::BadText;
            out.reject(member, line.offset, None, class, why, Some(line.bytes));
            continue;
        };
        match parts(text) {
            Ok((image, index, text)) => {
                let (offset, raw) = (line.offset, line.bytes);
                let named = Named::Text;
                out.add(member, &Found { image, named, index, text, split: None, offset, raw });
            }
            Err(why) => out.bad_line(member, line.offset, why, line.bytes),
        }
    }
    Ok(())
}

/// Name of the image, number of the caption, text. Captions hold `#` and spaces, so the id
/// ends at the tab first and is split at its own last `#`.
fn parts(line: &str) -> Result<(&str, Option<i32>, &str), String> {
    if let Some((id, text)) = line.split_once('\t') {
        let Some((name, digits)) = id.rsplit_once('#').filter(|(_, d)| is_number(d)) else {
            return Ok((id.trim(), None, text));
        };
        return Ok((without_language(name).trim(), Some(number(digits)?), text));
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
            return Ok((without_language(name).trim(), Some(number(digits)?), text));
        }
        before += 1;
        rest = tail;
    }
    Err(expected())
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(digits: &str) -> Result<i32, String> {
    digits
        .parse()
        .map_err(|cause: std::num::ParseIntError| format!("its number {digits} is none: {cause}"))
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
}
