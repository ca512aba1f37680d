//! Where an archive's bytes come from: a file that can be read anywhere, or a stream.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Bytes by position. A caller never asks for what lies before what it was given already,
/// except of a file.
pub trait Input {
    /// Fills `buf` from position `at`; fewer bytes only at the end.
    ///
    /// # Errors
    /// When reading or unpacking fails.
    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Number of bytes, where it is known; of a stream, once it has ended.
    fn len_bytes(&self) -> Option<u64>;

    /// As [`Self::read_at`], but gives what is there before something fails; none at the end.
    ///
    /// # Errors
    /// As [`Self::read_at`].
    fn read_some(&mut self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.read_at(at, buf)
    }
}

/// Enough for the end of one member, its padding, the next header and the start of what follows:
/// one system call a member, and none of its body read.
const WINDOW_BYTES: usize = 2048;

/// A plain file, read by position through a small window.
#[derive(Debug)]
pub struct FileInput<'a> {
    file: &'a File,
    len_bytes: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> FileInput<'a> {
    /// Reads `file`, which has `len_bytes`.
    #[must_use]
    pub fn new(file: &'a File, len_bytes: u64) -> Self {
        Self { file, len_bytes, window: Vec::new(), window_at: 0 }
    }

    fn windowed(&self, at: u64, wanted: usize) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.window_at)?).ok()?;
        self.window.get(from..from.checked_add(wanted)?)
    }
}

impl Input for FileInput<'_> {
    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        if buf.len() > WINDOW_BYTES {
            return read_full_at(self.file, at, buf);
        }
        if self.windowed(at, buf.len()).is_none() {
            self.window.resize(WINDOW_BYTES, 0);
            self.window_at = at;
            let read = read_full_at(self.file, at, &mut self.window)?;
            self.window.truncate(read);
        }
        let wanted = buf.len().min(self.window.len());
        match self.windowed(at, buf.len()).or_else(|| self.windowed(at, wanted)) {
            Some(bytes) => {
                let read = bytes.len();
                buf.split_at_mut(read).0.copy_from_slice(bytes);
                Ok(read)
            }
            None => Ok(0),
        }
    }

    fn len_bytes(&self) -> Option<u64> {
        Some(self.len_bytes)
    }
}

/// Fills `buf` from `at`; fewer bytes only at the end of the file.
pub(crate) fn read_full_at(file: &File, mut at: u64, mut buf: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    while !buf.is_empty() {
        match file.read_at(buf, at) {
            Ok(0) => break,
            Ok(read) => {
                total += read;
                at += read as u64;
                buf = buf.split_at_mut(read).1;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// A stream, read once and forward only.
#[derive(Debug)]
pub struct StreamInput<R> {
    reader: R,
    position: u64,
    ended: bool,
}

impl<R: Read> StreamInput<R> {
    /// Reads `reader` from position 0.
    pub fn new(reader: R) -> Self {
        Self { reader, position: 0, ended: false }
    }

    /// Reads up to `at`; false where the stream ends before it.
    fn reach(&mut self, at: u64) -> io::Result<bool> {
        let ahead = at
            .checked_sub(self.position)
            .ok_or_else(|| io::Error::other("a stream cannot be read backwards"))?;
        let skipped = io::copy(&mut (&mut self.reader).take(ahead), &mut io::sink())?;
        self.position += skipped;
        self.ended |= skipped < ahead;
        Ok(skipped == ahead)
    }
}

impl<R: Read> Input for StreamInput<R> {
    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        if !self.reach(at)? {
            return Ok(0);
        }
        let mut total = 0;
        while let Some(rest) = buf.get_mut(total..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => total += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position += total as u64;
        Ok(total)
    }

    fn len_bytes(&self) -> Option<u64> {
        self.ended.then_some(self.position)
    }

    fn read_some(&mut self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        if !self.reach(at)? {
            return Ok(0);
        }
        let read = loop {
            match self.reader.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.position += read as u64;
        self.ended |= read == 0 && !buf.is_empty();
        Ok(read)
    }
}
