//! Elements of arrays in a large JSON object, one at a time, with their offsets: the file is
//! never held whole, no element is larger than a cap, and a bad element costs only itself.

use std::io::{self, BufRead};

/// What an array's element is, as its bytes.
pub(super) struct Element<'a> {
    /// Which of the wanted arrays it stands in.
    pub(super) array: usize,
    pub(super) offset: u64,
    /// Its bytes; of one over the cap, the beginning.
    pub(super) bytes: &'a [u8],
    pub(super) over: bool,
}

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum Stop {
    Io(io::Error),
    /// No JSON from here on.
    Syntax {
        offset: u64,
        expected: &'static str,
    },
}

impl From<io::Error> for Stop {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

/// Calls `each` for every element of the top-level arrays that are named `arrays`.
pub(super) fn elements(
    reader: &mut dyn BufRead,
    arrays: &[&str],
    cap_bytes: u64,
    each: &mut dyn FnMut(Element<'_>),
) -> Result<(), Stop> {
    let mut scanner = Scanner { reader, offset: 0, cap_bytes, value: Vec::new(), over: false };
    scanner.expect(b'{', "an object")?;
    if scanner.peek()? == Some(b'}') {
        return scanner.rest();
    }
    loop {
        scanner.peek()?;
        scanner.value(true)?;
        let key = serde_json::from_slice::<String>(&scanner.value).ok();
        scanner.expect(b':', "`:`")?;
        let array = arrays.iter().position(|name| Some(*name) == key.as_deref());
        match (array, scanner.peek()?) {
            (Some(array), Some(b'[')) => scanner.array(array, each)?,
            _ => scanner.value(false)?,
        }
        match scanner.next()? {
            Some(b',') => {}
            Some(b'}') => return scanner.rest(),
            _ => return Err(scanner.syntax("`,` or `}`")),
        }
    }
}

struct Scanner<'a> {
    reader: &'a mut dyn BufRead,
    offset: u64,
    cap_bytes: u64,
    value: Vec<u8>,
    over: bool,
}

impl Scanner<'_> {
    /// Reads to the end: only there is the checksum of what is packed looked at.
    fn rest(&mut self) -> Result<(), Stop> {
        loop {
            let held = self.reader.fill_buf()?.len();
            if held == 0 {
                return Ok(());
            }
            self.reader.consume(held);
        }
    }

    fn syntax(&self, expected: &'static str) -> Stop {
        Stop::Syntax { offset: self.offset, expected }
    }

    /// The next byte that is no white space, not consumed.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let bom = |at: &usize, byte: u8| {
                self.offset + (*at as u64) < 3 && matches!(byte, 0xef | 0xbb | 0xbf)
            };
            let skip = chunk
                .iter()
                .enumerate()
                .find(|(at, byte)| !byte.is_ascii_whitespace() && !bom(at, **byte))
                .map_or(chunk.len(), |(at, _)| at);
            let found = chunk.get(skip).copied();
            self.reader.consume(skip);
            self.offset += skip as u64;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.reader.consume(1);
            self.offset += 1;
        }
        Ok(byte)
    }

    fn expect(&mut self, wanted: u8, expected: &'static str) -> Result<(), Stop> {
        if self.peek()? == Some(wanted) {
            self.next()?;
            return Ok(());
        }
        Err(self.syntax(expected))
    }

    fn array(&mut self, array: usize, each: &mut dyn FnMut(Element<'_>)) -> Result<(), Stop> {
        self.next()?;
        if self.peek()? == Some(b']') {
            self.next()?;
            return Ok(());
        }
        loop {
            self.peek()?;
            let offset = self.offset;
            self.value(true)?;
            each(Element { array, offset, bytes: &self.value, over: self.over });
            match self.next()? {
                Some(b',') => {}
                Some(b']') => return Ok(()),
                _ => return Err(self.syntax("`,` or `]`")),
            }
        }
    }

    /// Passes one value and, if asked, keeps its bytes. Only its extent is found; whether it
    /// is well formed inside is its reader's business.
    fn value(&mut self, keep: bool) -> Result<(), Stop> {
        self.value.clear();
        self.over = false;
        let (mut depth, mut in_string, mut escaped, mut any) = (0_u64, false, false, false);
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                return Err(self.syntax("more: the file ends too early"));
            }
            let mut used = 0;
            let mut done = false;
            for byte in chunk {
                if !in_string && depth == 0 && matches!(byte, b',' | b']' | b'}' | b':') {
                    done = true;
                    break;
                }
                used += 1;
                any = true;
                if in_string {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => in_string = false,
                        _ => continue,
                    }
                } else {
                    match byte {
                        b'"' => in_string = true,
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => continue,
                    }
                }
                if !in_string && depth == 0 && matches!(byte, b'"' | b'}' | b']') {
                    done = true;
                    break;
                }
            }
            if keep {
                let room = usize::try_from(self.cap_bytes).unwrap_or(usize::MAX);
                let room = room.saturating_sub(self.value.len());
                self.over |= used > room;
                self.value.extend(chunk.iter().take(used.min(room)));
            }
            self.reader.consume(used);
            self.offset += used as u64;
            if done {
                return if any { Ok(()) } else { Err(self.syntax("a value")) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = (usize, u64, String, bool);

    fn all(text: &str, cap: u64) -> (Vec<Found>, Option<u64>) {
        let mut found = Vec::new();
        // a tiny buffer, so that values span several
        let mut reader = io::BufReader::with_capacity(3, text.as_bytes());
        let stop = elements(&mut reader, &["a", "b"], cap, &mut |e| {
            found.push((e.array, e.offset, String::from_utf8_lossy(e.bytes).into(), e.over));
        });
        let at = match stop {
            Ok(()) => None,
            Err(Stop::Syntax { offset, .. }) => Some(offset),
            Err(Stop::Io(cause)) => panic!("{cause}"),
        };
        (found, at)
    }

    #[test]
    fn elements_have_their_place() {
        let text = r#"{"x": [1, {"a": [9]}], "a" : [ {"t":"]},\""} , 2 ], "n": -1.5, "b": []}"#;
        let (found, stop) = all(text, 100);
        assert_eq!(stop, None);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].2, r#"{"t":"]},\""}"#);
        assert_eq!(text.find(r#"{"t""#), usize::try_from(found[0].1).ok());
        assert_eq!(found[1].2.trim(), "2");
    }

    #[test]
    fn what_was_read_before_a_break_stays() {
        let (found, stop) = all(r#"{"a":[1,2,{"x""#, 100);
        assert_eq!((found.len(), stop.is_some()), (2, true));
        assert_eq!(all("[]", 9).1, Some(0));
        assert_eq!(all("{}", 9).1, None);
        assert!(all(r#"{"a":[,]}"#, 9).1.is_some());
        assert!(all(r#"{"a" 1}"#, 9).1.is_some());
    }

    #[test]
    fn a_large_element_is_cut() {
        let (found, _) = all(r#"{"b":["abcdefgh",1]}"#, 4);
        assert_eq!((found[0].2.as_str(), found[0].3, found[1].3), ("\"abc", true, false));
    }
}
