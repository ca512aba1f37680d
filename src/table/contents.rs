//! The rows of some parts, as a comparison needs them: a short hash of every cell by key, and
//! the cells themselves of the parts that were looked at last.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float32Type};
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::key::{Key, Keys};
use super::part::Part;
use super::snapshot::Snapshot;
use crate::base::{Cancel, Error, Kind, Result};

/// Parts whose cells are held at once: tens of MiB of features.
const HELD_PARTS: usize = 4;

/// Names of a version's columns.
pub(super) fn names(of: &Snapshot) -> BTreeSet<String> {
    of.schema().fields().iter().map(|field| field.name().clone()).collect()
}

/// Some parts of one version.
pub(super) struct Contents<'a> {
    snapshot: &'a Snapshot,
    parts: Vec<&'a Part>,
    columns: &'a [String],
    held: VecDeque<(usize, Arc<Cells>)>,
}

/// Where a row is, and the hash of each of its cells.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) part: usize,
    pub(super) row: usize,
    hashes: Box<[u64]>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, parts: Vec<&'a Part>, columns: &'a [String]) -> Self {
        Self { snapshot, parts, columns, held: VecDeque::new() }
    }

    /// Every row of the parts, by key.
    pub(super) fn keys(&self, cancel: &Cancel) -> Result<BTreeMap<Key, Place>> {
        let mut places = BTreeMap::new();
        for (number, part) in self.parts.iter().enumerate() {
            let mut first = 0;
            for batch in self.snapshot.scan_part(part, &self.columns())? {
                cancel.check()?;
                let batch = batch?;
                let keys = Keys::of(&batch, self.snapshot.key(), self.snapshot.table())?;
                let cells = Cells::of(&batch)?;
                for row in 0..batch.num_rows() {
                    let hashes = (0..cells.width()).map(|column| cells.hash(column, row)).collect();
                    let place = Place { part: number, row: first + row, hashes };
                    places.insert(keys.at(row), place);
                }
                first += batch.num_rows();
            }
        }
        Ok(places)
    }

    /// The cells of a part.
    pub(super) fn cells(&mut self, part: usize) -> Result<Arc<Cells>> {
        if let Some((_, cells)) = self.held.iter().find(|(number, _)| *number == part) {
            return Ok(Arc::clone(cells));
        }
        let Some(found) = self.parts.get(part) else {
            return Err(Error::new(Kind::Internal, "there is no such part to compare with"));
        };
        let batches =
            self.snapshot.scan_part(found, &self.columns())?.collect::<Result<Vec<_>>>()?;
        let schema = self.snapshot.project(&self.columns())?;
        let whole = concat_batches(&schema, &batches).map_err(unlike)?;
        let cells = Arc::new(Cells::of(&whole)?);
        if self.held.len() >= HELD_PARTS {
            self.held.pop_front();
        }
        self.held.push_back((part, Arc::clone(&cells)));
        Ok(cells)
    }

    fn columns(&self) -> Vec<&'a str> {
        self.columns.iter().map(String::as_str).collect()
    }
}

impl Place {
    /// The columns in which this row differs from row `row` of `after`.
    pub(super) fn differing(&self, after: &Cells, row: usize) -> Vec<usize> {
        let hashes = self.hashes.iter().enumerate();
        let other = hashes.filter(|(column, hash)| **hash != after.hash(*column, row));
        other.map(|(column, _)| column).collect()
    }
}

/// The cells of a batch.
pub(super) struct Cells {
    columns: Vec<(ArrayRef, Rows)>,
}

impl Cells {
    pub(super) fn of(batch: &RecordBatch) -> Result<Self> {
        let rows = |column: &ArrayRef| {
            let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())]);
            let rows = converter.and_then(|c| c.convert_columns(std::slice::from_ref(column)));
            rows.map(|rows| (Arc::clone(column), rows)).map_err(unlike)
        };
        Ok(Self { columns: batch.columns().iter().map(rows).collect::<Result<_>>()? })
    }

    fn width(&self) -> usize {
        self.columns.len()
    }

    /// 64 bits of the digest of a cell: two contents are taken for one with a chance of 2^-64.
    fn hash(&self, column: usize, row: usize) -> u64 {
        let Some((_, rows)) = self.columns.get(column) else { return 0 };
        let digest = blake3::hash(rows.row(row).as_ref());
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The numbers of a cell that holds a vector.
    pub(super) fn vector(&self, column: usize, row: usize) -> Option<Vec<f32>> {
        let (array, _) = self.columns.get(column)?;
        let lists = array.as_list_opt::<i32>().filter(|lists| lists.is_valid(row))?;
        let values = lists.value(row);
        values.as_primitive_opt::<Float32Type>().map(|values| values.values().to_vec())
    }

    /// A cell as text; `None` for null, and for what is `hidden`.
    pub(super) fn text(&self, column: usize, row: usize, hidden: bool) -> Result<Option<String>> {
        let Some((array, _)) = self.columns.get(column) else { return Ok(None) };
        if hidden || array.is_null(row) {
            return Ok(None);
        }
        if let DataType::Timestamp(_, _) = array.data_type() {
            let us = array.as_primitive_opt::<arrow::datatypes::TimestampMicrosecondType>();
            return Ok(us.map(|us| crate::base::clock::rfc3339(us.value(row))));
        }
        let options = FormatOptions::default();
        let format = ArrayFormatter::try_new(array.as_ref(), &options).map_err(unlike)?;
        Ok(Some(format.value(row).to_string()))
    }
}

fn unlike(cause: arrow::error::ArrowError) -> Error {
    Error::new(Kind::Internal, "cannot compare the rows of two versions").caused_by(cause)
}
