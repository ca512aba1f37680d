//! Keys of rows: compared, hashed, and shown.

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use serde::{Deserialize, Serialize};

use crate::base::{Error, Kind, Result};

/// One column of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPart {
    /// Null, which comes first.
    Null,
    /// A whole number, or microseconds since 1970.
    Int(i64),
    /// Text, compared by its bytes.
    Text(String),
}

/// A row's key, one part for each key column; ordered as the rows of a part are.
pub type Key = Vec<KeyPart>;

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The key columns of a batch.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    names: Vec<String>,
    columns: Vec<ArrayRef>,
}

impl Keys {
    /// Finds the columns `names` in `batch`.
    pub(super) fn of(batch: &RecordBatch, names: &[String], table: &str) -> Result<Self> {
        let columns = names
            .iter()
            .map(|name| {
                let fault = |what: &str| {
                    Error::new(Kind::Definition, format!("key column `{name}` {what}")).at(table)
                };
                let column = batch.column_by_name(name).ok_or_else(|| fault("is not there"))?;
                match column.data_type() {
                    DataType::Utf8
                    | DataType::Int32
                    | DataType::Int64
                    | DataType::Timestamp(_, _) => Ok(column.clone()),
                    other => Err(fault(&format!("has type {other}; a key is text or a number"))),
                }
            })
            .collect::<Result<_>>()?;
        Ok(Self { names: names.to_vec(), columns })
    }

    /// The key of `row`.
    pub(super) fn at(&self, row: usize) -> Key {
        self.columns.iter().map(|column| part(column, row)).collect()
    }

    /// `image_id=1000092795, caption_index=3`.
    pub(super) fn show(&self, row: usize) -> String {
        let parts = self.names.iter().zip(&self.columns);
        let parts = parts.map(|(name, column)| format!("{name}={}", part(column, row)));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// 128 bits of the digest of the framed key: among 2^40 keys two meet by chance with a
    /// probability below 2^-48.
    pub(super) fn hash(&self, row: usize) -> u128 {
        let mut hasher = blake3::Hasher::new();
        for column in &self.columns {
            match part(column, row) {
                KeyPart::Null => hasher.update(&[0]),
                KeyPart::Int(n) => hasher.update(&[1]).update(&n.to_le_bytes()),
                KeyPart::Text(text) => hasher
                    .update(&[2])
                    .update(&(text.len() as u64).to_le_bytes())
                    .update(text.as_bytes()),
            };
        }
        let mut half = [0; 16];
        hasher.finalize_xof().fill(&mut half);
        u128::from_le_bytes(half)
    }
}

fn part(column: &ArrayRef, row: usize) -> KeyPart {
    if column.is_null(row) {
        return KeyPart::Null;
    }
    match column.data_type() {
        DataType::Int32 => KeyPart::Int(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => KeyPart::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Timestamp(_, _) => {
            KeyPart::Int(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        _ => KeyPart::Text(column.as_string::<i32>().value(row).to_owned()),
    }
}
