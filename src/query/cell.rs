//! One value as text: for people, and as JSON.

use std::io::{self, Write};

use polars::prelude::{AnyValue, Series, TimeUnit, TimeZone};

use crate::base::text::visible;

/// Writes a value as JSON.
///
/// Integers are written with all their digits, f32 with the digits of f32. JSON has no NaN and no
/// infinity: they are `null`. Timestamps are RFC 3339, bytes are lower-case hexadecimal.
///
/// # Errors
/// Those of `out`.
pub(super) fn json(out: &mut dyn Write, value: &AnyValue<'_>) -> io::Result<()> {
    match value {
        AnyValue::Null => out.write_all(b"null"),
        AnyValue::Boolean(value) => write!(out, "{value}"),
        // serde_json writes floats with the fewest digits that read back the same, and NaN as null.
        AnyValue::Float32(value) => Ok(serde_json::to_writer(out, value)?),
        AnyValue::Float64(value) => Ok(serde_json::to_writer(out, value)?),
        AnyValue::Int8(_)
        | AnyValue::Int16(_)
        | AnyValue::Int32(_)
        | AnyValue::Int64(_)
        | AnyValue::UInt8(_)
        | AnyValue::UInt16(_)
        | AnyValue::UInt32(_)
        | AnyValue::UInt64(_) => write!(out, "{value}"),
        AnyValue::List(values) => json_list(out, values),
        AnyValue::Struct(..) | AnyValue::StructOwned(_) => json_struct(out, value),
        other => Ok(serde_json::to_writer(out, &text(other))?),
    }
}

fn json_list(out: &mut dyn Write, values: &Series) -> io::Result<()> {
    out.write_all(b"[")?;
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        json(out, &value)?;
    }
    out.write_all(b"]")
}

fn json_struct(out: &mut dyn Write, value: &AnyValue<'_>) -> io::Result<()> {
    let fields: Vec<(String, AnyValue<'_>)> = match value {
        AnyValue::Struct(_, _, fields) => fields
            .iter()
            .zip(value._iter_struct_av())
            .map(|(field, value)| (field.name().to_string(), value))
            .collect(),
        AnyValue::StructOwned(pair) => pair
            .1
            .iter()
            .zip(&pair.0)
            .map(|(field, value)| (field.name().to_string(), value.clone()))
            .collect(),
        _ => Vec::new(),
    };
    out.write_all(b"{")?;
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b":")?;
        json(out, value)?;
    }
    out.write_all(b"}")
}

/// A value that has no form of its own in JSON, or a scalar of CSV, as text.
pub(super) fn text(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::String(text) => (*text).to_owned(),
        AnyValue::StringOwned(text) => text.to_string(),
        AnyValue::Binary(bytes) => hex(bytes),
        AnyValue::BinaryOwned(bytes) => hex(bytes),
        AnyValue::Datetime(value, unit, zone) => timestamp(*value, *unit, *zone),
        AnyValue::DatetimeOwned(value, unit, zone) => timestamp(*value, *unit, zone.as_deref()),
        AnyValue::Float32(value) => float(f64::from(*value), serde_json::to_string(value)),
        AnyValue::Float64(value) => float(*value, serde_json::to_string(value)),
        other => other.to_string(),
    }
}

/// `shortest` are the fewest digits that read back as `value`.
fn float(value: f64, shortest: serde_json::Result<String>) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "inf".into() } else { "-inf".into() }
    } else {
        shortest.unwrap_or_else(|_| value.to_string())
    }
}

fn timestamp(value: i64, unit: TimeUnit, zone: Option<&TimeZone>) -> String {
    let instant = match unit {
        TimeUnit::Nanoseconds => jiff::Timestamp::from_nanosecond(i128::from(value)),
        TimeUnit::Microseconds => jiff::Timestamp::from_microsecond(value),
        TimeUnit::Milliseconds => jiff::Timestamp::from_millisecond(value),
    };
    match instant {
        // Without a zone it is a wall clock's time, not an instant.
        Ok(instant) if zone.is_none() => instant.to_string().trim_end_matches('Z').to_owned(),
        Ok(instant) => instant.to_string(),
        Err(_) => value.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Floats shown of a vector before it is cut.
const SHOWN: usize = 2;

/// A value for a table that a person reads: floats to six places, long lists cut, and control
/// characters shown instead of sent to the terminal.
pub(super) fn display(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Null => "NULL".into(),
        AnyValue::Float32(value) => short(f64::from(*value), 6),
        AnyValue::Float64(value) => short(*value, 6),
        AnyValue::List(values) => list(values),
        AnyValue::Struct(..) | AnyValue::StructOwned(_) => {
            let mut out = Vec::new();
            match json_struct(&mut out, value) {
                Ok(()) => String::from_utf8_lossy(&out).into_owned(),
                Err(_) => String::new(),
            }
        }
        other => visible(&text(other)),
    }
}

/// `[0.012, -0.034, … 512]`: the first values and how many there are.
fn list(values: &Series) -> String {
    let floats = values.dtype().is_float();
    let limit = if floats { SHOWN } else { 8 };
    let cut = values.len() > limit + usize::from(floats) * 2;
    let shown = if cut { limit } else { values.len() };
    let mut parts: Vec<String> = values
        .iter()
        .take(shown)
        .map(|value| match value {
            AnyValue::Float32(value) => short(f64::from(value), 3),
            AnyValue::Float64(value) => short(value, 3),
            other => display(&other),
        })
        .collect();
    if cut {
        parts.push(format!("… {}", values.len()));
    }
    format!("[{}]", parts.join(", "))
}

fn short(value: f64, places: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return text(&AnyValue::Float64(value));
    }
    let size = value.abs();
    if !(1e-3..1e12).contains(&size) {
        return format!("{value:.*e}", places.min(3));
    }
    let fixed = format!("{value:.places$}");
    let trimmed = fixed.trim_end_matches('0');
    match trimmed.strip_suffix('.') {
        Some(whole) => format!("{whole}.0"),
        None => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::NamedFrom;

    fn as_json(value: &AnyValue<'_>) -> String {
        let mut out = Vec::new();
        json(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_keeps_digits_and_has_no_nan() {
        assert_eq!(as_json(&AnyValue::Int64(9_007_199_254_740_993)), "9007199254740993");
        assert_eq!(as_json(&AnyValue::Float32(0.1)), "0.1");
        assert_eq!(as_json(&AnyValue::Float64(f64::NAN)), "null");
        assert_eq!(as_json(&AnyValue::Float64(f64::INFINITY)), "null");
        assert_eq!(as_json(&AnyValue::String("a\"\n\u{1}")), r#""a\"\n\u0001""#);
        let nested = Series::new("x".into(), [Series::new("".into(), [1.5_f32, f32::NAN])]);
        assert_eq!(as_json(&AnyValue::List(nested)), "[[1.5,null]]");
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        let utc = TimeZone::UTC;
        let value = AnyValue::Datetime(1_700_000_000_000_001, TimeUnit::Microseconds, Some(&utc));
        assert_eq!(as_json(&value), "\"2023-11-14T22:13:20.000001Z\"");
        let value = AnyValue::Datetime(0, TimeUnit::Milliseconds, None);
        assert_eq!(text(&value), "1970-01-01T00:00:00");
    }

    #[test]
    fn people_see_short_values() {
        let vector = Series::new("".into(), vec![0.0123_f32; 512]);
        assert_eq!(display(&AnyValue::List(vector)), "[0.012, 0.012, … 512]");
        assert_eq!(display(&AnyValue::Float64(0.283_471_23)), "0.283471");
        assert_eq!(display(&AnyValue::Float64(3.0)), "3.0");
        assert_eq!(display(&AnyValue::Float64(1.5e-9)), "1.500e-9");
        assert_eq!(display(&AnyValue::Float64(f64::NEG_INFINITY)), "-inf");
        assert_eq!(display(&AnyValue::String("a\u{1b}[2J\tb")), "a\\u{1b}[2J\\tb");
        assert_eq!(display(&AnyValue::Null), "NULL");
    }
}
