//! Kept indexes: what an archive held, and the digest of each content, so that nothing is read
//! twice. An index is a cache: one that is missing, damaged or of another version is made anew.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
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
/// Bytes of the digest at its end.
const DIGEST_BYTES: usize = 32;
/// Bytes that are read together.
const READ_BYTES: u64 = 1 << 18;
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

impl Index {
    /// The digest of each stamp; a stamp of two contents identifies neither and has none.
    pub(super) fn digests(&self) -> HashMap<Digest, Option<Digest>> {
        let mut known: HashMap<Digest, Option<Digest>> = HashMap::new();
        for member in &self.members {
            known
                .entry(member.stamp)
                .and_modify(|digest| *digest = digest.filter(|d| Some(*d) == member.digest))
                .or_insert(member.digest);
        }
        known
    }
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
    let mut from = In::open(path, source)?;
    if from.take(MAGIC.len())? != MAGIC {
        return None;
    }
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
    from.is_whole().then_some(Index {
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

/// An index on its way from its file; only some pages of it are in memory, or as much as one damaged
/// length says. What it says is to be believed once it [`In::is_whole`].
struct In {
    file: File,
    digester: Digester,
    /// Bytes before the digest that are still in the file.
    left_bytes: u64,
    /// Of what was read, what is not yet taken begins at `at`.
    held: Vec<u8>,
    at: usize,
    source: Arc<str>,
}

impl In {
    fn open(path: &Path, source: &str) -> Option<Self> {
        let file = File::open(path).ok()?;
        let size_bytes = file.metadata().ok().filter(|meta| meta.len() <= CAP_BYTES)?.len();
        let left_bytes = size_bytes.checked_sub(DIGEST_BYTES as u64)?;
        let (digester, held) = (Digester::new(), Vec::new());
        Some(Self { file, digester, left_bytes, held, at: 0, source: source.into() })
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        if self.held.len() - self.at < count {
            self.fill(count)?;
        }
        let from = self.at;
        self.at += count;
        self.held.get(from..self.at)
    }

    /// Reads on, so that `count` bytes can be taken.
    fn fill(&mut self, count: usize) -> Option<()> {
        self.held.drain(..self.at);
        self.at = 0;
        let lacking = (count - self.held.len()) as u64;
        if lacking > self.left_bytes {
            return None;
        }
        let read = usize::try_from(lacking.max(READ_BYTES).min(self.left_bytes)).ok()?;
        let from = self.held.len();
        self.held.try_reserve(read).ok()?;
        self.held.resize(from + read, 0);
        let fresh = self.held.get_mut(from..)?;
        self.file.read_exact(fresh).ok()?;
        self.digester.bytes(fresh);
        self.left_bytes -= read as u64;
        Some(())
    }

    /// Whether all was taken, and is what was written.
    fn is_whole(&mut self) -> bool {
        let mut sum = [0; DIGEST_BYTES];
        self.left_bytes == 0
            && self.at == self.held.len()
            && self.file.read_exact(&mut sum).is_ok()
            && self.digester.finish().as_bytes() == &sum
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&[u8]> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Vec<Member> {
        let member = |n: u64| Member {
            image_id: format!("{n:0>width$}", width = usize::try_from(n % 90).unwrap()),
            origin: Origin {
                source: "photos".into(),
                member: format!("images/{n}.jpg").into(),
                offset: n * 1024,
            },
            archive: 3,
            size_bytes: n,
            stamp: Digest::of(&n.to_le_bytes()),
            digest: n.is_multiple_of(2).then(|| Digest::of(b"some")),
            layout: match n % 3 {
                0 => Layout::Whole,
                1 => Layout::Sparse(Arc::from(vec![Piece { at: n, length_bytes: 1 }; 40])),
                _ => Layout::File(Path::new("below/it").into()),
            },
        };
        (0..5000).map(member).collect()
    }

    fn reject() -> Reject {
        Reject {
            origin: Origin { source: "photos".into(), member: "b.jpg".into(), offset: 7 },
            image_id: Some("b".into()),
            class: crate::flow::RejectClass::DuplicateId,
            // more than is read together
            message: "x".repeat(600_000),
            digest: None,
        }
    }

    #[test]
    fn what_was_kept_is_read_and_nothing_of_what_is_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("photos.members");
        let file = FileStamp::of(&std::fs::metadata(dir.path()).unwrap());
        let (members, rejects) = (members(), vec![reject()]);
        write(&path, file, Digest::of(b"settings"), 9, &members, &rejects).unwrap();
        let index = read(&path, "photos", 3).unwrap();
        assert_eq!((index.file, index.ignored), (file, 9));
        assert_eq!(index.settings, Digest::of(b"settings"));
        assert!(index.members == members && index.rejects == rejects);

        let whole = files::read_capped(&path, 1 << 30).unwrap();
        let refused = |bytes: &[u8]| {
            let other = dir.path().join("other.members");
            files::write_atomic(&other, |out| {
                out.write_all(bytes).map_err(|cause| Error::io("cannot write", "it", cause))
            })
            .unwrap();
            read(&other, "photos", 3).is_none()
        };
        assert!(!refused(&whole));
        for left in [0, 5, 31, 32, 60, whole.len() / 2, whole.len() - 33, whole.len() - 1] {
            assert!(refused(&whole[..left]), "{left} bytes of it");
        }
        for at in [0, MAGIC.len(), 100, whole.len() / 2, whole.len() - 40, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            assert!(refused(&bytes), "another byte at {at}");
        }
        let mut more = whole.clone();
        more.push(0);
        assert!(refused(&more));

        // Under a digest that is right what is said is still not believed.
        let body = &whole[..whole.len() - DIGEST_BYTES];
        let sealed = |mut body: Vec<u8>| {
            let sum = Digest::of(&body);
            body.extend(sum.as_bytes());
            body
        };
        assert!(!refused(&sealed(body.to_vec())));
        assert!(refused(&sealed([body, &[0]].concat())), "a byte more");
        assert!(refused(&sealed([body, &[0; 300_000]].concat())), "many bytes more");
        // The number of members, the length of the first one's id, and some length among the others.
        let members_at = MAGIC.len() + 6 * 8 + DIGEST_BYTES + 8;
        for at in [members_at, members_at + 8, body.len() - 600_000 - 1 - 8] {
            for number in [u64::MAX, u64::MAX / 2, 1 << 40] {
                let mut body = body.to_vec();
                body[at..at + 8].copy_from_slice(&number.to_le_bytes());
                assert!(refused(&sealed(body)), "{number} at {at}");
            }
        }
    }
}
