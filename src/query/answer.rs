//! What a statement returned.

use polars::prelude::{DataFrame, DataType};

use super::cell;

/// The rows of an answer, all of them, in order.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) frame: DataFrame,
}

/// One column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerColumn {
    /// Its name.
    pub name: String,
    /// Whether it holds numbers: they are aligned at the right.
    pub numeric: bool,
}

/// How much of an answer a table for people shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableStyle {
    /// The most rows; `None` for all.
    pub rows: Option<usize>,
}

impl Default for TableStyle {
    fn default() -> Self {
        Self { rows: Some(100) }
    }
}

/// The part of an answer that a table for people shows, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The columns, in order.
    pub columns: Vec<AnswerColumn>,
    /// The rows; each has one text a column, with long vectors cut.
    pub rows: Vec<Vec<String>>,
    /// How many more rows there are; whoever draws the table says so.
    pub left_out_rows: usize,
}

impl Answer {
    pub(super) fn new(mut frame: DataFrame) -> Self {
        // One chunk a column: a row is then found without a search.
        frame.rechunk_mut();
        Self { frame }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.frame.height()
    }

    /// The columns, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<AnswerColumn> {
        self.frame
            .columns()
            .iter()
            .map(|column| AnswerColumn {
                name: column.name().to_string(),
                numeric: matches!(column.dtype(), kind if kind.is_numeric())
                    && column.dtype() != &DataType::Null,
            })
            .collect()
    }

    /// The answer as a table for people shows it.
    #[must_use]
    pub fn preview(&self, style: TableStyle) -> Preview {
        let shown = style.rows.map_or(self.rows(), |most| most.min(self.rows()));
        let rows = (0..shown)
            .map(|row| {
                self.frame
                    .columns()
                    .iter()
                    .map(|column| {
                        column.get(row).map(|value| cell::display(&value)).unwrap_or_default()
                    })
                    .collect()
            })
            .collect();
        Preview { columns: self.columns(), rows, left_out_rows: self.rows() - shown }
    }
}
