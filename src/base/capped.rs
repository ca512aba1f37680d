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
    /// None once there was more than that.
    left: Option<u64>,
    cap: u64,
}

impl<R: Read> Capped<R> {
    /// Lets `cap_bytes` pass.
    pub fn new(inner: R, cap_bytes: u64) -> Self {
        Self { inner, left: Some(cap_bytes), cap: cap_bytes }
    }

    /// Lets less pass by what others, under the same cap, have given.
    #[must_use]
    pub fn after(self, given_bytes: u64) -> Self {
        Self { left: self.cap.checked_sub(given_bytes), ..self }
    }

    /// What of the cap is used up, by those before it too.
    pub fn given_bytes(&self) -> u64 {
        self.cap - self.left.unwrap_or(0)
    }

    /// Whether there was more than the cap, so that reading failed.
    pub fn is_past(&self) -> bool {
        self.left.is_none()
    }
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        // what was read past it is lost, so nothing may follow
        self.left = self.left.and_then(|left| left.checked_sub(read as u64));
        match self.left {
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
        assert!(capped.is_past() && capped.given_bytes() == 3);
        assert!(capped.read(&mut buf).is_err());
        assert!(capped.read(&mut buf).is_err(), "at its end, too");
        assert_eq!(PastCap::of(&io::Error::other("more")), None);
    }

    #[test]
    fn readers_under_one_cap_give_no_more_than_it_together() {
        let mut text = String::new();
        let mut first = Capped::new(&b"abc"[..], 5);
        first.read_to_string(&mut text).unwrap();
        let mut second = Capped::new(&b"de"[..], 5).after(first.given_bytes());
        second.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), second.given_bytes()), ("abcde", 5));
        let mut third = Capped::new(&b"f"[..], 5).after(second.given_bytes());
        let past = PastCap::of(&third.read_to_string(&mut text).unwrap_err());
        assert_eq!(past, Some(PastCap { cap_bytes: 5 }), "the whole of it is told");
    }
}
