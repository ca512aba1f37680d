//! Reading a pickle's operands.

use crate::base::{Error, Kind, Result};

/// Bytes, and how far they were read.
#[derive(Debug)]
pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Input<'a> {
    fn ended() -> Error {
        Error::new(Kind::BadInput, "its pickle ends in the middle")
            .help("the file may have been cut short on its way: fetch it again")
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or_else(Self::ended)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(Self::ended)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.first_chunk().copied().ok_or_else(Self::ended)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn length_u32(&mut self) -> Result<usize> {
        self.array().map(|n| usize::try_from(u32::from_le_bytes(n)).unwrap_or(usize::MAX))
    }

    pub(super) fn length_u64(&mut self) -> Result<usize> {
        self.array().map(|n| usize::try_from(u64::from_le_bytes(n)).unwrap_or(usize::MAX))
    }

    /// Up to the next line feed, which is taken too.
    pub(super) fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or_else(Self::ended)?;
        let line = self.text(length)?;
        self.at += 1;
        Ok(line)
    }

    pub(super) fn text(&mut self, length: usize) -> Result<&'a str> {
        std::str::from_utf8(self.take(length)?).map_err(|cause| {
            Error::new(Kind::BadInput, "its pickle holds a name that is not UTF-8").caused_by(cause)
        })
    }
}
