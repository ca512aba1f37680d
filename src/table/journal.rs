//! Which parts came and which left, by the log's own files.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::note;
use crate::base::Result;

/// What one commit did to the parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Moves {
    /// Names of parts that came.
    pub(super) added: BTreeSet<String>,
    /// Names of parts that left.
    pub(super) removed: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    add: Option<Named<'a>>,
    #[serde(borrow)]
    remove: Option<Named<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

impl Moves {
    /// Reads the lines of the commit `version`.
    pub(super) fn of(folder: &Path, version: i64, text: &str) -> Result<Self> {
        let mut moves = Self::default();
        let telling = |line: &&str| line.starts_with("{\"add\"") || line.starts_with("{\"remove\"");
        // another writer may put blanks first: then the line is parsed to know
        for line in text.lines().filter(|line| telling(line) || line.starts_with("{ ")) {
            let line: Line<'_> =
                serde_json::from_str(line).map_err(|cause| note::broken(folder, version, cause))?;
            moves.added.extend(line.add.map(|part| decoded(&part.path)));
            moves.removed.extend(line.remove.map(|part| decoded(&part.path)));
        }
        Ok(moves)
    }
}

/// A part's file name: the log writes paths as in URLs (RFC 2396, as the Delta protocol says).
pub(super) fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.bytes();
    while let Some(byte) = left.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let mut ahead = left.clone();
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                left = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_: std::string::FromUtf8Error| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_come_and_go_are_told_from_other_lines() {
        let text = concat!(
            "{\"commitInfo\":{\"operation\":\"WRITE\",\"add\":\"no\"}}\n",
            "{\"add\":{\"path\":\"a%20b.parquet\",\"size\":3,\"stats\":\"{\\\"numRecords\\\":1}\"}}\n",
            "{\"remove\":{\"path\":\"c.parquet\",\"dataChange\":true}}\n",
            "{\"protocol\":{\"minReaderVersion\":1}}\n",
        );
        let moves = Moves::of(Path::new("t"), 0, text).unwrap();
        assert_eq!(moves.added, BTreeSet::from(["a b.parquet".to_owned()]));
        assert_eq!(moves.removed, BTreeSet::from(["c.parquet".to_owned()]));
        assert!(Moves::of(Path::new("t"), 0, "{\"add\":{\"path\":").is_err());
    }

    #[test]
    fn only_escapes_are_decoded() {
        assert_eq!(decoded("part-1.parquet"), "part-1.parquet");
        assert_eq!(decoded("100%.parquet%2"), "100%.parquet%2");
        assert_eq!(decoded("%C3%A4"), "ä");
    }
}
