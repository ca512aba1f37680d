//! One 512-byte header: fields as POSIX ustar, GNU, star and v7 lay them out.

use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;

/// Size of a header and unit of padding, in bytes.
pub(crate) const BLOCK_BYTES: usize = 512;

/// One block of an archive, read as a header.
#[derive(Debug, Clone)]
pub(crate) struct Header(pub(crate) [u8; BLOCK_BYTES]);

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A file with bytes of its own.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; never followed.
    Symlink,
    /// A second name of an earlier member; never followed.
    HardLink,
    /// A character device; never opened.
    CharDevice,
    /// A block device; never opened.
    BlockDevice,
    /// A named pipe; never opened.
    Fifo,
    /// Something about the archive rather than in it: volume label, access list, dump list.
    Metadata(u8),
    /// A type flag that no format defines.
    Unknown(u8),
}

impl EntryKind {
    /// What the file system says that it is.
    pub(crate) fn of(kind: FileType) -> Self {
        if kind.is_symlink() {
            Self::Symlink
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_fifo() {
            Self::Fifo
        } else if kind.is_char_device() {
            Self::CharDevice
        } else if kind.is_block_device() {
            Self::BlockDevice
        } else if kind.is_file() {
            Self::File
        } else {
            Self::Unknown(b's')
        }
    }

    /// What it is, in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::HardLink => "a hard link",
            Self::CharDevice => "a character device",
            Self::BlockDevice => "a block device",
            Self::Fifo => "a named pipe",
            Self::Metadata(_) => "a note about the archive",
            Self::Unknown(_) => "of an unknown type",
        }
    }

    /// Whether `size` bytes follow the header. Links, devices, pipes and directories may
    /// state a size and have no content.
    pub(super) fn has_content(self) -> bool {
        matches!(self, Self::File | Self::Metadata(_) | Self::Unknown(_))
    }
}

impl Header {
    fn field(&self, from: usize, to: usize) -> &[u8] {
        self.0.get(from..to).unwrap_or_default()
    }

    /// Whether the block is the end mark.
    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Whether the stored checksum fits, as unsigned bytes or, as old Sun tars did, signed ones.
    pub(crate) fn checksum_fits(&self) -> bool {
        let Some(stored) = number(self.field(148, 156)) else { return false };
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (at, byte) in self.0.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(i8::from_ne_bytes([byte]));
        }
        stored == unsigned || stored == signed
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.0.get(156).copied().unwrap_or_default()
    }

    /// Bytes that follow; `None` for a negative or unreadable number.
    pub(super) fn size_bytes(&self) -> Option<u64> {
        number(self.field(124, 136)).and_then(|size| u64::try_from(size).ok())
    }

    /// When it was changed, in seconds since 1970; 0 where nothing is said.
    pub(crate) fn mtime_s(&self) -> Option<i64> {
        number(self.field(136, 148))
    }

    /// The name, with ustar's prefix. GNU headers keep times where ustar has the prefix, but
    /// for those of Go before 1.8, which mixed the two; star keeps times in its last part.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = until_nul(self.field(0, 100));
        let end = match self.field(257, 265) {
            b"ustar  \0" if number(self.field(345, 357)).is_none() => 500,
            [b'u', b's', b't', b'a', b'r', 0, ..] if self.field(508, 512) == b"tar\0" => 476,
            [b'u', b's', b't', b'a', b'r', 0, ..] => 500,
            _ => return name.to_vec(),
        };
        match until_nul(self.field(345, end)) {
            [] => name.to_vec(),
            prefix => [prefix, b"/", name].concat(),
        }
    }

    pub(super) fn kind(&self, name: &[u8]) -> EntryKind {
        match self.type_flag() {
            // v7 had no type for directories: a name that ends in a slash is one
            0 if name.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::CharDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            flag @ (b'A' | b'D' | b'E' | b'I' | b'M' | b'N' | b'V') => EntryKind::Metadata(flag),
            flag => EntryKind::Unknown(flag),
        }
    }

    /// GNU's own sparse map: the pairs of this block, whether blocks of more pairs follow, and
    /// the size with its holes.
    pub(super) fn gnu_sparse(&self) -> (Vec<(u64, u64)>, bool, Option<u64>) {
        let more = self.0.get(482).is_some_and(|flag| *flag != 0);
        let real = number(self.field(483, 495)).and_then(|size| u64::try_from(size).ok());
        (pairs(self.field(386, 482)), more, real)
    }

    /// A block of GNU's that continues a sparse map.
    pub(super) fn more_gnu_sparse(&self) -> (Vec<(u64, u64)>, bool) {
        (pairs(self.field(0, 504)), self.0.get(504).is_some_and(|flag| *flag != 0))
    }
}

fn pairs(bytes: &[u8]) -> Vec<(u64, u64)> {
    let read = |bytes: &[u8]| number(bytes).and_then(|n| u64::try_from(n).ok());
    bytes
        .chunks_exact(24)
        .map_while(|pair| {
            let (offset, length) = pair.split_at(12);
            Some((read(offset)?, read(length)?))
        })
        .filter(|(_, length)| *length > 0)
        .collect()
}

/// Bytes up to the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number of a header: octal digits, or, where the first bit is set, base 256 in two's
/// complement (GNU and star, for what octal cannot hold).
fn number(bytes: &[u8]) -> Option<i64> {
    let (first, rest) = bytes.split_first()?;
    if *first == 0x80 || *first == 0xff {
        let start = if *first == 0xff { -1_i64 } else { 0 };
        return rest.iter().try_fold(start, |value, byte| {
            value.checked_mul(256).and_then(|value| value.checked_add(i64::from(*byte)))
        });
    }
    let digits = until_nul(bytes).trim_ascii();
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(0x2_0000_0000));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        assert_eq!(number(b"0000008\0"), None);
        assert_eq!(number(b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }
}
