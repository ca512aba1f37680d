//! A table of the catalog as a lazy Polars frame.

use arrow::datatypes::{DataType as ArrowType, TimeUnit as ArrowUnit};
use polars::prelude::{
    DataFrame, DataType, IntoLazy, LazyFrame, PlRefPath, PolarsResult, ScanArgsParquet, Schema,
    TimeUnit, TimeZone, polars_bail, polars_err,
};

use super::catalog::TableEntry;

/// Scans exactly the parts of `table`; without parts, an empty frame of its schema.
pub(super) fn frame(table: &TableEntry) -> PolarsResult<LazyFrame> {
    if table.parts.is_empty() {
        return Ok(DataFrame::empty_with_schema(&schema(table)?).lazy());
    }
    let paths = table
        .parts
        .iter()
        .map(|part| {
            let text = part.to_str().ok_or_else(
                || polars_err!(ComputeError: "the path {} is not UTF-8", part.display()),
            )?;
            Ok(PlRefPath::new(text))
        })
        .collect::<PolarsResult<Vec<_>>>()?;
    // No globbing: a store's folder may be called `a[1]`.
    let args = ScanArgsParquet { glob: false, ..ScanArgsParquet::default() };
    LazyFrame::scan_parquet_files(paths.into_iter().collect(), args)
}

fn schema(table: &TableEntry) -> PolarsResult<Schema> {
    table
        .columns
        .iter()
        .map(|column| Ok((column.name.as_str().into(), kind(&column.kind)?)))
        .collect()
}

fn kind(arrow: &ArrowType) -> PolarsResult<DataType> {
    Ok(match arrow {
        ArrowType::Boolean => DataType::Boolean,
        ArrowType::Int8 => DataType::Int8,
        ArrowType::Int16 => DataType::Int16,
        ArrowType::Int32 => DataType::Int32,
        ArrowType::Int64 => DataType::Int64,
        ArrowType::UInt32 => DataType::UInt32,
        ArrowType::UInt64 => DataType::UInt64,
        ArrowType::Float32 => DataType::Float32,
        ArrowType::Float64 => DataType::Float64,
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::String,
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView => DataType::Binary,
        ArrowType::Date32 => DataType::Date,
        ArrowType::Timestamp(unit, zone) => {
            let unit = match unit {
                ArrowUnit::Nanosecond => TimeUnit::Nanoseconds,
                ArrowUnit::Microsecond => TimeUnit::Microseconds,
                ArrowUnit::Second | ArrowUnit::Millisecond => TimeUnit::Milliseconds,
            };
            DataType::Datetime(unit, zone.as_ref().map(|_| TimeZone::UTC))
        }
        ArrowType::List(item) | ArrowType::LargeList(item) => {
            DataType::List(Box::new(kind(item.data_type())?))
        }
        other => polars_bail!(ComputeError: "columns of type {other} cannot be queried"),
    })
}
