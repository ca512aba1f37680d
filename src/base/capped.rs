//! Reading outside bytes without trusting their size.

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
        let left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!("more than the cap of {}", super::units::Bytes(self.cap)))
        })?;
        self.left = left;
        Ok(read)
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
}
