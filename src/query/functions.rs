//! The vector functions as Polars SQL calls them.
//!
//! Statements are rewritten to call them by names that no version of Polars has, so that a
//! built-in of Polars never takes the place of ours, nor ours of its.

use std::ops::Range;
use std::sync::Arc;

use polars::prelude::{
    BaseColumnUdf, ChunkedArray, Column, DataType, Field, IntoColumn, IntoSeries, NamedFrom,
    PlSmallStr, PolarsResult, Schema, Series, UserDefinedFunction, polars_bail, polars_ensure,
    polars_err,
};
use polars::sql::{FunctionOptions, FunctionRegistry};

use super::distance::Measure;

/// What the internal names of functions begin with.
pub(super) const PREFIX: &str = "clipmill_";
/// The internal name of "the query vector of that number".
pub(super) const VECTOR: &str = "clipmill_vector";

/// The functions of one statement, with the query vectors that its `clip_…` calls stand for.
pub(super) struct Functions {
    vectors: Arc<Vec<Vec<f32>>>,
}

impl Functions {
    /// Functions over these query vectors; `clipmill_vector('3')` is the one of index three.
    pub(super) fn new(vectors: Vec<Vec<f32>>) -> Self {
        Self { vectors: Arc::new(vectors) }
    }
}

impl FunctionRegistry for Functions {
    fn register(&mut self, name: &str, _: UserDefinedFunction) -> PolarsResult<()> {
        polars_bail!(SQLInterface: "function '{name}' cannot be added to a session")
    }

    fn get_udf(&self, name: &str) -> PolarsResult<Option<UserDefinedFunction>> {
        if name == VECTOR {
            return Ok(Some(vector_function(Arc::clone(&self.vectors))));
        }
        Ok(internal_measure(name).map(measure_function))
    }

    fn contains(&self, name: &str) -> bool {
        name == VECTOR || internal_measure(name).is_some()
    }
}

/// The measure behind an internal name.
pub(super) fn internal_measure(name: &str) -> Option<Measure> {
    Measure::of_name(name.strip_prefix(PREFIX)?)
}

fn elementwise(
    name: &str,
    call: impl Fn(&mut [Column]) -> PolarsResult<Column> + Send + Sync + 'static,
    field: impl Fn(&Schema, &[Field]) -> PolarsResult<Field> + Send + Sync + 'static,
) -> UserDefinedFunction {
    let mut function = UserDefinedFunction::new(name.into(), BaseColumnUdf::new(call, field));
    function.options = FunctionOptions::elementwise();
    function
}

fn vector_function(vectors: Arc<Vec<Vec<f32>>>) -> UserDefinedFunction {
    let call = move |args: &mut [Column]| {
        let number = args.first().and_then(|arg| arg.str().ok()?.get(0)?.parse::<usize>().ok());
        let vector = number.and_then(|number| vectors.get(number)).ok_or_else(
            || polars_err!(ComputeError: "{VECTOR} is no function for use in a query"),
        )?;
        let values = Series::new(PlSmallStr::EMPTY, vector.as_slice());
        Ok(Series::new("vector".into(), [values]).into_column())
    };
    elementwise(VECTOR, call, |_, _| {
        Ok(Field::new("vector".into(), DataType::List(Box::new(DataType::Float32))))
    })
}

fn measure_function(measure: Measure) -> UserDefinedFunction {
    elementwise(
        measure.name(),
        move |args| measure_columns(measure, args),
        move |_, fields| {
            let [a, b] = fields else {
                polars_bail!(SQLInterface: "{} takes two vectors, got {} arguments", measure.name(), fields.len())
            };
            for field in [a, b] {
                check_type(measure, field.name(), field.dtype())?;
            }
            Ok(Field::new(a.name().clone(), DataType::Float64))
        },
    )
}

fn check_type(measure: Measure, name: &str, kind: &DataType) -> PolarsResult<()> {
    let fits = match kind {
        DataType::Null => true,
        DataType::List(item) => item.is_numeric() || item.is_null(),
        _ => false,
    };
    polars_ensure!(
        fits,
        SQLInterface: "{} takes two vectors (lists of numbers), but '{name}' is {kind}",
        measure.name()
    );
    Ok(())
}

fn measure_columns(measure: Measure, args: &[Column]) -> PolarsResult<Column> {
    let [a, b] = args else {
        polars_bail!(SQLInterface: "{} takes two vectors, got {} arguments", measure.name(), args.len())
    };
    for column in [a, b] {
        check_type(measure, column.name(), column.dtype())?;
    }
    let rows = match (a.len(), b.len()) {
        (1, rows) | (rows, 1) => rows,
        (rows, other) => {
            polars_ensure!(rows == other, ComputeError: "{} of {rows} and {other} rows", measure.name());
            rows
        }
    };
    let (left, right) = (Lists::of(a)?, Lists::of(b)?);
    let values: Vec<Option<f64>> = (0..rows)
        .map(|row| {
            let (Some(x), Some(y)) = (left.row(row), right.row(row)) else { return Ok(None) };
            polars_ensure!(
                x.len() == y.len(),
                ComputeError: "{} needs two vectors of one width, got {} and {} values: only vectors of one model can be compared",
                measure.name(), x.len(), y.len()
            );
            Ok(measure.of(x, y))
        })
        .collect::<PolarsResult<_>>()?;
    Ok(Series::new(a.name().clone(), values).into_column())
}

/// The rows of a column of lists as slices of its inner buffer.
struct Lists {
    values: Series,
    rows: Vec<Option<Range<usize>>>,
}

impl Lists {
    fn of(column: &Column) -> PolarsResult<Self> {
        // A literal stands for all rows: one copy of it is enough.
        let series = match column {
            Column::Scalar(scalar) => scalar.as_single_value_series(),
            Column::Series(series) => Series::clone(series),
        };
        let series = series.cast(&DataType::List(Box::new(DataType::Float32)))?;
        let list = series.list()?.rechunk().into_owned();
        let values = list.get_inner().rechunk();
        let holes: Option<Vec<bool>> = values
            .has_nulls()
            .then(|| values.is_null().iter().map(|null| null.unwrap_or(true)).collect());
        let array = list.downcast_as_array();
        let position = |at: &i64| usize::try_from(*at).unwrap_or_default();
        let rows = array
            .offsets()
            .as_slice()
            .windows(2)
            .enumerate()
            .map(|(row, ends)| {
                let [start, end] = ends else { return None };
                let range = position(start)..position(end);
                let valid = array.validity().is_none_or(|bits| bits.get_bit(row));
                // A vector with a hole has no measure, as NULL has none.
                let whole = holes.as_ref().is_none_or(|holes| {
                    holes.get(range.clone()).is_some_and(|part| !part.contains(&true))
                });
                (valid && whole).then_some(range)
            })
            .collect();
        let values = match holes {
            Some(_) => fill(&values)?,
            None => values,
        };
        Ok(Self { values, rows })
    }

    fn row(&self, row: usize) -> Option<&[f32]> {
        let row = if self.rows.len() == 1 { 0 } else { row };
        let range = self.rows.get(row)?.clone()?;
        self.values.f32().ok()?.cont_slice().ok()?.get(range)
    }
}

/// The same values with zeros for holes; rows with holes are never looked at.
fn fill(values: &Series) -> PolarsResult<Series> {
    let filled: ChunkedArray<polars::prelude::Float32Type> =
        values.f32()?.iter().map(|value| Some(value.unwrap_or(0.0))).collect();
    Ok(filled.rechunk().into_owned().into_series())
}
