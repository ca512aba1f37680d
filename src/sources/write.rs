//! Archives as the originals are: GNU tar, records of 10,240 bytes, the same bytes every time.

use std::io::{self, Write};

/// GNU tar fills its last record.
const RECORD_BYTES: u64 = 10_240;

/// Writes a GNU tar, deterministically: owner 0, and the times it is given.
pub struct TarWriter<W: Write> {
    builder: tar::Builder<Counted<W>>,
}

impl<W: Write> std::fmt::Debug for TarWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TarWriter").finish_non_exhaustive()
    }
}

impl<W: Write> TarWriter<W> {
    /// Starts an archive.
    pub fn new(to: W) -> Self {
        Self { builder: tar::Builder::new(Counted { to, written: 0 }) }
    }

    /// Adds a folder; `mtime_s` are seconds since 1970.
    ///
    /// # Errors
    /// When writing fails.
    pub fn directory(&mut self, name: &str, mtime_s: u64) -> io::Result<()> {
        let mut header = header(tar::EntryType::Directory, 0o755, 0, mtime_s);
        self.builder.append_data(&mut header, format!("{}/", name.trim_end_matches('/')), &[][..])
    }

    /// Adds a file. Names of any length are written as GNU does.
    ///
    /// # Errors
    /// When writing fails, or the name is none that GNU tar could write (`..`, absolute).
    pub fn file(&mut self, name: &str, content: &[u8], mtime_s: u64) -> io::Result<()> {
        let size_bytes = content.len() as u64;
        let mut header = header(tar::EntryType::Regular, 0o644, size_bytes, mtime_s);
        self.builder.append_data(&mut header, name, content)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// When writing fails.
    pub fn symlink(&mut self, name: &str, target: &str, mtime_s: u64) -> io::Result<()> {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0, mtime_s);
        self.builder.append_link(&mut header, name, target)
    }

    /// Ends the archive and gives back what it was written to.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(self) -> io::Result<W> {
        let mut counted = self.builder.into_inner()?;
        let rest = counted.written.next_multiple_of(RECORD_BYTES) - counted.written;
        io::copy(&mut io::Read::take(io::repeat(0), rest), &mut counted)?;
        Ok(counted.to)
    }
}

fn header(kind: tar::EntryType, mode: u32, size_bytes: u64, mtime_s: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size_bytes);
    header.set_mtime(mtime_s);
    header
}

/// Compresses with gzip; no name and no time are in it, so the same bytes give the same file.
pub fn gzip<W: Write>(to: W) -> flate2::write::GzEncoder<W> {
    flate2::GzBuilder::new().mtime(0).write(to, flate2::Compression::default())
}

/// Compresses with Zstandard, with a checksum.
///
/// # Errors
/// When the compressor cannot be set up.
pub fn zstd<W: Write>(to: W) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    let mut encoder = zstd::stream::write::Encoder::new(to, 3)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

struct Counted<W> {
    to: W,
    written: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.to.write(buf)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
