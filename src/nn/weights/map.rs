//! Files as bytes, by memory map: the only `unsafe` outside of the kernels.

use std::fs::File;
use std::path::Path;

use crate::base::{Error, Kind, Result};

/// The system maps what lies around a byte that is looked at, up to the largest of its pages.
const AROUND_BYTES: usize = 2 << 20;

/// The bytes of a file, or of memory.
#[derive(Debug)]
pub(super) enum FileBytes {
    /// A mapped file.
    Map(memmap2::Mmap),
    /// Bytes that are there already; a file of no bytes cannot be mapped.
    Memory(Vec<u8>),
}

impl FileBytes {
    /// Maps a whole file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |what: &'static str| {
            move |cause: std::io::Error| Error::io(what, path.display(), cause)
        };
        let file = File::open(path).map_err(io("cannot open"))?;
        let about = file.metadata().map_err(io("cannot look at"))?;
        if about.is_dir() {
            return Err(Error::new(Kind::BadInput, "is a folder, expected a file of weights")
                .at(path.display()));
        }
        if about.len() == 0 {
            return Ok(Self::Memory(Vec::new()));
        }
        // SAFETY: the map is private and read-only, and every byte of it is valid for `u8`.
        // Another process that truncates the file while it is mapped would end this one with
        // SIGBUS, as for every reader of mapped weights; clipmill itself replaces files only by
        // rename, which leaves a map whole.
        #[expect(unsafe_code, reason = "weights of gigabytes are mapped, not copied")]
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io("cannot map"))?;
        Ok(Self::Map(map))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Map(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }

    /// Lets the system take back the memory behind a range that was read, and around it: a map's
    /// pages count as memory of the process. What is read again comes from the file again.
    pub(super) fn release(&self, range: std::ops::Range<usize>) {
        let Self::Map(map) = self else { return };
        let from = range.start / AROUND_BYTES * AROUND_BYTES;
        let to = range.end.checked_next_multiple_of(AROUND_BYTES).unwrap_or(usize::MAX);
        let to = to.min(map.len());
        if from >= to {
            return;
        }
        // SAFETY: the map is read-only and of a file, so that pages which are dropped are read from
        // the file again when they are next looked at: no byte changes.
        #[expect(unsafe_code, reason = "the advice is safe for maps of files that are only read")]
        let advised = unsafe {
            map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from)
        };
        if let Err(cause) = advised {
            tracing::debug!(%cause, "the system keeps pages of weights");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_bytes_are_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.bin");
        let bytes: Vec<u8> = (0_u8..=250).cycle().take(3 * AROUND_BYTES + 17).collect();
        crate::base::files::write_atomic(&path, |w| {
            std::io::Write::write_all(w, &bytes)
                .map_err(|cause| Error::io("cannot write", "w", cause))
        })
        .unwrap();
        let file = FileBytes::open(&path).unwrap();
        for range in [0..0, 3..9, 1..2 * AROUND_BYTES, 0..bytes.len(), bytes.len()..usize::MAX] {
            file.release(range);
            assert_eq!(file.as_slice(), bytes);
        }
    }
}
