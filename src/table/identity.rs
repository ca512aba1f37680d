//! What a version holds, however its rows lie in parts.

use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};

use super::key::Keys;
use super::publish::Change;
use super::read::PartReader;
use super::schema::arrow_schema;
use super::snapshot::Snapshot;
use super::store::Store;
use crate::base::digest::Digester;
use crate::base::{Digest, Error, Kind, Result};
use crate::plan::contract::Contract;

/// The columns, beside the key, that say what a row is: the digest of what it was made from and
/// the fingerprint it was made under, and of a reject its class. Values follow from these; numbers
/// that differ in their last bits between devices, places in archives and times do not count.
const IDENTITY: [&str; 4] = ["class", "digest", "fingerprint", "input_digest"];

impl Snapshot {
    /// A digest of the version's rows: of each its key, input digest and fingerprint. The same
    /// rows in other parts, in another order, or in another store have the same.
    ///
    /// # Errors
    /// [`Kind::Store`] when a part is missing or damaged.
    pub fn content_digest(&self) -> Result<Digest> {
        digest(self.table(), &self.part_paths(), self.key(), &self.schema())
    }
}

impl Store {
    /// The [`Snapshot::content_digest`] of the version that `change` would make.
    ///
    /// # Errors
    /// [`Kind::Store`] when a part is missing or damaged.
    pub fn content_after(
        &self,
        table: &str,
        contract: &Contract,
        change: &Change,
    ) -> Result<Digest> {
        let folder = self.folder(table)?;
        let now = self.snapshot(table)?;
        let parts = now.as_ref().map_or(&[][..], Snapshot::parts);
        let kept = parts.iter().filter(|part| !change.remove.contains(&part.path));
        let mut paths: Vec<PathBuf> = kept.map(|part| folder.path().join(&part.path)).collect();
        paths.extend(change.add.iter().map(|part| folder.find(&part.path)));
        digest(table, &paths, &contract.key, &arrow_schema(contract))
    }
}

fn digest(table: &str, parts: &[PathBuf], key: &[String], schema: &SchemaRef) -> Result<Digest> {
    let identity = |name: &str| {
        let texts = |field: &arrow::datatypes::Field| field.data_type() == &DataType::Utf8;
        IDENTITY.contains(&name) && schema.field_with_name(name).is_ok_and(texts)
    };
    let fields = schema.fields().iter().enumerate();
    let wanted = fields.filter(|(_, f)| key.contains(f.name()) || identity(f.name()));
    let places: Vec<usize> = wanted.map(|(place, _)| place).collect();
    let schema = schema.project(&places).map_err(|cause| {
        Error::new(Kind::Internal, "cannot choose columns").at(table).caused_by(cause)
    })?;
    let schema = SchemaRef::new(schema);
    let mut rows = Vec::new();
    for path in parts {
        for batch in PartReader::open(path, SchemaRef::clone(&schema), table)? {
            add(&batch?, key, table, &mut rows)?;
        }
    }
    // 32 bytes a row, and no order of parts in them.
    rows.sort_unstable();
    let mut digester = Digester::new();
    for row in &rows {
        digester.bytes(row.as_bytes());
    }
    Ok(digester.finish())
}

fn add(batch: &RecordBatch, key: &[String], table: &str, rows: &mut Vec<Digest>) -> Result<()> {
    let keys = Keys::of(batch, key, table)?;
    let identity: Vec<_> = IDENTITY
        .iter()
        .filter_map(|name| Some((*name, batch.column_by_name(name)?.as_string_opt::<i32>()?)))
        .collect();
    for row in 0..batch.num_rows() {
        let mut digester = Digester::new();
        for part in &keys.at(row) {
            digester.field("key", part.to_string().as_bytes());
        }
        for (name, values) in &identity {
            // Null is not the empty text.
            if values.is_valid(row) {
                digester.field(name, values.value(row).as_bytes());
            }
        }
        rows.push(digester.finish());
    }
    Ok(())
}
