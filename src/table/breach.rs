//! What is shown of a broken contract.

use std::fmt;

/// How many rows a breach shows.
pub const SHOWN_ROWS: usize = 10;

/// One check that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The check's name in the contract.
    pub check: String,
    /// The column it looks at, if it looks at one.
    pub column: Option<String>,
    /// What was expected, in words.
    pub message: String,
    /// The first offending rows, at most [`SHOWN_ROWS`]: key, and what was found.
    pub rows: Vec<String>,
    /// How many rows (or images, for rows per image) offend.
    pub count: u64,
}

impl Breach {
    pub(super) fn new(check: &str, column: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            column: column.map(str::to_owned),
            message: message.into(),
            rows: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn add(&mut self, row: impl FnOnce() -> String) {
        self.count += 1;
        if self.rows.len() < SHOWN_ROWS {
            self.rows.push(row());
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.message)?;
        for row in &self.rows {
            write!(f, "\n  {row}")?;
        }
        let shown = self.rows.len() as u64;
        if shown > 0 && self.count > shown {
            write!(f, "\n  … and {} more", crate::base::units::count(self.count - shown))?;
        }
        Ok(())
    }
}
