//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::base::units::count;
use crate::query::{Answer, TableStyle};

/// An empty table in the house's look; numbers go to the right in `numeric` columns.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>, numeric: &[usize]) -> String {
    fit(Table::new(), header, rows, numeric)
}

fn fit(mut table: Table, header: &[&str], rows: Vec<Vec<String>>, numeric: &[usize]) -> String {
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    // On a terminal long cells wrap to its width; elsewhere nothing is cut. Neither is it where a
    // terminal was never told its size and says 0.
    if table.width() != Some(0) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(header);
    table.add_rows(rows);
    for at in numeric {
        if let Some(column) = table.column_mut(*at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// The first rows of an answer, and how many there are in all.
pub(crate) fn answer(answer: &Answer, style: TableStyle) -> String {
    let preview = answer.preview(style);
    let header: Vec<&str> = preview.columns.iter().map(|column| column.name.as_str()).collect();
    let numeric: Vec<usize> = (0..header.len())
        .filter(|at| preview.columns.get(*at).is_some_and(|c| c.numeric))
        .collect();
    let rows = answer.rows();
    let drawn = table(&header, preview.rows, &numeric);
    let noun = if rows == 1 { "row" } else { "rows" };
    let all = format!("{} {noun}", count(rows as u64));
    if preview.left_out_rows == 0 {
        format!("{drawn}\n{all}")
    } else {
        let left = count(preview.left_out_rows as u64);
        format!("{drawn}\n{all}, {left} of them not shown (--format csv writes all)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_a_size_cuts_nothing() {
        let drawn = |width: u16| {
            let mut table = Table::new();
            table.set_width(width);
            let row = vec!["image_features".to_owned(), "settings changed".to_owned()];
            fit(table, &["table", "rows that are"], vec![row], &[])
        };
        assert!(drawn(0).contains("│ image_features ┆ settings changed │"), "{}", drawn(0));
        assert!(drawn(20).lines().all(|line| line.chars().count() <= 20), "{}", drawn(20));
    }
}
