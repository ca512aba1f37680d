//! The zip container of PyTorch's files, read in place.
//!
//! PyTorch stores tensors uncompressed and aligned, so their bytes are used out of the map; a
//! generic zip reader would copy them. Format: PKWARE's APPNOTE 6.3, with zip64.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::map::FileBytes;
use super::store::Storage;
use crate::base::{Error, Kind, Result};

/// The members of a zip.
#[derive(Debug)]
pub(super) struct Zip {
    file: Arc<FileBytes>,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    deflated: bool,
    packed: usize,
    unpacked: usize,
    header: usize,
}

const MOST_ENTRIES: usize = 1_000_000;

fn bad(what: &str) -> Error {
    Error::new(Kind::BadInput, what)
        .help("the file may have been cut short on its way: fetch it again")
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|n| usize::from(u16::from_le_bytes(*n)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

const UNKNOWN_32: usize = 0xffff_ffff;

impl Zip {
    pub(super) fn open(file: &Arc<FileBytes>) -> Result<Self> {
        let bytes = file.as_slice();
        let (mut at, count) =
            directory(bytes).ok_or_else(|| bad("is a zip without its directory"))?;
        let mut entries = BTreeMap::new();
        for _ in 0..count.min(MOST_ENTRIES) {
            let (name, entry, next) =
                entry(bytes, at).ok_or_else(|| bad("is a zip with a broken directory"))?;
            entries.insert(name, entry);
            at = next;
        }
        Ok(Self { file: Arc::clone(file), entries })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The bytes of a member, of which at most `cap_bytes` are unpacked.
    pub(super) fn member(&self, name: &str, cap_bytes: usize) -> Result<Storage> {
        let broken = || bad("is a zip with a broken member").at(name);
        let entry = self
            .entries
            .get(name)
            .ok_or_else(|| Error::new(Kind::BadInput, format!("lacks its member `{name}`")))?;
        let bytes = self.file.as_slice();
        let header = bytes.get(entry.header..).ok_or_else(broken)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(broken());
        }
        let names = u16_at(header, 26).zip(u16_at(header, 28)).map(|(name, extra)| name + extra);
        let start = names.and_then(|names| entry.header.checked_add(30 + names));
        let start = start.ok_or_else(broken)?;
        let end = start.checked_add(entry.packed).ok_or_else(broken)?;
        let packed = bytes.get(start..end).ok_or_else(broken)?;
        if !entry.deflated {
            return Ok(Storage::Mapped { file: Arc::clone(&self.file), start, end });
        }
        if entry.unpacked > cap_bytes {
            let what = "holds a member that unpacks to more than it should";
            return Err(Error::new(Kind::BadInput, what).at(name).help(
                "the file may have been cut short on its way: fetch it again; or write it anew \
                 with `torch.save`, which compresses nothing",
            ));
        }
        let reader = flate2::read::DeflateDecoder::new(packed);
        let cap = u64::try_from(entry.unpacked).unwrap_or(u64::MAX);
        let bytes = crate::base::capped::read_all(reader, cap, name);
        bytes.map(|b| Storage::Owned(Arc::new(b))).map_err(|cause| broken().caused_by(cause))
    }
}

/// Where the central directory begins and how many entries it has.
fn directory(bytes: &[u8]) -> Option<(usize, usize)> {
    // The end record has 22 bytes and a comment of at most 65,535.
    let first = bytes.len().saturating_sub(22 + 65_535);
    let tail = bytes.get(first..)?;
    let end = first + tail.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let (count, start) = (u16_at(bytes, end + 10)?, u32_at(bytes, end + 16)?);
    if count != 0xffff && start != UNKNOWN_32 {
        return Some((start, count));
    }
    let locator = end.checked_sub(20)?;
    if !bytes.get(locator..)?.starts_with(b"PK\x06\x07") {
        return Some((start, count));
    }
    let end = u64_at(bytes, locator + 8)?;
    if !bytes.get(end..)?.starts_with(b"PK\x06\x06") {
        return None;
    }
    Some((u64_at(bytes, end.checked_add(48)?)?, u64_at(bytes, end.checked_add(32)?)?))
}

fn entry(bytes: &[u8], at: usize) -> Option<(String, Entry, usize)> {
    let record = bytes.get(at..)?;
    if !record.starts_with(b"PK\x01\x02") {
        return None;
    }
    let deflated = match u16_at(record, 10)? {
        0 => false,
        8 => true,
        _ => return None,
    };
    let [mut packed, mut unpacked, mut header] =
        [u32_at(record, 20)?, u32_at(record, 24)?, u32_at(record, 42)?];
    let (name, extra, comment) = (u16_at(record, 28)?, u16_at(record, 30)?, u16_at(record, 32)?);
    let text = String::from_utf8(record.get(46..46 + name)?.to_vec()).ok()?;
    let mut fields = record.get(46 + name..46 + name + extra)?;
    while let (Some(id), Some(length)) = (u16_at(fields, 0), u16_at(fields, 2)) {
        let Some(field) = fields.get(4..4 + length) else { break };
        if id == 1 {
            let mut next = 0;
            for number in [&mut unpacked, &mut packed, &mut header] {
                if *number == UNKNOWN_32 {
                    *number = u64_at(field, next)?;
                    next += 8;
                }
            }
        }
        fields = fields.get(4 + length..).unwrap_or_default();
    }
    let entry = Entry { deflated, packed, unpacked, header };
    Some((text, entry, at + 46 + name + extra + comment))
}
