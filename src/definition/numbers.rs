//! Numbers that lie within bounds.

use super::reader::TableReader;
use super::span::Spanned;

/// A whole number in `least..=most`, `default` where it is left out.
pub(super) fn whole(
    table: &mut TableReader<'_, '_>,
    key: &'static str,
    default: u32,
    least: u32,
    most: u32,
) -> u32 {
    let number = table.number_or(key, default.into(), least.into(), most.into());
    u32::try_from(number).unwrap_or(default)
}

/// A number for which `right` holds, `default` where it is left out; `expected` says which do.
pub(super) fn real(
    table: &mut TableReader<'_, '_>,
    key: &'static str,
    default: f64,
    expected: &str,
    right: fn(f64) -> bool,
) -> f64 {
    let given: Spanned<f64> = table.spanned_or(key, default);
    if right(given.value) {
        return given.value;
    }
    table
        .findings
        .add(given.span, format!("`{key}` is {}", given.value))
        .label(format!("expected {expected}"));
    default
}

/// As [`whole`], none where it is left out.
pub(super) fn optional_whole(
    table: &mut TableReader<'_, '_>,
    key: &'static str,
    least: u32,
    most: u32,
) -> Option<u32> {
    let given: Spanned<u64> = table.optional(key)?;
    let number = u32::try_from(given.value).ok().filter(|n| (least..=most).contains(n));
    if number.is_none() {
        table
            .findings
            .add(given.span, format!("`{key}` is {}", given.value))
            .label(format!("expected {least} to {most}"));
    }
    number
}
