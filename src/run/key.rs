//! Keys of rows, and the columns that name a row and what it was made from.

use std::hash::{DefaultHasher, Hasher as _};

use arrow::array::{Int32Array, Int64Array, RecordBatch, StringArray};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::base::{Digest, Error, Kind, Result};
use crate::table::{KeyPart, Part};

use super::rows;

/// The key of a row: an image, and the caption's number where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub image_id: &'a str,
    pub caption_index: Option<i32>,
    short: Short,
}

impl<'a> Key<'a> {
    pub(super) fn image(image_id: &'a str) -> Self {
        Self::new(image_id, None)
    }

    pub(super) fn caption(image_id: &'a str, caption_index: i32) -> Self {
        Self::new(image_id, Some(caption_index))
    }

    fn new(image_id: &'a str, caption_index: Option<i32>) -> Self {
        let mut hasher = SipHasher13::new();
        // Absent and 0 are two keys.
        hasher.write_i64(caption_index.map_or(-1 << 40, i64::from));
        hasher.write(image_id.as_bytes());
        Self { image_id, caption_index, short: hasher.finish128().as_u128() }
    }

    /// 128 bits stand for the key: a table of millions of rows is looked through without holding
    /// its ids, and two of a billion keys meet by chance with a probability below 2^-68. They are
    /// never stored, so that the hash may be a quick one. It is taken once, however often the
    /// key is looked up.
    pub(super) fn short(&self) -> Short {
        self.short
    }
}

/// What stands for a key.
pub(super) type Short = u128;

/// The first and the last image of a part; none where its seal does not tell.
pub(super) fn ends(part: &Part) -> Option<(&str, &str)> {
    let seal = part.seal.as_ref()?;
    match (seal.min_key.first(), seal.max_key.first()) {
        (Some(KeyPart::Text(first)), Some(KeyPart::Text(last))) => Some((first, last)),
        _ => None,
    }
}

/// Which columns say what a row is and what it was made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub has_caption_index: bool,
    /// `digest` in tables that read sources, `input_digest` in those made from tables.
    pub digest: &'static str,
    /// The columns whose change rewrites a row although its content is the same: where it stands.
    /// Empty in tables made from tables. Of captions the offset is none of them: one line that
    /// grows would rewrite the row of every line behind it.
    pub place: &'static [&'static str],
}

impl Columns {
    /// The columns that name a row, its input and its place.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let mut names = vec!["image_id", self.digest];
        if self.has_caption_index {
            names.push("caption_index");
        }
        names.extend(self.place);
        names
    }
}

/// The columns that name a row, and what it was made from.
pub(super) struct Keys<'a> {
    ids: &'a StringArray,
    indices: Option<&'a Int32Array>,
    digests: &'a StringArray,
}

impl<'a> Keys<'a> {
    pub(super) fn of(batch: &'a RecordBatch, columns: Columns) -> Result<Self> {
        let indices = if columns.has_caption_index {
            Some(rows::column(batch, "caption_index")?)
        } else {
            None
        };
        Ok(Self {
            ids: rows::column(batch, "image_id")?,
            indices,
            digests: rows::column(batch, columns.digest)?,
        })
    }

    pub(super) fn key(&self, at: usize) -> Key<'_> {
        Key::new(self.ids.value(at), self.indices.map(|indices| indices.value(at)))
    }

    pub(super) fn digest(&self, at: usize) -> Result<Digest> {
        stored_digest(self.digests.value(at))
    }
}

/// The digest that a column of a stored table says.
///
/// # Errors
/// [`Kind::Store`] when it is none: the part is damaged.
pub(super) fn stored_digest(text: &str) -> Result<Digest> {
    text.parse::<Digest>()
        .map_err(|cause| Error::new(Kind::Store, "a stored digest is none").caused_by(cause))
}

/// The columns that say where a row's content stands.
pub(super) struct Places<'a> {
    source: &'a StringArray,
    member: &'a StringArray,
    offset: Option<&'a Int64Array>,
    size: Option<&'a Int64Array>,
}

impl<'a> Places<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self> {
        Ok(Self {
            source: rows::column(batch, "source")?,
            member: rows::column(batch, "member")?,
            // Captions have none of the two.
            offset: rows::column(batch, "offset").ok(),
            size: rows::column(batch, "size_bytes").ok(),
        })
    }

    pub(super) fn value(&self, at: usize) -> u64 {
        let number = |column: Option<&Int64Array>| {
            column.and_then(|column| u64::try_from(column.value(at)).ok()).unwrap_or(0)
        };
        let (source, member) = (self.source.value(at), self.member.value(at));
        place(source, member, number(self.offset), number(self.size))
    }
}

/// A hash of where some content stands, to notice that it moved; never stored.
pub(super) fn place(source: &str, member: &str, offset: u64, size_bytes: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    for name in [source, member] {
        hasher.write_usize(name.len());
        hasher.write(name.as_bytes());
    }
    hasher.write_u64(offset);
    hasher.write_u64(size_bytes);
    hasher.finish()
}
