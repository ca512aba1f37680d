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
        // Fewer are lines of more than one row each, such as classes of rejects: nothing is missing.
        if self.rows.len() >= SHOWN_ROWS && self.count > shown {
            write!(f, "\n  … and {} more", crate::base::units::count(self.count - shown))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_counted_and_lines_of_many_rows_leave_nothing_out() {
        let mut breach = Breach::new("unique", None, "no two rows have the same image_id");
        for row in 0..1200 {
            breach.add(|| format!("image_id={row}"));
        }
        assert_eq!(breach.rows.len(), SHOWN_ROWS);
        assert!(breach.to_string().ends_with("image_id=9\n  … and 1,190 more"), "{breach}");

        let mut rejects = Breach::new("few_rejects", None, "at most 1 % are rejects");
        (rejects.rows, rejects.count) = (vec!["over_cap: 7".to_owned()], 7);
        assert!(rejects.to_string().ends_with("over_cap: 7"), "{rejects}");
    }
}
