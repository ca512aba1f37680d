//! What a query may read: the tables of one snapshot, their files and columns.

use std::path::PathBuf;

use arrow::datatypes::{DataType, SchemaRef};

use crate::plan::Fingerprint;
use crate::table::schema::{MEANING, UNIT};

/// All tables that a session sees, each at one version; sorted by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    tables: Vec<TableEntry>,
}

/// One table at one version.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// Its name in SQL.
    pub name: String,
    /// The version that is read.
    pub version: i64,
    /// Rows of that version.
    pub rows: u64,
    /// Exactly the Parquet files of that version, absolute, in the order of their rows.
    pub parts: Vec<PathBuf>,
    /// Its columns, in order.
    pub columns: Vec<ColumnEntry>,
    /// Names the weights that made its embeddings, where it has some: equal names, equal weights.
    pub model: Option<String>,
    /// What made its embeddings, besides their input; none where it has none or nothing tells.
    pub made_under: Option<Fingerprint>,
}

/// One column of a table.
#[derive(Debug, Clone)]
pub struct ColumnEntry {
    /// Its name in SQL.
    pub name: String,
    /// Its type.
    pub kind: DataType,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// The unit of its values; empty where there is none.
    pub unit: String,
    /// What it means.
    pub meaning: String,
}

impl Catalog {
    /// A catalog of these tables.
    #[must_use]
    pub fn new(mut tables: Vec<TableEntry>) -> Self {
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        Self { tables }
    }

    /// All tables, by name.
    #[must_use]
    pub fn tables(&self) -> &[TableEntry] {
        &self.tables
    }

    /// The table of that name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&TableEntry> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl TableEntry {
    /// Whether it has a column of vectors.
    #[must_use]
    pub fn has_vectors(&self) -> bool {
        self.columns.iter().any(|column| column.is_vector())
    }
}

impl ColumnEntry {
    /// The columns of an Arrow schema; unit and meaning come from the fields' metadata.
    #[must_use]
    pub fn of_schema(schema: &SchemaRef) -> Vec<Self> {
        let text = |field: &arrow::datatypes::Field, key: &str| {
            field.metadata().get(key).cloned().unwrap_or_default()
        };
        schema
            .fields()
            .iter()
            .map(|field| Self {
                name: field.name().clone(),
                kind: field.data_type().clone(),
                nullable: field.is_nullable(),
                unit: text(field, UNIT),
                meaning: text(field, MEANING),
            })
            .collect()
    }

    /// Whether its values are lists of floats.
    #[must_use]
    pub fn is_vector(&self) -> bool {
        match &self.kind {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                item.data_type().is_floating()
            }
            _ => false,
        }
    }

    /// The name of its type as contracts spell it: `string`, `int64`, `list<float32>`.
    #[must_use]
    pub fn type_name(&self) -> String {
        type_name(&self.kind)
    }
}

fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::Boolean => "bool".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".into(),
        DataType::Timestamp(..) => "timestamp".into(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("list<{}>", type_name(item.data_type()))
        }
        other => other.to_string().to_lowercase(),
    }
}
