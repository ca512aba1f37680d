//! One image of a source, before its bytes are read.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::tarball::{BLOCK_BYTES, Header, Piece};
use crate::base::digest::Digester;
use crate::base::{Digest, FileStamp};
use crate::flow::{Origin, Reject};

/// An image that a source holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Key of the image; unique in its source after [`super::duplicates`].
    pub image_id: String,
    /// Where its bytes are.
    pub origin: Origin,
    /// Which of the source's paths holds it.
    pub archive: usize,
    /// Size of the image file in bytes.
    pub size_bytes: u64,
    /// Digest of what is cheap to read: name, size, header, bytes at a few places. A member
    /// with the stamp it had before is taken to have the content it had before; where a few
    /// places tell too little, the archive's file is part of it.
    pub stamp: Digest,
    /// Digest of the content, where it is known without reading it.
    pub digest: Option<Digest>,
    /// How its bytes are stored.
    pub layout: Layout,
}

/// How a member's bytes are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// In one stretch at `origin.offset`.
    Whole,
    /// In stretches, with holes between.
    Sparse(Arc<[Piece]>),
    /// In a file of its own; the path below the folder.
    File(Box<Path>),
}

/// What an archive holds.
#[derive(Debug, Clone)]
pub enum Listing {
    /// Every member is known.
    Known {
        /// Images, in the archive's order.
        members: Vec<Member>,
        /// Members that can be no row.
        rejects: Vec<Reject>,
    },
    /// Only [`super::Archive::stream`] can tell: the archive is compressed and no index of it
    /// is kept.
    Streamed,
}

/// One thing that streaming an archive gives.
#[derive(Debug, Clone)]
pub enum Item {
    /// An image; its digest is known.
    Sample(Member, Bytes),
    /// A member that can be no row.
    Reject(Reject),
}

/// How many bytes are looked at in one place of a content.
const LOOK_BYTES: usize = 512;
/// In how many places between its ends.
const LOOKS_BETWEEN: u64 = 8;
/// Contents up to this size are part of their stamp as a whole.
const SMALL_BYTES: u64 = LOOK_BYTES as u64 * (LOOKS_BETWEEN + 2);

/// What is cheap to know of an archive's member.
pub(crate) struct Cheap<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) size_bytes: u64,
    pub(crate) header: &'a [u8; BLOCK_BYTES],
    pub(crate) layout: &'a Layout,
    /// The archive's file.
    pub(crate) file: FileStamp,
}

impl Cheap<'_> {
    /// The cheap identity of a member. `read` fills a buffer from a position of the content; it is
    /// asked in rising order.
    ///
    /// A small content is part of it whole. A larger one is known by looks at ten places, if
    /// its header has a time and it is of a format whose bytes behind a changed pixel change, too
    /// (JPEG, PNG, WebP). Any other (BMP, TIFF, a time of 0, holes) may change between the looks:
    /// it is known for as long as the archive's file is untouched.
    pub(crate) fn stamp(
        &self,
        read: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<Digest> {
        let mut digester = start(self.name, self.size_bytes, self.header);
        let whole = *self.layout == Layout::Whole;
        let mut look = |at, length| {
            let mut bytes = vec![0; length];
            read(at, &mut bytes).map(|()| bytes)
        };
        match usize::try_from(self.size_bytes) {
            Ok(size) if whole && self.size_bytes <= SMALL_BYTES => {
                digester.field("content", &look(0, size)?);
            }
            _ if whole => {
                let head = look(0, LOOK_BYTES)?;
                digester.field("head", &head);
                if self.has_time() && spreads(&head) {
                    for number in 1..=LOOKS_BETWEEN {
                        let at = self.size_bytes / (LOOKS_BETWEEN + 1) * number;
                        digester.field("between", &look(at, LOOK_BYTES)?);
                    }
                } else {
                    digester.field("file", &self.file.to_bytes());
                }
                digester.field("tail", &look(self.size_bytes - LOOK_BYTES as u64, LOOK_BYTES)?);
            }
            _ => {
                digester.field("file", &self.file.to_bytes());
            }
        }
        Ok(digester.finish())
    }

    /// Archivers that care for equal bytes write no time, or 0: it tells of no change.
    fn has_time(&self) -> bool {
        Header(*self.header).mtime_s().is_some_and(|time| time > 0)
    }
}

/// Whether a content that begins so is of a format in which another pixel makes other bytes from
/// there to the end: entropy-coded, or with a checksum behind.
fn spreads(head: &[u8]) -> bool {
    matches!(
        head,
        [0xff, 0xd8, 0xff, ..]
            | [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..]
            | [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..]
    )
}

/// The cheap identity of a file of a folder.
pub(crate) fn stamp_of_file(name: &[u8], size_bytes: u64, file: Option<FileStamp>) -> Digest {
    start(name, size_bytes, &file.map(FileStamp::to_bytes).unwrap_or_default()).finish()
}

fn start(name: &[u8], size_bytes: u64, header: &[u8]) -> Digester {
    let mut digester = Digester::new();
    digester.field("name", name).field("size", &size_bytes.to_le_bytes()).field("header", header);
    digester
}
