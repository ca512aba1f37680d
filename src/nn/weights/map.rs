//! Files as bytes, by memory map: the only `unsafe` of the crate.

use std::fs::File;
use std::path::Path;

use crate::base::{Error, Result};

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
        if file.metadata().map_err(io("cannot look at"))?.len() == 0 {
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
}
