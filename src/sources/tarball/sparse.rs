//! Sparse members: which stretches of a file are stored, and where holes lie between.

use super::pax::{Records, decimal};

/// One stored stretch of a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it belongs in the file, in bytes.
    pub at: u64,
    /// How many bytes are stored.
    pub length_bytes: u64,
}

/// Most stretches of one file: a map of 16 MiB, more than any image could need.
pub(super) const MAX_PIECES: usize = 1 << 20;

/// Checks that stretches ascend, do not overlap, lie within `size_bytes` and are stored.
pub(super) fn checked(
    pairs: &[(u64, u64)],
    size_bytes: u64,
    stored_bytes: u64,
) -> Result<Vec<Piece>, String> {
    let (mut end, mut stored) = (0_u64, 0_u64);
    for (at, length_bytes) in pairs {
        let broken = || format!("its sparse map is broken at offset {at}");
        if *at < end {
            return Err(broken());
        }
        end = at.checked_add(*length_bytes).filter(|end| *end <= size_bytes).ok_or_else(broken)?;
        stored = stored.checked_add(*length_bytes).ok_or_else(broken)?;
    }
    if stored > stored_bytes {
        return Err(format!("its sparse map wants {stored} bytes and {stored_bytes} are stored"));
    }
    let full = pairs.iter().filter(|(_, length_bytes)| *length_bytes > 0);
    Ok(full.map(|(at, length_bytes)| Piece { at: *at, length_bytes: *length_bytes }).collect())
}

/// What an extended header says of holes.
pub(super) enum PaxSparse {
    /// Formats 0.0 and 0.1: the map is in the header.
    Map { pairs: Vec<(u64, u64)>, size_bytes: u64 },
    /// Format 1.0: the map is in front of the content.
    InContent { size_bytes: u64 },
}

/// Finds PAX's sparse formats in the records of a member; `None` when it is not sparse.
pub(super) fn of_records(records: &Records) -> Option<Result<PaxSparse, String>> {
    let last = |key: &[u8]| records.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_slice());
    let size = last(b"GNU.sparse.realsize").or_else(|| last(b"GNU.sparse.size"));
    let major = last(b"GNU.sparse.major");
    let map = last(b"GNU.sparse.map");
    if major.is_none() && map.is_none() && size.is_none() {
        return None;
    }
    let Some(size_bytes) = size.and_then(decimal) else {
        return Some(Err("its sparse header has no size".into()));
    };
    if let (Some(b"1"), Some(b"0")) = (major, last(b"GNU.sparse.minor")) {
        return Some(Ok(PaxSparse::InContent { size_bytes }));
    }
    let numbers: Option<Vec<u64>> = match map {
        Some(map) => {
            map.split(|byte| *byte == b',').filter(|n| !n.is_empty()).map(decimal).collect()
        }
        None => records
            .iter()
            .filter(|(key, _)| {
                matches!(key.as_slice(), b"GNU.sparse.offset" | b"GNU.sparse.numbytes")
            })
            .map(|(_, value)| decimal(value))
            .collect(),
    };
    Some(match numbers {
        Some(numbers) if numbers.len().is_multiple_of(2) => {
            let pairs = numbers.chunks_exact(2).filter_map(|pair| match pair {
                [at, length] => Some((*at, *length)),
                _ => None,
            });
            Ok(PaxSparse::Map { pairs: pairs.collect(), size_bytes })
        }
        _ => Err("its sparse map is broken".into()),
    })
}
