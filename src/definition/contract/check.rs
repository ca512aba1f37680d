//! `[checks.<name>.<kind>]`: what must hold before a version is published.

use schemars::JsonSchema;
use serde::Serialize;

use super::column::{Column, ColumnType};
use crate::definition::findings::listed;
use crate::definition::reader::TableReader;
use crate::definition::span::Spanned;

/// A named check of a contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// Its name, unique in the contract; shown when it fails.
    pub name: String,
    /// What is checked.
    pub kind: CheckKind,
}

/// What a check looks at. Bounds are inclusive; nulls pass every check but `not_null`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// No two rows have the same key.
    UniqueKey {},
    /// A column has no nulls.
    NotNull {
        /// The column.
        column: String,
    },
    /// Every number of a column, or of its lists, is neither NaN nor infinite.
    Finite {
        /// A column of floats, or of lists of floats.
        column: String,
    },
    /// The L2 norm of every list lies within bounds.
    L2Norm {
        /// A column of lists of floats.
        column: String,
        /// Smallest norm.
        min: f64,
        /// Largest norm.
        max: f64,
    },
    /// The length lies within bounds: characters of a string, values of a list, bytes of a binary.
    Length {
        /// A column of strings, lists or binaries.
        column: String,
        /// Smallest length; none for no bound.
        min: Option<u64>,
        /// Largest length; none for no bound.
        max: Option<u64>,
    },
    /// Numbers lie within bounds.
    Range {
        /// A column of numbers.
        column: String,
        /// Smallest value; none for no bound.
        min: Option<f64>,
        /// Largest value; none for no bound.
        max: Option<f64>,
    },
    /// Every value of a column is one of these.
    Accepted {
        /// A column of strings.
        column: String,
        /// The values.
        values: Vec<String>,
    },
    /// The number of rows that share an `image_id` lies within bounds.
    RowsPerImage {
        /// Fewest rows; at least one.
        min: u64,
        /// Most rows; none for no bound.
        max: Option<u64>,
    },
    /// The share of rejects among everything the stage tried (rows plus rejects) is at most this.
    RejectShare {
        /// Highest share, 0 to 1.
        max: f64,
        /// Counts rejects of this class alone.
        class: Option<String>,
    },
    /// Features of a reduced numeric type stay near those of f32, as the first rows that a run
    /// computes in both types say. Holds where a run computes none, and for f32.
    Fidelity {
        /// Smallest cosine of a row's two features; none for no bound.
        min_cosine: Option<f64>,
        /// Smallest median of these cosines; none for no bound.
        median_cosine: Option<f64>,
        /// Smallest mean share of the ten nearest neighbours that stay; none for no bound.
        neighbour_overlap: Option<f64>,
    },
}

impl CheckKind {
    /// The kinds, as headers write them.
    pub const NAMES: [&str; 10] = [
        "unique_key",
        "not_null",
        "finite",
        "l2_norm",
        "length",
        "range",
        "accepted",
        "rows_per_image",
        "reject_share",
        "fidelity",
    ];

    /// The kind in the check's header.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::UniqueKey {} => "unique_key",
            Self::NotNull { .. } => "not_null",
            Self::Finite { .. } => "finite",
            Self::L2Norm { .. } => "l2_norm",
            Self::Length { .. } => "length",
            Self::Range { .. } => "range",
            Self::Accepted { .. } => "accepted",
            Self::RowsPerImage { .. } => "rows_per_image",
            Self::RejectShare { .. } => "reject_share",
            Self::Fidelity { .. } => "fidelity",
        }
    }

    /// The column it looks at, if it looks at one.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::NotNull { column }
            | Self::Finite { column }
            | Self::L2Norm { column, .. }
            | Self::Length { column, .. }
            | Self::Range { column, .. }
            | Self::Accepted { column, .. } => Some(column),
            Self::UniqueKey {}
            | Self::RowsPerImage { .. }
            | Self::RejectShare { .. }
            | Self::Fidelity { .. } => None,
        }
    }
}

/// Reads the settings of the kind `name`, which is one of [`CheckKind::NAMES`].
pub(super) fn read(
    name: &str,
    columns: &[Column],
    table: &mut TableReader<'_, '_>,
) -> Option<CheckKind> {
    use ColumnType as T;
    let any = &T::ALL[..];
    Some(match name {
        "unique_key" => CheckKind::UniqueKey {},
        "not_null" => CheckKind::NotNull { column: column(table, columns, any)? },
        "finite" => {
            let floats = [T::Float32, T::Float64, T::ListFloat32];
            CheckKind::Finite { column: column(table, columns, &floats)? }
        }
        "l2_norm" => {
            let column = column(table, columns, &[T::ListFloat32]);
            let min: Option<f64> = table.required("min");
            let max: Option<f64> = table.required("max");
            ordered(table, min.zip(max));
            CheckKind::L2Norm { column: column?, min: min?, max: max? }
        }
        "length" => {
            let measured = [T::String, T::Binary, T::ListFloat32, T::ListString];
            let column = column(table, columns, &measured);
            let min: Option<u64> = table.optional("min");
            let max: Option<u64> = table.optional("max");
            ordered(table, min.zip(max));
            CheckKind::Length { column: column?, min, max }
        }
        "range" => {
            let numbers = [T::Int32, T::Int64, T::Float32, T::Float64];
            let column = column(table, columns, &numbers);
            let min: Option<f64> = table.optional("min");
            let max: Option<f64> = table.optional("max");
            ordered(table, min.zip(max));
            CheckKind::Range { column: column?, min, max }
        }
        "accepted" => {
            let column = column(table, columns, &[T::String]);
            let values: Option<Vec<String>> = table.required("values");
            CheckKind::Accepted { column: column?, values: values? }
        }
        "rows_per_image" => {
            let min = table.number_or("min", 1, 1, u64::MAX);
            let max: Option<u64> = table.optional("max");
            ordered(table, Some(min).zip(max));
            if !columns.iter().any(|column| column.name == "image_id") {
                let header = table.header;
                table
                    .findings
                    .add_absence(header, "rows per image of a table without images")
                    .label("expected a column `image_id`");
            }
            CheckKind::RowsPerImage { min, max }
        }
        "reject_share" => {
            let max: Option<Spanned<f64>> = table.required("max");
            if let Some(max) = max.as_ref().filter(|max| !(0.0..=1.0).contains(&max.value)) {
                let message = format!("`max` is {}", max.value);
                table.findings.add(max.span, message).label("expected a share, 0 to 1");
            }
            let class: Option<Spanned<String>> = table.optional("class");
            if let Some(class) = &class {
                let names = REJECT_CLASSES;
                if !names.contains(&class.value.as_str()) {
                    table.findings.add_unknown(class.span, "class of rejects", class, names);
                }
            }
            CheckKind::RejectShare { max: max?.value, class: class.map(|class| class.value) }
        }
        "fidelity" => {
            let min_cosine = bound(table, "min_cosine", -1.0);
            let median_cosine = bound(table, "median_cosine", -1.0);
            let neighbour_overlap = bound(table, "neighbour_overlap", 0.0);
            let none = ["min_cosine", "median_cosine", "neighbour_overlap"];
            if none.iter().all(|key| table.key_span(key).is_none()) {
                let header = table.header;
                table
                    .findings
                    .add_absence(header, "a check that bounds nothing")
                    .label("expected `min_cosine`, `median_cosine` or `neighbour_overlap`");
            }
            CheckKind::Fidelity { min_cosine, median_cosine, neighbour_overlap }
        }
        _ => return None,
    })
}

/// An optional lowest value under `key`, from `least` to 1.
fn bound(table: &mut TableReader<'_, '_>, key: &'static str, least: f64) -> Option<f64> {
    let found: Spanned<f64> = table.optional(key)?;
    if !(least..=1.0).contains(&found.value) {
        let message = format!("`{key}` is {}", found.value);
        table.findings.add(found.span, message).label(format!("expected {least} to 1"));
    }
    Some(found.value)
}

/// Names of [`RejectClass`](crate::flow::RejectClass), which this room may not import; a test of
/// `tests/definition.rs` compares the two.
pub const REJECT_CLASSES: [&str; 16] = [
    "broken_member",
    "not_a_file",
    "bad_name",
    "duplicate_id",
    "over_cap",
    "unreadable",
    "unknown_format",
    "unsupported_image",
    "truncated_image",
    "corrupt_image",
    "image_too_large",
    "bad_line",
    "bad_text",
    "empty_caption",
    "duplicate_caption",
    "not_finite",
];

/// The column under `column`: there, and of one of `kinds`.
fn column(
    table: &mut TableReader<'_, '_>,
    columns: &[Column],
    kinds: &[ColumnType],
) -> Option<String> {
    let name: Spanned<String> = table.required("column")?;
    match columns.iter().find(|column| column.name == name.value) {
        None => {
            let names = columns.iter().map(|column| column.name.as_str());
            table.findings.add_unknown(name.span, "column", &name, names).unsure();
        }
        Some(column) if !kinds.contains(&column.kind) => {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            table
                .findings
                .add(name.span, format!("the column `{}` is {}", column.name, column.kind))
                .label(format!("expected a column of type {}", listed(&names)));
        }
        Some(_) => {}
    }
    Some(name.value)
}

fn ordered<T: PartialOrd>(table: &mut TableReader<'_, '_>, bounds: Option<(T, T)>) {
    if bounds.is_some_and(|(min, max)| min > max) {
        let span = table.key_span("min").unwrap_or(table.header);
        table.findings.add(span, "`min` is above `max`").label("nothing lies between");
    }
}
