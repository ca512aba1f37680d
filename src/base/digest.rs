//! Digests of bytes, and of settings that change numbers.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;

use super::cancel::Cancel;
use super::error::{Error, Kind};
use super::files;

/// A blake3 digest; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of all that `reader` gives.
    ///
    /// # Errors
    /// As [`files::in_pieces`].
    pub fn of_reader(reader: impl Read, cancel: &Cancel) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        files::in_pieces(reader, cancel, |piece| {
            hasher.update_rayon(piece);
        })?;
        Ok(Self(*hasher.finalize().as_bytes()))
    }

    /// The digest of a file. It is read and not mapped: pages of a map count as memory of the
    /// process, gigabytes of them.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be read, [`Kind::BadInput`] when it is no file,
    /// [`Kind::Interrupted`].
    pub fn of_file(path: &Path, cancel: &Cancel) -> Result<Self, Error> {
        let io = |cause| Error::io("cannot read", path.display(), cause);
        // A pipe keeps who opens it waiting, and a device may never end.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(Error::new(Kind::BadInput, "is no file, and so has no digest")
                .at(path.display())
                .help("write what it gives into a file, and name that"));
        }
        let read = std::fs::File::open(path).and_then(|file| Self::of_reader(file, cancel));
        cancel.check()?;
        read.map_err(io)
    }

    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From raw bytes, as a stored index keeps them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first twelve digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        f.write_str(HEXLOWER_PERMISSIVE.encode_mut_str(&self.0, &mut digits))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let none = || {
            Error::new(Kind::BadInput, format!("`{text}` is no digest of 64 hexadecimal digits"))
        };
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(none());
        }
        HEXLOWER_PERMISSIVE
            .decode_mut(text.as_bytes(), &mut bytes)
            .map_err(|cause| none().caused_by(cause.error))?;
        Ok(Self(bytes))
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Builds a digest bit by bit; every field is framed, so `ab`+`c` differs from `a`+`bc`.
#[derive(Debug, Clone, Default)]
pub struct Digester {
    /// What `hasher` was not given yet. Mostly it is all there is, a row's few fields, and a hasher of
    /// 2 KB would cost more than their digest.
    held: Vec<u8>,
    hasher: Option<Box<blake3::Hasher>>,
}

/// Most bytes that are held.
const HELD_BYTES: usize = 512;

impl Digester {
    /// An empty digester.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one framed field.
    pub fn field(&mut self, name: &str, value: &[u8]) -> &mut Self {
        for part in [name.as_bytes(), value] {
            self.bytes(&(part.len() as u64).to_le_bytes()).bytes(part);
        }
        self
    }

    /// Adds raw bytes, unframed: for streaming one content.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        if self.held.is_empty() && self.hasher.is_none() {
            self.held.reserve_exact(HELD_BYTES);
        }
        if self.held.len() + bytes.len() > HELD_BYTES {
            let hasher = self.hasher.get_or_insert_default();
            hasher.update(&self.held).update(bytes);
            self.held.clear();
        } else {
            self.held.extend(bytes);
        }
        self
    }

    /// The digest of what was added.
    #[must_use]
    pub fn finish(&self) -> Digest {
        match &self.hasher {
            None => Digest::of(&self.held),
            Some(hasher) => Digest(*hasher.clone().update(&self.held).finalize().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_framed() {
        let a = Digester::new().field("x", b"ab").field("y", b"c").finish();
        let b = Digester::new().field("x", b"a").field("y", b"bc").finish();
        assert_ne!(a, b);
    }

    #[test]
    fn pieces_of_any_sizes_have_the_digest_of_all() {
        let bytes: Vec<u8> = (0_u8..=250).cycle().take(9000).collect();
        for sizes in [&[1, 7, 300][..], &[512], &[511, 1, 1], &[513], &[2000, 3, 600, 9], &[9000]] {
            let (mut digester, mut all) = (Digester::new(), Vec::new());
            assert_eq!(digester.finish(), Digest::of(&[]));
            let mut left = bytes.as_slice();
            for size in sizes.iter().cycle().take(40) {
                let (piece, rest) = left.split_at(left.len().min(*size));
                left = rest;
                digester.bytes(piece);
                all.extend(piece);
                assert_eq!(digester.finish(), Digest::of(&all), "{sizes:?}");
            }
        }
        let framed = [&4_u64.to_le_bytes()[..], b"name", &5_u64.to_le_bytes(), b"value"].concat();
        assert_eq!(Digester::new().field("name", b"value").finish(), Digest::of(&framed));
    }

    #[test]
    fn a_files_digest_is_that_of_its_bytes_unless_reading_is_stopped() {
        use std::io::Write as _;
        let bytes: Vec<u8> = (0_u8..=250).cycle().take((4 << 20) + 7).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        assert_eq!(Digest::of_file(file.path(), &Cancel::new()).unwrap(), Digest::of(&bytes));
        assert_eq!(Digest::of_reader(&b""[..], &Cancel::new()).unwrap(), Digest::of(b""));
        let folder = tempfile::tempdir().unwrap();
        let error = Digest::of_file(folder.path(), &Cancel::new()).unwrap_err().to_string();
        assert!(error.ends_with("is no file, and so has no digest"), "{error}");
        let cancel = Cancel::new();
        cancel.cancel();
        assert_eq!(Digest::of_file(file.path(), &cancel).unwrap_err().kind(), Kind::Interrupted);
    }

    #[test]
    fn text_and_digest_are_inverse() {
        let digest = Digest::of(b"clipmill");
        let text = digest.to_string();
        assert_eq!(text, blake3::hash(b"clipmill").to_hex().as_str());
        assert_eq!(text.parse::<Digest>().unwrap(), digest);
        assert_eq!(text.to_uppercase().parse::<Digest>().unwrap(), digest);
        let (short, long) = (text.get(1..).unwrap(), format!("{text}0"));
        let other = text.replacen(|c: char| c.is_ascii_digit(), "g", 1);
        let wide = text.replacen(text.get(7..9).unwrap(), "é", 1);
        assert_eq!(wide.len(), text.len());
        for wrong in ["", "12", short, &long, &format!("{text}00"), &other, &wide] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
