//! One image of a source, before its bytes are read.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::tarball::Piece;
use crate::base::Digest;
use crate::base::digest::Digester;
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
    /// Digest of what is cheap to read: name, size, header, first and last bytes. A member
    /// with the stamp it had before is taken to have the content it had before.
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

/// How many bytes at either end of a content are part of a stamp. They lie beside headers
/// that are read anyway. Formats with a checksum at the end (PNG) change there whatever pixel
/// changed, and a JPEG's last bits depend on nearly all before them.
pub(crate) const EDGE_BYTES: usize = 512;

/// The cheap identity of a member.
pub(crate) fn stamp(name: &[u8], size_bytes: u64, header: &[u8], ends: [&[u8]; 2]) -> Digest {
    let [head, tail] = ends;
    Digester::new()
        .field("name", name)
        .field("size", &size_bytes.to_le_bytes())
        .field("header", header)
        .field("head", head)
        .field("tail", tail)
        .finish()
}

/// First and last bytes of a content.
pub(crate) fn ends(content: &[u8]) -> [&[u8]; 2] {
    let edge = content.len().min(EDGE_BYTES);
    [content.split_at(edge).0, content.split_at(content.len() - edge).1]
}
