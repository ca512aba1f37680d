//! Kept indexes: what an archive held, and the digest of each content, so that nothing is read
//! twice. An index is a cache: one that is missing, damaged or of another version is made anew.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::member::{Layout, Member};
use super::tarball::Piece;
use crate::base::digest::Digester;
use crate::base::{Digest, Error, FileStamp, Result, files};
use crate::flow::{Origin, Reject};

/// First bytes of an index; the number is the format's version.
const MAGIC: &[u8] = b"clipmill members 3\n";
/// Largest index that is read: about twenty million members.
const CAP_BYTES: u64 = 8 << 30;

/// An index as it was kept.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) file: FileStamp,
    pub(crate) settings: Digest,
    pub(crate) ignored: u64,
    pub(crate) members: Vec<Member>,
    pub(crate) rejects: Vec<Reject>,
}

/// Writes an index durably; a reader sees the old one or the new one.
pub(crate) fn write(
    path: &Path,
    file: FileStamp,
    settings: Digest,
    ignored: u64,
    members: &[Member],
    rejects: &[Reject],
) -> Result<()> {
    files::write_atomic(path, |writer| {
        let mut out = Out::to(writer);
        out.add(MAGIC);
        file.fields().iter().for_each(|field| out.number(*field));
        out.digest(&settings);
        out.number(ignored);
        out.number(members.len() as u64);
        for member in members {
            out.text(&member.image_id);
            out.origin(&member.origin);
            out.number(member.size_bytes);
            out.digest(&member.stamp);
            out.maybe(member.digest.as_ref(), Out::digest);
            match &member.layout {
                Layout::Whole => out.number(0),
                Layout::Sparse(pieces) => {
                    out.number(1);
                    out.number(pieces.len() as u64);
                    for piece in pieces.iter() {
                        out.number(piece.at);
                        out.number(piece.length_bytes);
                    }
                }
                Layout::File(below) => {
                    out.number(2);
                    out.bytes(below.as_os_str().as_bytes());
                }
            }
        }
        out.number(rejects.len() as u64);
        for reject in rejects {
            out.origin(&reject.origin);
            out.maybe(reject.image_id.as_deref(), Out::text);
            out.text(reject.class.name());
            out.text(&reject.message);
            out.maybe(reject.digest.as_ref(), Out::digest);
        }
        out.finish().map_err(|cause| Error::io("cannot write", path.display(), cause))
    })
}

/// Reads what [`write`] kept; `None` when there is nothing whole of this version.
pub(crate) fn read(path: &Path, source: &str, archive: usize) -> Option<Index> {
    let bytes = files::read_capped(path, CAP_BYTES).ok()?;
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if Digest::of(body).as_bytes() != sum {
        return None;
    }
    let mut from = In { left: body.strip_prefix(MAGIC)?, source: source.into() };
    let mut file = [0; 6];
    for field in &mut file {
        *field = from.number()?;
    }
    let settings = from.digest()?;
    let ignored = from.number()?;
    let mut members = Vec::new();
    for _ in 0..from.number()? {
        members.push(from.member(archive)?);
    }
    let mut rejects = Vec::new();
    for _ in 0..from.number()? {
        rejects.push(from.reject()?);
    }
    from.left.is_empty().then_some(Index {
        file: FileStamp::of_fields(file),
        settings,
        ignored,
        members,
        rejects,
    })
}

/// An index on its way to its file; only the last pages of it are in memory.
struct Out<'w> {
    held: Vec<u8>,
    digester: Digester,
    writer: &'w mut dyn Write,
    refused: io::Result<()>,
}

/// Bytes that are written together.
const HELD_BYTES: usize = 1 << 16;

impl<'w> Out<'w> {
    fn to(writer: &'w mut dyn Write) -> Self {
        Self { held: Vec::new(), digester: Digester::new(), writer, refused: Ok(()) }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.held.extend(bytes);
        if self.held.len() >= HELD_BYTES {
            self.spill();
        }
    }

    fn spill(&mut self) {
        self.digester.bytes(&self.held);
        if self.refused.is_ok() {
            self.refused = self.writer.write_all(&self.held);
        }
        self.held.clear();
    }

    /// Writes the rest and the digest of all.
    fn finish(mut self) -> io::Result<()> {
        self.spill();
        self.refused?;
        self.writer.write_all(self.digester.finish().as_bytes())
    }

    fn number(&mut self, number: u64) {
        self.add(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.add(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn digest(&mut self, digest: &Digest) {
        self.add(digest.as_bytes());
    }

    fn maybe<T: ?Sized>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.add(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn origin(&mut self, origin: &Origin) {
        self.text(&origin.member);
        self.number(origin.offset);
    }
}

struct In<'a> {
    left: &'a [u8],
    source: Arc<str>,
}

impl<'a> In<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(count)?;
        self.left = left;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        self.take(count)
    }

    fn text(&mut self) -> Option<String> {
        Some(std::str::from_utf8(self.bytes()?).ok()?.to_string())
    }

    fn digest(&mut self) -> Option<Digest> {
        Some(Digest::from_bytes(self.take(32)?.try_into().ok()?))
    }

    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.take(1)? {
            [0] => Some(None),
            _ => read(self).map(Some),
        }
    }

    fn origin(&mut self) -> Option<Origin> {
        let source = self.source.clone();
        Some(Origin { source, member: self.text()?.into(), offset: self.number()? })
    }

    fn member(&mut self, archive: usize) -> Option<Member> {
        Some(Member {
            image_id: self.text()?,
            origin: self.origin()?,
            archive,
            size_bytes: self.number()?,
            stamp: self.digest()?,
            digest: self.maybe(Self::digest)?,
            layout: match self.number()? {
                0 => Layout::Whole,
                1 => {
                    let mut pieces = Vec::new();
                    for _ in 0..self.number()? {
                        pieces.push(Piece { at: self.number()?, length_bytes: self.number()? });
                    }
                    Layout::Sparse(Arc::from(pieces))
                }
                2 => Layout::File(Path::new(std::ffi::OsStr::from_bytes(self.bytes()?)).into()),
                _ => return None,
            },
        })
    }

    fn reject(&mut self) -> Option<Reject> {
        Some(Reject {
            origin: self.origin()?,
            image_id: self.maybe(Self::text)?,
            class: self.text()?.parse().ok()?,
            message: self.text()?,
            digest: self.maybe(Self::digest)?,
        })
    }
}
