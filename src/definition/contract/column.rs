//! `[columns.<name>]`: type, nullability, unit and meaning.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it may hold nulls.
    pub nullable: bool,
    /// Unit of its numbers, such as `px` or `bytes`; empty where there is none.
    pub unit: String,
    /// What a value means.
    pub meaning: String,
}

/// The types a column can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum ColumnType {
    /// UTF-8 text.
    #[serde(rename = "string")]
    String,
    /// True or false.
    #[serde(rename = "bool")]
    Bool,
    /// Signed 32-bit integer.
    #[serde(rename = "int32")]
    Int32,
    /// Signed 64-bit integer.
    #[serde(rename = "int64")]
    Int64,
    /// 32-bit float.
    #[serde(rename = "float32")]
    Float32,
    /// 64-bit float.
    #[serde(rename = "float64")]
    Float64,
    /// Microseconds since 1970, UTC.
    #[serde(rename = "timestamp")]
    Timestamp,
    /// Bytes.
    #[serde(rename = "binary")]
    Binary,
    /// List of 32-bit floats, without nulls.
    #[serde(rename = "list<float32>")]
    ListFloat32,
    /// List of UTF-8 texts, without nulls.
    #[serde(rename = "list<string>")]
    ListString,
}

impl ColumnType {
    /// All types, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::String,
        Self::Bool,
        Self::Int32,
        Self::Int64,
        Self::Float32,
        Self::Float64,
        Self::Timestamp,
        Self::Binary,
        Self::ListFloat32,
        Self::ListString,
    ];

    /// The name in a contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Timestamp => "timestamp",
            Self::Binary => "binary",
            Self::ListFloat32 => "list<float32>",
            Self::ListString => "list<string>",
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
impl Column {
    /// A column without null, unit and meaning, for tests.
    pub(crate) fn plain((name, kind): (&str, ColumnType)) -> Self {
        let (unit, meaning) = (String::new(), String::new());
        Self { name: name.to_owned(), kind, nullable: false, unit, meaning }
    }
}
