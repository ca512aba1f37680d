//! Statistics of a part as the Delta log keeps them ("Per-file Statistics" of the protocol).

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::kernels::aggregate::{max, max_string, min, min_string};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use serde_json::{Map, Value, json};

/// Longest text kept as an extreme, in characters, as in Spark.
const TEXT_CHARS: usize = 32;

/// The statistics of `batch`: rows, and for each column that is no list the nulls and extremes.
pub(super) fn of(batch: &RecordBatch) -> String {
    let (mut mins, mut maxs, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if matches!(field.data_type(), DataType::List(_)) {
            continue;
        }
        nulls.insert(field.name().clone(), json!(column.null_count()));
        let (low, high) = extremes(column);
        if let Some(low) = low {
            mins.insert(field.name().clone(), low);
        }
        if let Some(high) = high {
            maxs.insert(field.name().clone(), high);
        }
    }
    json!({
        "numRecords": batch.num_rows(),
        "minValues": mins,
        "maxValues": maxs,
        "nullCount": nulls,
    })
    .to_string()
}

/// `numRecords` of statistics.
pub(super) fn row_count(stats: &str) -> Option<u64> {
    serde_json::from_str::<Value>(stats).ok()?.get("numRecords")?.as_u64()
}

/// Bounds of a column: a reader may rely on no value being outside, so what cannot be said
/// exactly is widened or left out.
fn extremes(column: &ArrayRef) -> (Option<Value>, Option<Value>) {
    match column.data_type() {
        DataType::Utf8 => {
            let column = column.as_string::<i32>();
            let low = min_string(column).map(|text| text.chars().take(TEXT_CHARS).collect());
            // a cut text is below the whole one, so a long maximum is left out
            let high = max_string(column).filter(|text| text.chars().count() <= TEXT_CHARS);
            (low.map(Value::String), high.map(|text| json!(text)))
        }
        DataType::Int32 => {
            let column = column.as_primitive::<Int32Type>();
            (min(column).map(Value::from), max(column).map(Value::from))
        }
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>();
            (min(column).map(Value::from), max(column).map(Value::from))
        }
        DataType::Float32 => {
            let column = column.as_primitive::<Float32Type>();
            floats(column.iter().flatten().map(f64::from))
        }
        DataType::Float64 => floats(column.as_primitive::<Float64Type>().iter().flatten()),
        DataType::Timestamp(_, _) => {
            let column = column.as_primitive::<TimestampMicrosecondType>();
            // the log keeps milliseconds
            let low = min(column).and_then(|us| moment(us.div_euclid(1000)));
            let high = max(column).and_then(|us| moment(us.saturating_add(999).div_euclid(1000)));
            (low, high)
        }
        _ => (None, None),
    }
}

fn floats(values: impl Iterator<Item = f64>) -> (Option<Value>, Option<Value>) {
    let mut range: Option<(f64, f64)> = None;
    for value in values {
        if !value.is_finite() {
            return (None, None);
        }
        let (low, high) = range.unwrap_or((value, value));
        range = Some((low.min(value), high.max(value)));
    }
    range.map_or((None, None), |(low, high)| (Some(json!(low)), Some(json!(high))))
}

fn moment(ms: i64) -> Option<Value> {
    let at = jiff::Timestamp::from_millisecond(ms).ok()?;
    Some(json!(at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float32Array, Int32Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    #[test]
    fn bounds_hold_also_when_they_are_cut() {
        let long = "z".repeat(40);
        let texts = StringArray::from(vec![Some(long.as_str()), None, Some("a")]);
        let times = TimestampMicrosecondArray::from(vec![1_500, 2_001, 2_001]);
        let batch = RecordBatch::try_from_iter([
            ("text", Arc::new(texts) as ArrayRef),
            ("n", Arc::new(Int32Array::from(vec![3, -1, 2]))),
            ("x", Arc::new(Float32Array::from(vec![0.5, f32::NAN, 0.1]))),
            ("t", Arc::new(times)),
        ])
        .unwrap();
        let stats: Value = serde_json::from_str(&of(&batch)).unwrap();
        assert_eq!(row_count(&of(&batch)), Some(3));
        assert_eq!(stats["minValues"]["text"], "a");
        assert_eq!(stats["maxValues"].get("text"), None);
        assert_eq!(stats["nullCount"]["text"], 1);
        assert_eq!((&stats["minValues"]["n"], &stats["maxValues"]["n"]), (&json!(-1), &json!(3)));
        assert_eq!(stats["minValues"].get("x"), None);
        assert_eq!(stats["minValues"]["t"], "1970-01-01T00:00:00.001Z");
        assert_eq!(stats["maxValues"]["t"], "1970-01-01T00:00:00.003Z");
    }
}
