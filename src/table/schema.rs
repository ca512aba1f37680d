//! A contract's columns as Arrow and Delta schemas, and batches brought to them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use serde_json::{Value, json};

use crate::base::{Error, Kind, Result};
use crate::plan::contract::{Column, ColumnType, Contract};

/// The metadata key that Spark shows as a column's comment; it holds the meaning.
pub const MEANING: &str = "comment";
/// The metadata key of a column's unit.
pub const UNIT: &str = "unit";

/// The schema of the table that `contract` describes: columns in its order, unit and meaning
/// in each field's metadata.
#[must_use]
pub fn arrow_schema(contract: &Contract) -> SchemaRef {
    Arc::new(Schema::new(contract.columns.iter().map(arrow_field).collect::<Vec<_>>()))
}

fn arrow_field(column: &Column) -> Field {
    let metadata: HashMap<_, _> = column_metadata(column)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Field::new(&column.name, data_type(column.kind), column.nullable).with_metadata(metadata)
}

fn column_metadata(column: &Column) -> Vec<(&'static str, &str)> {
    [(MEANING, column.meaning.as_str()), (UNIT, column.unit.as_str())]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// The Arrow type of a column. Elements of lists are called `element` and never null, as Delta
/// and the Parquet format have them.
#[must_use]
pub fn data_type(kind: ColumnType) -> DataType {
    let list = |element| DataType::List(Arc::new(Field::new("element", element, false)));
    match kind {
        ColumnType::String => DataType::Utf8,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float32 => DataType::Float32,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::ListFloat32 => list(DataType::Float32),
        ColumnType::ListString => list(DataType::Utf8),
        ColumnType::Binary => DataType::Binary,
    }
}

/// The schema as the Delta protocol writes it ("Schema Serialization Format").
pub(super) fn delta_schema(contract: &Contract) -> Value {
    let list =
        |element: &str| json!({"type": "array", "elementType": element, "containsNull": false});
    let fields = contract.columns.iter().map(|column| {
        let kind = match column.kind {
            ColumnType::String => json!("string"),
            ColumnType::Bool => json!("boolean"),
            ColumnType::Int32 => json!("integer"),
            ColumnType::Int64 => json!("long"),
            ColumnType::Float32 => json!("float"),
            ColumnType::Float64 => json!("double"),
            ColumnType::Timestamp => json!("timestamp"),
            ColumnType::ListFloat32 => list("float"),
            ColumnType::ListString => list("string"),
            ColumnType::Binary => json!("binary"),
        };
        let metadata: serde_json::Map<_, _> = column_metadata(column)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        json!({
            "name": column.name,
            "type": kind,
            "nullable": column.nullable,
            "metadata": metadata,
        })
    });
    json!({"type": "struct", "fields": fields.collect::<Vec<_>>()})
}

/// `batch` with exactly the columns of `schema`, in its order and types.
///
/// Other spellings of one type (large and view strings, fixed-size lists, another name of the
/// element, another time unit) are converted; a value that would change is an error. A nullable
/// column that is not there is null in every row.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef, table: &str) -> Result<RecordBatch> {
    for field in batch.schema().fields() {
        if schema.field_with_name(field.name()).is_err() {
            let name = field.name();
            return Err(wrong(table, format!("has no column `{name}`, which a batch brings")));
        }
    }
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => conform_column(column, field, table),
            None if field.is_nullable() => {
                Ok(arrow::array::new_null_array(field.data_type(), batch.num_rows()))
            }
            None => Err(wrong(table, format!("a batch lacks column `{}`", field.name()))),
        })
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|cause| wrong(table, "a batch does not have the table's schema").caused_by(cause))
}

fn conform_column(column: &ArrayRef, field: &FieldRef, table: &str) -> Result<ArrayRef> {
    let name = field.name();
    if !field.is_nullable() && column.null_count() > 0 {
        let row = (0..column.len()).find(|row| column.is_null(*row)).unwrap_or(0);
        return Err(Error::new(
            Kind::Contract,
            format!("column `{name}` may not be null, and is in row {row} of a batch"),
        )
        .at(table));
    }
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    if !same_family(column.data_type(), field.data_type()) {
        return Err(wrong(
            table,
            format!("column `{name}`: expected {}, got {}", field.data_type(), column.data_type()),
        ));
    }
    let safe = CastOptions { safe: false, ..CastOptions::default() };
    let cast = match field.data_type() {
        DataType::List(element) => to_list(column, element, &safe),
        other => cast_with_options(column, other, &safe),
    };
    cast.map_err(|cause| wrong(table, format!("column `{name}` does not convert")).caused_by(cause))
}

/// Builds the list anew, because a cast keeps what the source says of its elements' nulls.
fn to_list(
    column: &ArrayRef,
    element: &FieldRef,
    options: &CastOptions<'_>,
) -> std::result::Result<ArrayRef, arrow::error::ArrowError> {
    let loose = Arc::new(Field::new("element", element.data_type().clone(), true));
    let list = cast_with_options(column, &DataType::List(loose), options)?;
    let (_, offsets, values, nulls) = list.as_list::<i32>().clone().into_parts();
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls)?))
}

fn same_family(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, FixedSizeList, LargeBinary, LargeList, LargeUtf8, List, Timestamp,
        Utf8, Utf8View,
    };
    match (from, to) {
        (Utf8 | LargeUtf8 | Utf8View, Utf8) => true,
        (Binary | LargeBinary | BinaryView, Binary) => true,
        (Timestamp(_, _), Timestamp(_, _)) => true,
        (List(from) | LargeList(from) | FixedSizeList(from, _), List(to)) => {
            same_family(from.data_type(), to.data_type())
        }
        (DataType::Dictionary(_, from), to) => same_family(from, to),
        (DataType::Null, _) => true,
        (from, to) => from == to,
    }
}

fn wrong(table: &str, what: impl Into<String>) -> Error {
    Error::new(Kind::Internal, what).at(table)
}
