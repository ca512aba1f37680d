//! An image's bytes and where they came from.

use std::sync::Arc;

use bytes::Bytes;

/// Where something was read: enough to find it again by hand. A million captions of one file share
/// its names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Name of the source in the definition.
    pub source: Arc<str>,
    /// Member of the archive, or the path below the folder, `/` between parts. Bytes that
    /// are no UTF-8 are written `\xNN`. For several archives in one source it is
    /// `archive.tar/member`, so that two members never share an origin.
    pub member: Arc<str>,
    /// Byte offset of the content in its archive (uncompressed), or of the line in its file;
    /// 0 for a file of a folder.
    pub offset: u64,
}

/// One image's bytes, still encoded.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Key of the image, unique in its source.
    pub image_id: String,
    /// Where it was read.
    pub origin: Origin,
    /// The encoded image.
    pub bytes: Bytes,
}
