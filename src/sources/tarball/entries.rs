//! The members of a tar, one after the other, headers only.
//!
//! Formats: POSIX.1-2001 (ustar, pax), GNU tar's manual ("Basic Tar Format", "Sparse
//! Formats"), star and v7. Where implementations differ this follows Python's `tarfile`.

use std::io::{self, Read};
use std::sync::Arc;

use super::header::{BLOCK_BYTES, EntryKind, Header, until_nul};
use super::input::Input;
use super::pax::{self, Records};
use super::sparse::{self, MAX_PIECES, PaxSparse, Piece};
use crate::base::capped::PastCap;
use crate::base::units::Bytes;
use crate::flow::RejectClass;
use crate::plan::source::Caps;

/// One member.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its whole name, as it was written; a name, never a path to write to.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Size of its content in bytes, holes included.
    pub size_bytes: u64,
    /// Position of its content.
    pub offset: u64,
    /// Bytes that are stored at `offset`.
    pub stored_bytes: u64,
    /// Stored stretches, where it has holes.
    pub pieces: Option<Arc<[Piece]>>,
    /// Its last header, as it was written.
    pub header: [u8; BLOCK_BYTES],
    /// Why its content cannot be had, though the archive goes on after it.
    pub fault: Option<(RejectClass, String)>,
    /// Whether the archive ends within its content, which is its fault then.
    pub is_cut: bool,
}

/// Where and why an archive ends too early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Position of the header that could not be read.
    pub at: u64,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// Whether it is not the archive that ends, but what may be unpacked of it.
    pub past_cap: Option<PastCap>,
}

impl Broken {
    fn new(at: u64, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), past_cap: None }
    }

    /// Where reading failed or gave too little.
    fn unread(at: u64, read: io::Result<usize>, short: &str) -> Self {
        let past_cap = read.err().as_ref().and_then(PastCap::of);
        Self { past_cap, ..Self::new(at, short) }
    }
}

/// Reads an archive's headers in order. It stops at the first block of zeros, as `tar` does.
#[derive(Debug)]
pub struct Entries<I> {
    input: I,
    next: u64,
    content_end: u64,
    /// `path` and `size` of the last global header that had them.
    global: Records,
    extension_cap: u64,
    name_cap: u64,
    done: bool,
    marked: bool,
}

/// Most extension headers in front of one member; real ones have up to four.
const MAX_EXTENSIONS: usize = 64;
/// Most records kept from global headers; only two keys of them are.
const MAX_GLOBAL: usize = 64;

/// What extension headers said of the member that follows them.
#[derive(Default)]
struct Extensions {
    long_name: Option<Vec<u8>>,
    records: Records,
    fault: Option<(RejectClass, String)>,
    any: bool,
}

impl<I: Input> Entries<I> {
    /// Starts at the first header.
    pub fn new(input: I, caps: &Caps) -> Self {
        Self {
            input,
            next: 0,
            content_end: 0,
            global: Records::new(),
            extension_cap: caps.line_bytes.max(caps.name_bytes),
            name_cap: caps.name_bytes,
            done: false,
            marked: false,
        }
    }

    /// The next member, or `None` at the end.
    ///
    /// # Errors
    /// Where the archive ends too early or is damaged; nothing can be read after it. With
    /// `at` 0 it is no tar at all.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Broken> {
        if self.done {
            return Ok(None);
        }
        let entry = self.advance();
        self.done = !matches!(entry, Ok(Some(_)));
        entry
    }

    fn advance(&mut self) -> Result<Option<Entry>, Broken> {
        let mut extensions = Extensions::default();
        for _ in 0..MAX_EXTENSIONS {
            let at = self.next;
            let Some(header) = self.header(at, extensions.any)? else { return Ok(None) };
            let size =
                header.size_bytes().ok_or_else(|| Broken::new(at, "its size is no number"))?;
            let content = at + BLOCK_BYTES as u64;
            extensions.any = true;
            match header.type_flag() {
                b'L' => match self.extension(content, size, self.name_cap.saturating_add(1))? {
                    Ok(bytes) => extensions.long_name = Some(until_nul(&bytes).to_vec()),
                    Err(fault) => extensions.fault = Some(fault),
                },
                b'K' => self.skip_to(content, size)?,
                flag @ (b'x' | b'X' | b'g') => {
                    let read = self.extension(content, size, self.extension_cap)?;
                    let records = read.and_then(|bytes| {
                        pax::parse(&bytes).map_err(|why| (RejectClass::BrokenMember, why))
                    });
                    self.global.drain(..self.global.len().saturating_sub(MAX_GLOBAL));
                    match records {
                        Ok(records) if flag == b'g' => self.global.extend(records),
                        // of several headers the first wins, as in Python's tarfile
                        Ok(mut records) => {
                            records.append(&mut extensions.records);
                            extensions.records = records;
                        }
                        Err(fault) => extensions.fault = Some(fault),
                    }
                }
                _ => return self.member(at, &header, size, extensions).map(Some),
            }
        }
        Err(Broken::new(self.next, "it has too many extension headers in a row"))
    }

    /// Reads the header at `at`; `None` at the end of the archive.
    fn header(&mut self, at: u64, pending: bool) -> Result<Option<Header>, Broken> {
        let broken = |message: &str| Broken::new(at, message);
        let mut block = [0; BLOCK_BYTES];
        let read = self.input.read_at(at, &mut block).map_err(|cause| {
            let why = format!("the archive cannot be read further: {cause}");
            Broken::unread(at, Err(cause), &why)
        })?;
        // the last member's padding may be missing, its content may not
        if self.input.len_bytes().is_some_and(|len_bytes| self.content_end > len_bytes) {
            return Err(broken("the archive ends in the middle of a member"));
        }
        let header = Header(block);
        let given = header.0.get(..read).unwrap_or_default();
        if read == BLOCK_BYTES && !header.is_zero() {
            if header.checksum_fits() {
                return Ok(Some(header));
            }
            return Err(broken("no tar header: its checksum is wrong"));
        }
        if pending {
            return Err(broken("the archive ends after an extension header"));
        }
        if at == 0 && read == 0 {
            return Err(broken("it is empty"));
        }
        if read < BLOCK_BYTES && (at == 0 || given.iter().any(|byte| *byte != 0)) {
            return Err(broken("the archive ends in the middle of a header"));
        }
        self.marked = read > 0;
        Ok(None)
    }

    /// Moves behind `size` bytes at `content`, padded to whole blocks.
    fn skip_to(&mut self, content: u64, size: u64) -> Result<(), Broken> {
        let end = content.checked_add(size);
        let next = end.and_then(|end| end.checked_next_multiple_of(BLOCK_BYTES as u64));
        match (end, next) {
            (Some(end), Some(next)) if next <= i64::MAX.unsigned_abs() => {
                self.content_end = end;
                self.next = next;
                Ok(())
            }
            _ => Err(Broken::new(content, format!("its size of {size} is impossible"))),
        }
    }

    /// The content of an extension header; an inner error when it is larger than `cap_bytes`.
    fn extension(
        &mut self,
        content: u64,
        size: u64,
        cap_bytes: u64,
    ) -> Result<Result<Vec<u8>, (RejectClass, String)>, Broken> {
        self.skip_to(content, size)?;
        let Some(wanted) = usize::try_from(size).ok().filter(|_| size <= cap_bytes) else {
            let message = format!(
                "its name or extended header has {}, the cap is {}",
                Bytes(size),
                Bytes(cap_bytes)
            );
            return Ok(Err((RejectClass::OverCap, message)));
        };
        let mut bytes = vec![0; wanted];
        match self.input.read_at(content, &mut bytes) {
            Ok(read) if read == wanted => Ok(Ok(bytes)),
            read => Err(Broken::unread(content, read, "the archive ends in an extension header")),
        }
    }

    fn member(
        &mut self,
        at: u64,
        header: &Header,
        size: u64,
        extensions: Extensions,
    ) -> Result<Entry, Broken> {
        let records = extensions.records;
        let global = self.global.iter().filter(|(key, _)| key == b"path" || key == b"size");
        let known: Records = global.chain(&records).cloned().collect();
        // an empty value takes back what a global header said
        let last = |key: &[u8]| {
            let found = known.iter().rev().find(|(k, _)| k == key);
            found.map(|(_, value)| value.as_slice()).filter(|value| !value.is_empty())
        };
        let name = last(b"GNU.sparse.name")
            .or_else(|| last(b"path"))
            .map(<[u8]>::to_vec)
            .or(extensions.long_name)
            .unwrap_or_else(|| header.name());
        let kind = header.kind(&name);
        let mut entry = Entry {
            name,
            kind,
            size_bytes: 0,
            offset: at + BLOCK_BYTES as u64,
            stored_bytes: 0,
            pieces: None,
            header: header.0,
            fault: extensions.fault,
            is_cut: false,
        };
        let mut sparse = None;
        if header.type_flag() == b'S' {
            sparse = Some(self.gnu_sparse(header, &mut entry)?);
        }
        if !kind.has_content() {
            self.skip_to(entry.offset, 0)?;
            return Ok(entry);
        }
        entry.stored_bytes = match last(b"size").map(pax::decimal) {
            Some(Some(size)) => size,
            Some(None) => {
                return Err(Broken::new(at, "its extended size is no number"));
            }
            None => size,
        };
        entry.size_bytes = entry.stored_bytes;
        self.skip_to(entry.offset, entry.stored_bytes)?;
        if sparse.is_none() && header.type_flag() != b'S' {
            sparse = sparse::of_records(&records)
                .map(|found| found.and_then(|found| self.pax_sparse(found, &mut entry)));
        }
        if let Some(found) = sparse {
            let pieces = found.and_then(|(pairs, size_bytes)| {
                entry.size_bytes = size_bytes;
                sparse::checked(&pairs, size_bytes, entry.stored_bytes)
            });
            match pieces {
                Ok(pieces) => entry.pieces = Some(pieces.into()),
                Err(why) => entry.fault = Some((RejectClass::BrokenMember, why)),
            }
        }
        let long = u64::try_from(entry.name.len()).is_ok_and(|len| len > self.name_cap);
        if self.input.len_bytes().is_some_and(|len_bytes| self.content_end > len_bytes) {
            let why = "the archive ends in the middle of it".into();
            entry.is_cut = entry.fault.is_none() && !long;
            entry.fault = Some((RejectClass::BrokenMember, why));
        } else if long {
            let why = format!("its name is longer than the cap of {}", Bytes(self.name_cap));
            entry.fault = Some((RejectClass::OverCap, why));
        }
        Ok(entry)
    }

    /// GNU's old sparse format: the map is in the header and in blocks behind it.
    fn gnu_sparse(&mut self, header: &Header, entry: &mut Entry) -> Result<SparseMap, Broken> {
        let (mut pairs, mut more, real) = header.gnu_sparse();
        while more {
            let mut block = [0; BLOCK_BYTES];
            let read = self.input.read_at(entry.offset, &mut block);
            if !matches!(read, Ok(BLOCK_BYTES)) {
                return Err(Broken::unread(entry.offset, read, "the archive ends in a sparse map"));
            }
            let (further, again) = Header(block).more_gnu_sparse();
            pairs.extend(further);
            entry.offset += BLOCK_BYTES as u64;
            more = again;
            if pairs.len() > MAX_PIECES {
                return Err(Broken::new(entry.offset, "its sparse map has too many stretches"));
            }
        }
        Ok(real.map(|real| (pairs, real)).ok_or_else(|| "its size with holes is no number".into()))
    }

    fn pax_sparse(&mut self, found: PaxSparse, entry: &mut Entry) -> SparseMap {
        match found {
            PaxSparse::Map { pairs, size_bytes } => Ok((pairs, size_bytes)),
            PaxSparse::InContent { size_bytes } => {
                let mut map = MapReader { entries: self, entry, block: Vec::new(), at: 0 };
                let count = map.number()?;
                if count > MAX_PIECES as u64 {
                    return Err("its sparse map has too many stretches".into());
                }
                let mut pairs = Vec::new();
                for _ in 0..count {
                    pairs.push((map.number()?, map.number()?));
                }
                Ok((pairs, size_bytes))
            }
        }
    }

    /// The content of `entry`, which must be the one given last when the input is a stream.
    pub fn content<'a>(&'a mut self, entry: &'a Entry) -> Content<'a, I> {
        Content { input: &mut self.input, entry, at: 0, stored: entry.offset, piece: 0 }
    }

    /// Whether the end that was come to is one that a writer set: zeros. Of a cut archive that ends
    /// behind a whole member there are none.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    /// Position of the next header, or of the end.
    #[must_use]
    pub fn next_at(&self) -> u64 {
        self.next
    }

    /// The bytes behind the headers, for looking at more than one member's content.
    pub fn input(&mut self) -> &mut I {
        &mut self.input
    }
}

type SparseMap = Result<(Vec<(u64, u64)>, u64), String>;

/// PAX format 1.0: decimal lines in front of the content, padded to whole blocks.
struct MapReader<'a, I> {
    entries: &'a mut Entries<I>,
    entry: &'a mut Entry,
    block: Vec<u8>,
    at: usize,
}

impl<I: Input> MapReader<'_, I> {
    fn number(&mut self) -> Result<u64, String> {
        let mut digits = Vec::new();
        loop {
            match self.block.get(self.at) {
                // a line of comment, as libarchive reads it too
                Some(b'\n') if digits.first() == Some(&b'#') => {
                    self.at += 1;
                    digits.clear();
                }
                Some(_) if digits.first() == Some(&b'#') => self.at += 1,
                Some(b'\n') => {
                    self.at += 1;
                    return pax::decimal(&digits).ok_or_else(|| "its sparse map is broken".into());
                }
                Some(byte) if digits.len() < 20 => {
                    digits.push(*byte);
                    self.at += 1;
                }
                Some(_) => return Err("its sparse map is broken".into()),
                None => self.refill()?,
            }
        }
    }

    fn refill(&mut self) -> Result<(), String> {
        let short = || "its content ends in its sparse map".to_string();
        let left = self.entry.stored_bytes.checked_sub(BLOCK_BYTES as u64).ok_or_else(short)?;
        self.block.resize(BLOCK_BYTES, 0);
        self.at = 0;
        let read = self.entries.input.read_at(self.entry.offset, &mut self.block);
        if !read.is_ok_and(|read| read == BLOCK_BYTES) {
            return Err(short());
        }
        self.entry.offset += BLOCK_BYTES as u64;
        self.entry.stored_bytes = left;
        Ok(())
    }
}

/// Reads one member's content, holes as zeros. It fails where the archive ends early, after all that is
/// there.
#[derive(Debug)]
pub struct Content<'a, I> {
    input: &'a mut I,
    entry: &'a Entry,
    /// Position in the content.
    at: u64,
    /// Position in the archive of the next stored byte.
    stored: u64,
    piece: usize,
}

impl<I: Input> Read for Content<'_, I> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.entry.size_bytes.saturating_sub(self.at);
        // where the next stored stretch begins and ends in the content
        let (start, end) = match &self.entry.pieces {
            None => (0, self.entry.size_bytes),
            Some(pieces) => loop {
                match pieces.get(self.piece) {
                    Some(piece) if self.at >= piece.at + piece.length_bytes => self.piece += 1,
                    Some(piece) => break (piece.at, piece.at + piece.length_bytes),
                    None => break (self.entry.size_bytes, self.entry.size_bytes),
                }
            },
        };
        let hole = start.saturating_sub(self.at);
        let run = if hole > 0 { hole } else { end.saturating_sub(self.at) };
        let wanted = usize::try_from(run.min(left)).unwrap_or(usize::MAX).min(buf.len());
        let part = buf.split_at_mut(wanted).0;
        let mut read = wanted;
        if hole > 0 {
            part.fill(0);
        } else if !part.is_empty() {
            read = self.input.read_some(self.stored, part)?;
            if read == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the archive ends in the middle of it",
                ));
            }
            self.stored += read as u64;
        }
        self.at += read as u64;
        Ok(read)
    }
}
