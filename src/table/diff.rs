//! What differs between two versions of a table, row by row.
//!
//! Parts that both versions have are not read: the cost follows what changed.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::{Cells, Contents, names};
use super::distance::{Distance, Furthest};
use super::key::{Key, Keys};
use super::part::Part;
use super::snapshot::Snapshot;
use crate::base::{Cancel, Error, Kind, Result};

/// What differs between two versions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diff {
    /// Rows that only the second version has.
    pub added: u64,
    /// Rows that only the first has.
    pub removed: u64,
    /// Rows with the same key and another content.
    pub changed: u64,
    /// Changed rows by the column that differs; a row may differ in several.
    pub columns: BTreeMap<String, u64>,
    /// How far the vectors of changed rows moved, by column.
    pub vectors: BTreeMap<String, Furthest>,
    /// Columns that only the first version has.
    pub columns_removed: Vec<String>,
    /// Columns that only the second has.
    pub columns_added: Vec<String>,
    /// The first rows that differ, in the order of their keys.
    pub rows: Vec<RowDiff>,
}

/// One row that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct RowDiff {
    /// Its key, a part for each key column.
    pub key: Key,
    /// How it differs.
    pub how: How,
}

/// How a row differs.
#[derive(Debug, Clone, PartialEq)]
pub enum How {
    /// Only the second version has it.
    Added,
    /// Only the first version has it.
    Removed,
    /// These cells differ, in the order of the columns.
    Changed(Vec<CellDiff>),
}

/// One cell of a changed row.
#[derive(Debug, Clone, PartialEq)]
pub struct CellDiff {
    /// Its column.
    pub column: String,
    /// What it held, as text; `None` is null. Of a vector the distance is told instead.
    pub before: Option<String>,
    /// What it holds.
    pub after: Option<String>,
    /// How far a vector moved.
    pub distance: Option<Distance>,
}

impl Diff {
    /// Whether no row differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added + self.removed + self.changed == 0
    }
}

impl Snapshot {
    /// What differs between this version and `other`, with the first `limit` rows by key; `None`
    /// gives all. Memory is taken for the keys of the parts that differ.
    ///
    /// # Errors
    /// [`Kind::Query`] when the versions have no key or not the same, [`Kind::Store`] when a
    /// part was vacuumed or is damaged, [`Kind::Interrupted`].
    pub fn diff(&self, other: &Self, limit: Option<usize>, cancel: &Cancel) -> Result<Diff> {
        if self.key() != other.key() || self.key().is_empty() {
            return Err(Error::new(
                Kind::Query,
                format!(
                    "versions {} and {} have no key in common, so their rows cannot be matched",
                    self.version(),
                    other.version()
                ),
            )
            .at(self.table()));
        }
        self.whole()?;
        other.whole()?;
        let mut diff = Diff {
            columns_removed: names(self).difference(&names(other)).cloned().collect(),
            columns_added: names(other).difference(&names(self)).cloned().collect(),
            ..Diff::default()
        };
        let common: Vec<String> = {
            let there = names(other);
            let fields = self.schema();
            let ours = fields.fields().iter().map(|field| field.name().clone());
            ours.filter(|name| there.contains(name)).collect()
        };
        let mut before = Contents::new(self, apart(self, other), &common);
        let mut known = before.keys(cancel)?;
        let mut rows = First { limit, rows: BTreeMap::new() };
        for part in apart(other, self) {
            let columns: Vec<&str> = common.iter().map(String::as_str).collect();
            for batch in other.scan_part(part, &columns)? {
                cancel.check()?;
                let batch = batch?;
                let keys = Keys::of(&batch, self.key(), self.table())?;
                let after = Cells::of(&batch)?;
                for row in 0..batch.num_rows() {
                    let key = keys.at(row);
                    let Some(old) = known.remove(&key) else {
                        diff.added += 1;
                        rows.offer(key, || Ok(How::Added))?;
                        continue;
                    };
                    let differing = old.differing(&after, row);
                    if differing.is_empty() {
                        continue;
                    }
                    diff.changed += 1;
                    let old_cells = before.cells(old.part)?;
                    let mut cells = Vec::new();
                    for column in differing {
                        let Some(name) = common.get(column) else { continue };
                        *diff.columns.entry(name.clone()).or_default() += 1;
                        let distance = Distance::of(
                            old_cells.vector(column, old.row),
                            after.vector(column, row),
                        );
                        if let Some(distance) = distance {
                            diff.vectors.entry(name.clone()).or_default().see(distance);
                        }
                        cells.push((column, name, distance));
                    }
                    rows.offer(key, || {
                        let cell = |(column, name, distance): (usize, &String, Option<_>)| {
                            let hidden = distance.is_some();
                            Ok(CellDiff {
                                column: name.clone(),
                                before: old_cells.text(column, old.row, hidden)?,
                                after: after.text(column, row, hidden)?,
                                distance,
                            })
                        };
                        cells.into_iter().map(cell).collect::<Result<_>>().map(How::Changed)
                    })?;
                }
            }
        }
        diff.removed = known.len() as u64;
        for key in known.into_keys() {
            rows.offer(key, || Ok(How::Removed))?;
        }
        diff.rows = rows.rows.into_iter().map(|(key, how)| RowDiff { key, how }).collect();
        Ok(diff)
    }
}

/// The parts of `one` that `other` does not have.
pub(super) fn apart<'a>(one: &'a Snapshot, other: &Snapshot) -> Vec<&'a Part> {
    let known: BTreeSet<&str> = other.parts().iter().map(|part| part.path.as_str()).collect();
    one.parts().iter().filter(|part| !known.contains(part.path.as_str())).collect()
}

/// The first rows by key.
struct First {
    limit: Option<usize>,
    rows: BTreeMap<Key, How>,
}

impl First {
    /// Keeps a row if it is among the first; only then is it told in detail.
    fn offer(&mut self, key: Key, how: impl FnOnce() -> Result<How>) -> Result<()> {
        let limit = self.limit.unwrap_or(usize::MAX);
        let full = self.rows.len() >= limit;
        if limit == 0 || (full && self.rows.last_key_value().is_some_and(|(last, _)| *last < key)) {
            return Ok(());
        }
        if full {
            self.rows.pop_last();
        }
        self.rows.insert(key, how()?);
        Ok(())
    }
}
