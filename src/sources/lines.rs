//! Lines of a text, none longer than a cap.

use std::io::{self, BufRead, Read};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads lines with their offsets.
pub(crate) struct Lines<'a> {
    reader: &'a mut dyn BufRead,
    cap_bytes: u64,
    offset: u64,
    line: Vec<u8>,
}

/// One line, without its end.
pub(crate) struct Line<'a> {
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
    /// Whether it was longer than the cap: `bytes` are its beginning.
    pub(crate) over: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(reader: &'a mut dyn BufRead, cap_bytes: u64) -> Self {
        Self { reader, cap_bytes, offset: 0, line: Vec::new() }
    }

    /// The next line; a byte order mark in front of the first is left out.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let offset = self.offset;
        let most = self.cap_bytes.saturating_add(2);
        let read = (&mut *self.reader).take(most).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.offset += read as u64;
        let ended = self.line.ends_with(b"\n");
        let mut bytes = self.line.as_slice();
        if ended {
            bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        } else if read as u64 == most {
            self.offset += self.reader.skip_until(b'\n')? as u64;
        }
        if offset == 0 {
            bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
        }
        let over = bytes.len() as u64 > self.cap_bytes;
        Ok(Some(Line { offset, bytes, over }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], cap: u64) -> Vec<(u64, String, bool)> {
        let mut reader = text;
        let mut lines = Lines::new(&mut reader, cap);
        let mut out = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let text = String::from_utf8_lossy(line.bytes).into_owned();
            out.push((line.offset, text, line.over));
        }
        out
    }

    #[test]
    fn ends_and_marks_are_no_part_of_a_line() {
        let lines = all(b"\xef\xbb\xbfab\r\n\nc\rd", 10);
        assert_eq!(
            lines,
            [(0, "ab".into(), false), (7, String::new(), false), (8, "c\rd".into(), false)]
        );
    }

    #[test]
    fn a_long_line_is_passed_over() {
        let lines = all(b"abcdefgh\nij\nabcde", 4);
        let over: Vec<_> = lines.iter().map(|(at, _, over)| (*at, *over)).collect();
        assert_eq!(over, [(0, true), (9, false), (12, true)]);
        assert_eq!(all(b"abcd\r\nefgh", 4).len(), 2);
    }
}
