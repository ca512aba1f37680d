//! The checks that look at one row alone.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};

use crate::plan::contract::CheckKind;

/// What a check of single rows expects, in words; `None` for the checks of whole tables.
pub(super) fn expectation(kind: &CheckKind) -> Option<String> {
    Some(match kind {
        CheckKind::NotNull { column } => format!("`{column}` is not null"),
        CheckKind::Finite { column } => format!("`{column}` is finite"),
        CheckKind::L2Norm { column, min, max } => {
            format!("the L2 norm of `{column}` is from {min} to {max}")
        }
        CheckKind::Length { column, min, max } => {
            format!("the length of `{column}` is {}", bounds(min.as_ref(), max.as_ref()))
        }
        CheckKind::Range { column, min, max } => {
            format!("`{column}` is {}", bounds(min.as_ref(), max.as_ref()))
        }
        CheckKind::Accepted { column, values } => {
            format!("`{column}` is one of {}", values.join(", "))
        }
        CheckKind::UniqueKey {}
        | CheckKind::RowsPerImage { .. }
        | CheckKind::RejectShare { .. }
        | CheckKind::Fidelity { .. } => return None,
    })
}

/// `from 1 to 5`, `at least 1`, `at most 5`.
pub(super) fn bounds<T: std::fmt::Display>(min: Option<&T>, max: Option<&T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("from {min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "anything".to_owned(),
    }
}

/// What is wrong with the value of `row`; nulls pass everything but `not_null`.
pub(super) fn fault(kind: &CheckKind, column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return matches!(kind, CheckKind::NotNull { .. }).then(|| "null".to_owned());
    }
    match kind {
        CheckKind::Finite { .. } => {
            let bad = first_number(column, row, |x| !x.is_finite())?;
            Some(match column.data_type() {
                DataType::List(_) => format!("value {} is {}", bad.0, bad.1),
                _ => bad.1.to_string(),
            })
        }
        CheckKind::L2Norm { min, max, .. } => {
            let mut squares = 0.0;
            let _ = first_number(column, row, |x| {
                squares += x * x;
                false
            });
            let norm = squares.sqrt();
            // written so that NaN is outside
            (!(norm >= *min && norm <= *max)).then(|| format!("norm {norm}"))
        }
        CheckKind::Length { min, max, .. } => {
            let length = length(column, row)?;
            let low = min.is_some_and(|min| length < min);
            let high = max.is_some_and(|max| length > max);
            (low || high).then(|| format!("length {length}"))
        }
        CheckKind::Range { min, max, .. } => {
            let (_, bad) = first_number(column, row, |x| {
                let low = min.is_some_and(|min| x < min);
                low || max.is_some_and(|max| x > max) || x.is_nan()
            })?;
            Some(bad.to_string())
        }
        CheckKind::Accepted { values, .. } => {
            let text = column.as_string_opt::<i32>()?.value(row);
            (!values.iter().any(|value| value == text)).then(|| format!("{text:?}"))
        }
        CheckKind::NotNull { .. }
        | CheckKind::UniqueKey {}
        | CheckKind::RowsPerImage { .. }
        | CheckKind::RejectShare { .. }
        | CheckKind::Fidelity { .. } => None,
    }
}

/// The first number of a value, or of its list, that is `wanted`, and its place.
fn first_number(
    column: &ArrayRef,
    row: usize,
    mut wanted: impl FnMut(f64) -> bool,
) -> Option<(usize, f64)> {
    let mut alone = |x: f64| wanted(x).then_some((0, x));
    match column.data_type() {
        DataType::Float32 => alone(f64::from(column.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => alone(column.as_primitive::<Float64Type>().value(row)),
        DataType::Int32 => alone(f64::from(column.as_primitive::<Int32Type>().value(row))),
        DataType::Int64 => alone(column.as_primitive::<Int64Type>().value(row) as f64),
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            let values = list.as_primitive_opt::<Float32Type>()?.values();
            let mut values = values.iter().map(|x| f64::from(*x)).enumerate();
            values.find(|(_, x)| wanted(*x))
        }
        _ => None,
    }
}

/// Characters of a text, values of a list, bytes of a binary.
fn length(column: &ArrayRef, row: usize) -> Option<u64> {
    let length = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).chars().count(),
        DataType::Binary => column.as_binary::<i32>().value(row).len(),
        DataType::List(_) => column.as_list::<i32>().value(row).len(),
        _ => return None,
    };
    u64::try_from(length).ok()
}
