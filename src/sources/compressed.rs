//! What a file is by its first bytes, and its bytes unpacked in order.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::tarball::{BLOCK_BYTES, EntryKind, Header};
use crate::base::capped::{Capped, PastCap};
use crate::base::{Error, Kind, Result};

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all, or in no way that is known.
    Plain,
    /// gzip, one member or many.
    Gzip,
    /// Zstandard, one frame or many.
    Zstd,
    /// A zip archive.
    Zip,
}

/// Magic numbers of packings that are known and not read.
const UNREAD: &[(&[u8], &str)] = &[
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x1f\x9d", "compress (.Z)"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a\x07", "RAR"),
];

/// Says how the file is packed, by its first bytes, never by its name.
pub(crate) fn sniff(path: &Path) -> Result<Packing> {
    let mut head = [0; BLOCK_BYTES];
    let read = super::tarball::read_full_at(&open(path)?, 0, &mut head)
        .map_err(|cause| Error::io("cannot read", path.display(), cause))?;
    if read == BLOCK_BYTES && Header(head).checksum_fits() {
        return Ok(Packing::Plain);
    }
    let head = head.get(..read).unwrap_or_default();
    if let Some((_, name)) = UNREAD.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(Error::new(
            Kind::BadInput,
            format!("is packed with {name}, which is not read"),
        )
        .at(path.display())
        .help("unpack it, or pack it again as .tar.gz or .tar.zst"));
    }
    Ok(match head {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Packing::Zstd,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Packing::Zip,
        _ => Packing::Plain,
    })
}

/// Opens a file that must be there, and be one: a pipe keeps who opens it waiting, and a device may
/// never end.
pub(crate) fn open(path: &Path) -> Result<File> {
    let kind = metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        let what = EntryKind::of(kind).name();
        return Err(Error::new(Kind::BadInput, format!("is {what}; only files are read"))
            .at(path.display())
            .help("write what it gives into a file, and name that"));
    }
    File::open(path).map_err(|cause| missing_or(path, "cannot open", cause))
}

/// The file's bytes, unpacked, in order; past `cap_bytes` reading fails.
pub(crate) fn unpack(
    path: &Path,
    packing: Packing,
    cap_bytes: u64,
) -> Result<Box<dyn Read + Send>> {
    let reader = BufReader::with_capacity(1 << 16, open(path)?);
    Ok(match packing {
        Packing::Plain | Packing::Zip => Box::new(Capped::new(reader, cap_bytes)),
        Packing::Gzip => {
            Box::new(BufReader::with_capacity(1 << 16, Capped::new(Gunzip::new(reader), cap_bytes)))
        }
        Packing::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(reader)
                .map_err(|cause| Error::io("cannot unpack", path.display(), cause))?;
            Box::new(BufReader::with_capacity(1 << 16, Capped::new(decoder, cap_bytes)))
        }
    })
}

/// Why unpacked bytes could not be read.
pub(crate) fn unread(path: &Path, cause: std::io::Error) -> Error {
    match PastCap::of(&cause) {
        Some(past) => too_large(path, past),
        None => Error::io("cannot read", path.display(), cause),
    }
}

/// More bytes than the cap.
pub(crate) fn too_large(path: &Path, past: PastCap) -> Error {
    Error::new(Kind::BadInput, format!("unpacks to {past}"))
        .at(path.display())
        .help("raise `max_unpacked_bytes` of its source if this is meant")
}

/// What a gzip's members hold, one after the other, their checksums looked at. What lies behind them
/// and does not begin as one is padding, which `gzip` passes over too.
struct Gunzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Gunzip<R> {
    fn new(packed: R) -> Self {
        Self(Some(GzDecoder::new(packed)))
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let read = member.read(buf)?;
            if read > 0 || buf.is_empty() {
                return Ok(read);
            }
            let Some(mut packed) = self.0.take().map(GzDecoder::into_inner) else { break };
            if packed.fill_buf()?.first() == Some(&GZIP) {
                self.0 = Some(GzDecoder::new(packed));
            }
        }
        Ok(0)
    }
}

/// The first byte of every gzip.
const GZIP: u8 = 0x1f;

/// What the file system says of a path that must be there.
pub(crate) fn metadata(path: &Path) -> Result<std::fs::Metadata> {
    std::fs::metadata(path).map_err(|cause| missing_or(path, "cannot look at", cause))
}

fn missing_or(path: &Path, what: &str, cause: std::io::Error) -> Error {
    match cause.kind() {
        std::io::ErrorKind::NotFound => Error::new(Kind::MissingInput, "is not there")
            .at(path.display())
            .help("put it there, or change the path in the definition"),
        _ => Error::io(what, path.display(), cause),
    }
}
