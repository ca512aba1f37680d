//! A contract as a whole.

use serde::Serialize;

use super::check::Check;
use super::column::Column;
use crate::base::Digest;

/// What a table must be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contract {
    /// The table's name.
    pub name: String,
    /// What a row is.
    pub description: String,
    /// The columns that name a row, in the order rows are sorted by; never nullable.
    pub key: Vec<String>,
    /// Every column, in order.
    pub columns: Vec<Column>,
    /// What is checked before a version is published, in the order of the file.
    pub checks: Vec<Check>,
}

impl Contract {
    /// The column named `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// A digest of what decides whether rows pass: key, columns and checks, not the words about
    /// them.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let columns: Vec<_> = self.columns.iter().map(|c| (&c.name, c.kind, c.nullable)).collect();
        let text = serde_json::to_vec(&(&self.key, columns, &self.checks));
        // Plain values always serialise.
        Digest::of(&text.unwrap_or_default())
    }
}
