//! The rows of a table's newest version, as lean as they can be found again.

use std::hint::black_box;
use std::sync::atomic::{AtomicU8, Ordering};

use arrow::array::StringArray;
use rayon::prelude::*;

use crate::base::{Digest, Error, Kind, Result};
use crate::table::{Snapshot, total_rows};

use super::key::{Columns, Key, Keys, Places, Short};
use super::rows;

/// What is known of a stored row: 64 bytes, whatever its id, in one line of a cache.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Row {
    key: Short,
    pub digest: Digest,
    /// Where the content stood; 0 in tables that are made from tables.
    pub place: u64,
    pub part: u32,
    pub fingerprint: u16,
    /// A [`Fate`], decided while other threads look rows up.
    fate: AtomicU8,
}

/// What becomes of a stored row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Fate {
    /// No source has named it so far.
    #[default]
    Unseen,
    /// It stays as it is.
    Keep,
    /// A new row with another content takes its place.
    Replace,
    /// A new row takes its place that says where the same content stands now.
    Move,
    /// A new row with the same content takes its place.
    Renew,
    /// What it would be made from is refused: no row takes its place.
    Refuse,
}

impl Fate {
    const ALL: [Self; 6] =
        [Self::Unseen, Self::Keep, Self::Replace, Self::Move, Self::Renew, Self::Refuse];

    /// Whether the row stays as it is.
    pub(super) fn stays(self) -> bool {
        self == Self::Keep
    }
}

impl Row {
    pub(super) fn decide(&self, fate: Fate) {
        self.fate.store(fate as u8, Ordering::Relaxed);
    }

    pub(super) fn fate(&self) -> Fate {
        let number = usize::from(self.fate.load(Ordering::Relaxed));
        Fate::ALL.get(number).copied().unwrap_or_default()
    }
}

/// Rows, found by key.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Sorted by key.
    rows: Vec<Row>,
    /// Where the rows of each value of a key's first `bits` bits begin, and the end of all. There
    /// are about as many values as rows: memory is waited for twice for a row, and not at every step
    /// of a search.
    starts: Vec<u32>,
    bits: u32,
    pub fingerprints: Vec<String>,
}

/// Parts that are read at once; between them what was read is put together.
const PARTS_AT_ONCE: usize = 16;

impl Stored {
    /// Reads the keys of the given parts; gives the parts, too, that turn out to be damaged.
    ///
    /// # Errors
    /// When a part cannot be read for another reason than damage.
    pub(super) fn read(
        snapshot: &Snapshot,
        parts: &[u32],
        columns: Columns,
    ) -> Result<(Self, Vec<u32>)> {
        let mut damaged = Vec::new();
        let mut names = columns.names();
        names.push("fingerprint");
        let expected = parts.iter().filter_map(|part| snapshot.parts().get(*part as usize));
        let room = room(expected.map(|part| (part.rows, part.size_bytes)));
        let mut stored = Self::default();
        // Where there is none for so many, the rows that are really there may still find theirs.
        let _ = stored.rows.try_reserve_exact(room);
        for some in parts.chunks(PARTS_AT_ONCE) {
            let read = some.par_iter().map(|part| read_part(snapshot, *part, columns, &names));
            for (number, part) in some.iter().zip(read.collect::<Vec<_>>()) {
                let (rows, fingerprints) = match part {
                    Ok(read) => read,
                    Err(error) if error.kind() == Kind::Store => {
                        tracing::warn!(%error, "a part is made anew");
                        damaged.push(*number);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let known = fingerprints.into_iter().map(|one| stored.intern(&one));
                let known = known.collect::<Result<Vec<_>>>()?;
                stored.rows.extend(rows.into_iter().map(|mut row| {
                    row.fingerprint = known.get(usize::from(row.fingerprint)).copied().unwrap_or(0);
                    row
                }));
            }
        }
        stored.rows.par_sort_unstable_by_key(|row| row.key);
        (stored.starts, stored.bits) = starts(&stored.rows);
        Ok((stored, damaged))
    }

    fn intern(&mut self, fingerprint: &str) -> Result<u16> {
        intern(&mut self.fingerprints, fingerprint)
    }

    /// Has the memory of these keys' rows at hand, few keys at a time: it is waited for all of them at
    /// once, where one search after the other would wait for each.
    pub(super) fn fetch(&self, keys: &[Key<'_>]) {
        let start = |key: &Key<'_>| self.starts.get(bucket(key.short(), self.bits)).copied();
        let rows = |at: u32| self.rows.get(at as usize);
        // Reads that hang on nothing before them, twice.
        black_box(keys.iter().filter_map(start).fold(0, u32::wrapping_add));
        black_box(keys.iter().filter_map(start).filter_map(rows).fold(0, |sum, row| sum ^ row.key));
    }

    pub(super) fn get(&self, key: &Key<'_>) -> Option<&Row> {
        let short = key.short();
        let bucket = bucket(short, self.bits);
        let (from, to) = (self.starts.get(bucket)?, self.starts.get(bucket + 1)?);
        let of = self.rows.get(*from as usize..*to as usize)?;
        of.get(of.binary_search_by_key(&short, |row| row.key).ok()?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }
}

/// Rows to make room for, by the rows and the bytes of each part: the log may say any number of rows,
/// and of a part each takes a byte and more.
fn room(parts: impl Iterator<Item = (u64, u64)>) -> usize {
    let rows = total_rows(parts.map(|(rows, size_bytes)| rows.min(size_bytes)));
    usize::try_from(rows).unwrap_or(0)
}

fn bucket(key: Short, bits: u32) -> usize {
    usize::try_from(key.checked_shr(Short::BITS - bits).unwrap_or(0)).unwrap_or(0)
}

/// Where the rows of each bucket begin, and how many bits name one.
fn starts(rows: &[Row]) -> (Vec<u32>, u32) {
    let bits = rows.len().checked_ilog2().unwrap_or(0);
    let mut counts = vec![0_u32; (1 << bits) + 1];
    for row in rows {
        if let Some(next) = counts.get_mut(bucket(row.key, bits) + 1) {
            *next += 1;
        }
    }
    let mut sum = 0;
    for count in &mut counts {
        sum += *count;
        *count = sum;
    }
    (counts, bits)
}

fn intern(known: &mut Vec<String>, fingerprint: &str) -> Result<u16> {
    let at = known.iter().position(|one| one == fingerprint).unwrap_or_else(|| {
        known.push(fingerprint.to_owned());
        known.len() - 1
    });
    u16::try_from(at).map_err(|cause| {
        Error::new(Kind::Store, "rows of too many fingerprints in one version").caused_by(cause)
    })
}

/// The rows of one part; their fingerprints are numbers of the strings beside them.
fn read_part(
    snapshot: &Snapshot,
    number: u32,
    columns: Columns,
    names: &[&str],
) -> Result<(Vec<Row>, Vec<String>)> {
    let mut found = Vec::new();
    let mut known = Vec::new();
    let Some(part) = snapshot.parts().get(number as usize) else { return Ok((found, known)) };
    for batch in snapshot.scan_part(part, names)? {
        let batch = batch?;
        let keys = Keys::of(&batch, columns)?;
        let fingerprints = rows::column::<StringArray>(&batch, "fingerprint")?;
        let places = if columns.place.is_empty() { None } else { Some(Places::of(&batch)?) };
        for at in 0..batch.num_rows() {
            found.push(Row {
                key: keys.key(at).short(),
                digest: keys.digest(at)?,
                place: places.as_ref().map_or(0, |places| places.value(at)),
                part: number,
                fingerprint: intern(&mut known, fingerprints.value(at))?,
                fate: AtomicU8::default(),
            });
        }
    }
    Ok((found, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_for_no_more_rows_than_the_files_can_hold() {
        assert_eq!(room([(3, 4096), (5, 4096)].into_iter()), 8);
        assert_eq!(room([(u64::MAX, 4096), (u64::MAX, 4096), (5, 4096)].into_iter()), 8197);
        let whole = [(u64::MAX, u64::MAX); 2].into_iter();
        assert!(Vec::<Row>::new().try_reserve_exact(room(whole)).is_err());
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        let ids: Vec<String> = (0..5000).map(|n| format!("image-{n}")).collect();
        for some in [0, 1, 2, 3, 5000] {
            found_are(&ids[..some]);
        }
        assert!(Stored::default().get(&Key::image("image-0")).is_none());
        assert!(size_of::<Row>() <= 64);
    }

    fn found_are(ids: &[String]) {
        let row = |id: &String| Row {
            key: Key::image(id).short(),
            digest: Digest::of(id.as_bytes()),
            place: 0,
            part: 0,
            fingerprint: 0,
            fate: AtomicU8::default(),
        };
        let mut rows: Vec<_> = ids.iter().map(row).collect();
        rows.sort_unstable_by_key(|row| row.key);
        let (starts, bits) = starts(&rows);
        let stored = Stored { rows, starts, bits, fingerprints: Vec::new() };
        for id in ids {
            assert_eq!(stored.get(&Key::image(id)).unwrap().digest, Digest::of(id.as_bytes()));
            assert!(stored.get(&Key::caption(id, 0)).is_none());
        }
        assert!(stored.get(&Key::image("image-5000")).is_none());
    }
}
