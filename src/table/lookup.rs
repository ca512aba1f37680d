//! The rows of one key, without reading the rest.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::key::KeyPart;
use super::part::Part;
use super::read::{builder, damaged, projection};
use super::schema;
use super::snapshot::Snapshot;
use crate::base::{Error, Kind, Result};

impl Snapshot {
    /// The rows whose first key column is `value`, found without reading the others: parts and
    /// row groups are passed over by their extremes and Bloom filters, pages by their place.
    ///
    /// # Errors
    /// [`Kind::Query`] for a column that is not there, [`Kind::Store`] for a damaged part.
    pub fn lookup(&self, value: &str, columns: &[&str]) -> Result<Vec<RecordBatch>> {
        let wanted = self.project(columns)?;
        let Some(key) = self.key().first() else {
            return Err(Error::new(Kind::Query, "the table has no key").at(self.table()));
        };
        let mut found = Vec::new();
        for part in self.parts().iter().filter(|part| may_hold(part, value)) {
            let path = self.folder().path().join(&part.path);
            let look = Look { path: &path, key, value, table: self.table() };
            found.extend(look.rows(&wanted)?);
        }
        Ok(found)
    }
}

/// By the part's smallest and largest key, where they are known.
fn may_hold(part: &Part, value: &str) -> bool {
    let Some(seal) = &part.seal else { return true };
    match (seal.min_key.first(), seal.max_key.first()) {
        (Some(KeyPart::Text(low)), Some(KeyPart::Text(high))) => {
            low.as_str() <= value && value <= high.as_str()
        }
        _ => part.rows > 0,
    }
}

struct Look<'a> {
    path: &'a Path,
    key: &'a str,
    value: &'a str,
    table: &'a str,
}

impl Look<'_> {
    fn rows(&self, wanted: &SchemaRef) -> Result<Vec<RecordBatch>> {
        let first = builder(self.path, PageIndexPolicy::Skip)?;
        let Some(leaf) = first.parquet_schema().columns().iter().position(|c| c.name() == self.key)
        else {
            return Err(damaged(self.path, format!("it has no column `{}`", self.key)));
        };
        let mut found = Vec::new();
        for group in 0..first.metadata().num_row_groups() {
            if !within(first.metadata().row_group(group), leaf, self.value) {
                continue;
            }
            let bloom = first
                .get_row_group_column_bloom_filter(group, leaf)
                .map_err(|cause| damaged(self.path, cause))?;
            if bloom.is_some_and(|bloom| !bloom.check(self.value)) {
                continue;
            }
            if let Some(selection) = self.select(group)? {
                found.extend(self.read(group, selection, wanted)?);
            }
        }
        Ok(found)
    }

    /// Which rows of a row group have the key.
    fn select(&self, group: usize) -> Result<Option<RowSelection>> {
        let builder = builder(self.path, PageIndexPolicy::Skip)?;
        let field = builder.schema().field_with_name(self.key);
        let field = field.map_err(|cause| damaged(self.path, cause))?.clone();
        let mask = projection(&builder, &Arc::new(Schema::new(vec![field])));
        let batches = builder.with_projection(mask).with_row_groups(vec![group]).build();
        let batches = batches.map_err(|cause| damaged(self.path, cause))?;
        let mut selectors = Vec::new();
        for batch in batches {
            let batch = batch.map_err(|cause| damaged(self.path, cause))?;
            let Some(keys) = batch.column(0).as_string_opt::<i32>() else {
                return Err(
                    Error::new(Kind::Query, "the first key column is no text").at(self.table)
                );
            };
            selectors.extend((0..keys.len()).map(|row| {
                let hit = keys.is_valid(row) && keys.value(row) == self.value;
                if hit { RowSelector::select(1) } else { RowSelector::skip(1) }
            }));
        }
        let any = selectors.iter().any(|selector| !selector.skip);
        Ok(any.then(|| RowSelection::from(selectors)))
    }

    fn read(
        &self,
        group: usize,
        selection: RowSelection,
        wanted: &SchemaRef,
    ) -> Result<Vec<RecordBatch>> {
        let builder = builder(self.path, PageIndexPolicy::Optional)?;
        let mask = projection(&builder, wanted);
        let batches = builder
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_row_selection(selection)
            .build()
            .map_err(|cause| damaged(self.path, cause))?;
        batches
            .map(|batch| {
                let batch = batch.map_err(|cause| damaged(self.path, cause))?;
                schema::conform(&batch, wanted, self.table)
            })
            .collect()
    }
}

/// By a row group's extremes; they may be cut short, which only widens them.
fn within(group: &RowGroupMetaData, leaf: usize, value: &str) -> bool {
    let Some(Statistics::ByteArray(range)) = group.column(leaf).statistics() else { return true };
    let low = range.min_bytes_opt().is_none_or(|low| low <= value.as_bytes());
    low && range.max_bytes_opt().is_none_or(|high| value.as_bytes() <= high)
}
