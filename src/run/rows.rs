//! Rows become record batches that fit a contract's schema.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Builder, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, SchemaRef};

use crate::base::{Error, Kind, Result};
use crate::flow::Vectors;

/// A column of strings.
pub(super) fn strings<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// A column of strings, some of them null.
pub(super) fn optional_strings<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

/// A column of 32-bit integers.
pub(super) fn int32s(values: impl IntoIterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

/// A column of 64-bit integers.
pub(super) fn int64s(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

/// A size or a number as the 64-bit integer that a column holds; the largest there is for any above.
pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A column of embeddings, one list a row, with the element field that `schema` names.
///
/// # Errors
/// [`Kind::Internal`] when the schema has no such list column.
pub(super) fn embeddings(schema: &SchemaRef, column: &str, vectors: &Vectors) -> Result<ArrayRef> {
    let field = schema.field_with_name(column).map_err(|c| misfit(column, c))?;
    let DataType::List(item) = field.data_type() else {
        return Err(Error::new(Kind::Internal, format!("column `{column}` is no list")));
    };
    let mut values = Float32Builder::with_capacity(vectors.data.len());
    values.append_slice(&vectors.data);
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(vectors.width, vectors.rows()));
    let list = ListArray::try_new(Arc::clone(item), offsets, Arc::new(values.finish()), None)
        .map_err(|c| misfit(column, c))?;
    Ok(Arc::new(list))
}

/// A list column with the element field that `schema` names; the values are shared.
///
/// # Errors
/// [`Kind::Internal`] when `lists` is no list of the same type.
pub(super) fn retyped(schema: &SchemaRef, column: &str, lists: &ArrayRef) -> Result<ArrayRef> {
    let field = schema.field_with_name(column).map_err(|c| misfit(column, c))?;
    arrow::compute::cast(lists, field.data_type()).map_err(|c| misfit(column, c))
}

/// Puts named columns into the order of `schema`; nullable columns that a user's contract adds
/// are null.
///
/// # Errors
/// [`Kind::Definition`] when the contract demands a column that the operator does not make.
pub(super) fn batch(schema: &SchemaRef, columns: &[(&str, ArrayRef)]) -> Result<RecordBatch> {
    let rows = columns.first().map_or(0, |(_, array)| array.len());
    let arrays = schema
        .fields()
        .iter()
        .map(|field: &Arc<Field>| {
            if let Some((_, array)) = columns.iter().find(|(name, _)| name == field.name()) {
                return Ok(Arc::clone(array));
            }
            if field.is_nullable() {
                return Ok(new_null_array(field.data_type(), rows));
            }
            Err(Error::new(
                Kind::Definition,
                format!("the contract demands a column `{}` that is not made", field.name()),
            )
            .help("make it nullable, or remove it from the contract"))
        })
        .collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|c| misfit("the rows", c))
}

fn misfit(what: &str, cause: arrow::error::ArrowError) -> Error {
    Error::new(Kind::Internal, format!("{what} does not fit the schema")).caused_by(cause)
}

/// The column `name` of a batch, as the array it must be.
///
/// # Errors
/// [`Kind::Store`] when the stored table has no such column, or of another type.
pub(super) fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T> {
    batch.column_by_name(name).and_then(|array| array.as_any().downcast_ref::<T>()).ok_or_else(
        || {
            Error::new(Kind::Store, format!("the stored table has no usable column `{name}`"))
                .help("it was written by another version: run `clipmill run` into a new store")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Array as _;
    use arrow::datatypes::Schema;

    #[test]
    fn columns_are_ordered_and_missing_ones_null() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("b", DataType::Int32, false),
            Field::new("extra", DataType::Utf8, true),
            Field::new("a", DataType::Utf8, false),
        ]));
        let made = batch(&schema, &[("a", strings(["x"])), ("b", int32s([1]))]).unwrap();
        assert_eq!(column::<Int32Array>(&made, "b").unwrap().value(0), 1);
        assert_eq!(made.column(1).null_count(), 1);
        assert!(column::<Int32Array>(&made, "a").is_err());
        assert!(batch(&schema, &[("a", strings(["x"]))]).is_err());
    }

    #[test]
    fn embeddings_keep_their_rows() {
        let item = Arc::new(Field::new("element", DataType::Float32, false));
        let schema: SchemaRef =
            Arc::new(Schema::new(vec![Field::new("e", DataType::List(item), false)]));
        let vectors = Vectors { width: 2, data: vec![1.0, 2.0, 3.0, 4.0] };
        let list = embeddings(&schema, "e", &vectors).unwrap();
        let list = list.as_any().downcast_ref::<ListArray>().unwrap();
        assert_eq!((list.len(), list.value(1).len()), (2, 2));
    }
}
