//! Reading outside bytes without trusting their size.

use std::fmt;
use std::io::{self, Read};

use super::error::{Error, Kind, Result};

/// Reads `reader` to its end, refusing more than `cap_bytes`.
///
/// # Errors
/// [`Kind::BadInput`] past the cap, [`Kind::Io`] when reading fails.
pub fn read_all(reader: impl Read, cap_bytes: u64, place: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "this is the capped reader")]
    let read = reader.take(cap_bytes.saturating_add(1)).read_to_end(&mut bytes);
    let read = read.map_err(|cause| Error::io("cannot read", place, cause))?;
    if read as u64 > cap_bytes {
        return Err(Error::new(
            Kind::BadInput,
            format!("is larger than the cap of {}", super::units::Bytes(cap_bytes)),
        )
        .at(place)
        .help("raise the cap in the definition if this is meant"));
    }
    Ok(bytes)
}

/// Why a [`Capped`] reader failed: there is more than it may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastCap {
    /// What it may give.
    pub cap_bytes: u64,
}

impl PastCap {
    /// Whether this is why reading failed.
    #[must_use]
    pub fn of(cause: &io::Error) -> Option<Self> {
        cause.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for PastCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than the cap of {}", super::units::Bytes(self.cap_bytes))
    }
}

impl std::error::Error for PastCap {}

/// A reader that fails, rather than ends, once it has given `left` bytes.
#[derive(Debug)]
pub struct Capped<R> {
    inner: R,
    left: u64,
    cap: u64,
}

impl<R: Read> Capped<R> {
    /// Lets `cap_bytes` pass.
    pub fn new(inner: R, cap_bytes: u64) -> Self {
        Self { inner, left: cap_bytes, cap: cap_bytes }
    }
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        let left = self.left.checked_sub(read as u64);
        // what was read is lost, so nothing may follow it
        self.left = left.unwrap_or(0);
        match left {
            Some(_) => Ok(read),
            None => Err(io::Error::other(PastCap { cap_bytes: self.cap })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_up_to_the_cap_and_no_further() {
        assert_eq!(read_all(&b"abcd"[..], 4, "x").unwrap(), b"abcd");
        assert_eq!(read_all(&b"abcde"[..], 4, "x").unwrap_err().kind(), Kind::BadInput);
    }

    #[test]
    fn a_capped_reader_fails_past_its_cap() {
        let mut out = String::new();
        assert!(Capped::new(&b"abc"[..], 2).read_to_string(&mut out).is_err());
    }

    #[test]
    fn past_its_cap_a_reader_says_so_and_gives_nothing_more() {
        let mut capped = Capped::new(&b"abcde"[..], 3);
        let mut buf = [0; 4];
        let past = PastCap::of(&capped.read(&mut buf).unwrap_err());
        assert_eq!(past, Some(PastCap { cap_bytes: 3 }));
        assert!(capped.read(&mut buf).is_err());
        assert_eq!(PastCap::of(&io::Error::other("more")), None);
    }
}
