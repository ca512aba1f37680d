//! `[checks.<name>.<kind>]`: what must hold before a version is published.

use schemars::JsonSchema;
use serde::Serialize;

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
}

impl CheckKind {
    /// The kinds, as headers write them.
    pub const NAMES: [&str; 9] = [
        "unique_key",
        "not_null",
        "finite",
        "l2_norm",
        "length",
        "range",
        "accepted",
        "rows_per_image",
        "reject_share",
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
            Self::UniqueKey {} | Self::RowsPerImage { .. } | Self::RejectShare { .. } => None,
        }
    }
}
