//! `clipmill diff`: which rows differ between two versions.

use serde_json::{Map, Value, json};

use crate::base::units::count;
use crate::base::{Error, Kind, Result};
use crate::cli::args::{Diff, Format};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::table::{self, CellDiff, Distance, How, KeyPart, RowDiff};

use super::{drawing, store, versions};

/// Rows that people are shown unless they ask for another number.
const SHOWN_ROWS: usize = 20;
/// Longest text of a cell that people are shown, in characters.
const SHOWN_CHARS: usize = 60;

/// Compares the versions.
///
/// # Errors
/// When the store, the table or one of the versions cannot be read.
pub(crate) fn perform(args: &Diff, session: &Session) -> Result<Code> {
    let (from, to) = versions::range(&args.versions)?;
    let found = store::find(&args.place.store, &args.place.set, session)?;
    found.tables(Some(&args.table))?;
    let before = found.store.snapshot_at(&args.table, from)?;
    let after = match to {
        Some(to) => found.store.snapshot_at(&args.table, to)?,
        None => found
            .store
            .snapshot(&args.table)?
            .ok_or_else(|| Error::new(Kind::Usage, "there is no such table").at(&args.table))?,
    };
    let _watch = session.stop_on_signals()?;
    let limit = match args.place.format {
        Format::Human => Some(args.limit.unwrap_or(SHOWN_ROWS)),
        Format::Json => args.limit,
    };
    let diff = before.diff(&after, limit, &session.cancel)?;
    let title = format!("{} {}..{}", args.table, before.version(), after.version());
    match args.place.format {
        Format::Human => console::print(&human(&title, before.key(), &diff))?,
        Format::Json => {
            let mut object = json!({
                "command": "diff", "table": args.table,
                "from": before.version(), "to": after.version(),
                "added": diff.added, "removed": diff.removed, "changed": diff.changed,
                "columns": diff.columns, "vectors": vectors(&diff),
                "columns_added": diff.columns_added, "columns_removed": diff.columns_removed,
            });
            let rows = diff.rows.iter().map(|row| row_object(before.key(), row));
            if let Some(object) = object.as_object_mut() {
                object.insert("rows".to_owned(), rows.collect());
            }
            console::print(&object.to_string())?;
        }
    }
    Ok(Code::Success)
}

fn human(title: &str, key: &[String], diff: &table::Diff) -> String {
    let mut out = vec![format!(
        "{title}: {} added, {} removed, {} changed",
        count(diff.added),
        count(diff.removed),
        count(diff.changed)
    )];
    if !diff.columns.is_empty() {
        let columns = diff.columns.iter().map(|(name, rows)| format!("{name} {}", count(*rows)));
        out.push(format!("Changed by column: {}.", columns.collect::<Vec<_>>().join(", ")));
    }
    for (name, furthest) in &diff.vectors {
        let cosine = furthest.min_cosine.map_or_else(|| "none".to_owned(), |c| format!("{c:.6}"));
        out.push(format!(
            "{name}: smallest cosine {cosine}, largest difference of a number {:.3e}.",
            furthest.max_difference
        ));
    }
    for (what, names) in [
        ("Only the first has", &diff.columns_removed),
        ("Only the second has", &diff.columns_added),
    ] {
        if !names.is_empty() {
            out.push(format!("{what} the columns {}.", names.join(", ")));
        }
    }
    if !diff.rows.is_empty() {
        let mut header: Vec<&str> = key.iter().map(String::as_str).collect();
        header.extend(["", "what changed"]);
        let rows = diff.rows.iter().map(|row| {
            let mut cells: Vec<String> = row.key.iter().map(ToString::to_string).collect();
            let (sign, what) = match &row.how {
                How::Added => ("+", String::new()),
                How::Removed => ("-", String::new()),
                How::Changed(changes) => {
                    ("~", changes.iter().map(told).collect::<Vec<_>>().join("\n"))
                }
            };
            cells.extend([sign.to_owned(), what]);
            cells
        });
        out.push(drawing::table(&header, rows.collect(), &[]));
    }
    let left = diff.added + diff.removed + diff.changed - diff.rows.len() as u64;
    if left > 0 {
        out.push(format!("{} more rows (--limit N shows more)", count(left)));
    }
    out.join("\n")
}

fn told(cell: &CellDiff) -> String {
    let name = &cell.column;
    if let Some(Distance { cosine, max_difference }) = cell.distance {
        let cosine = cosine.map_or_else(|| "none".to_owned(), |c| format!("{c:.6}"));
        return format!("{name}: cosine {cosine}, largest difference {max_difference:.3e}");
    }
    let shown = |text: &Option<String>| match text {
        None => "null".to_owned(),
        Some(text) if text.chars().count() > SHOWN_CHARS => {
            format!("{}…", text.chars().take(SHOWN_CHARS).collect::<String>())
        }
        Some(text) => text.clone(),
    };
    format!("{name}: {} → {}", shown(&cell.before), shown(&cell.after))
}

fn vectors(diff: &table::Diff) -> Map<String, Value> {
    let told = diff.vectors.iter().map(|(name, furthest)| {
        let value = json!({
            "rows": furthest.rows,
            "min_cosine": furthest.min_cosine,
            "max_difference": furthest.max_difference,
        });
        (name.clone(), value)
    });
    told.collect()
}

fn row_object(key: &[String], row: &RowDiff) -> Value {
    let value = |part: &KeyPart| match part {
        KeyPart::Null => Value::Null,
        KeyPart::Int(number) => json!(number),
        KeyPart::Text(text) => json!(text),
    };
    let key: Map<String, Value> =
        key.iter().zip(&row.key).map(|(name, part)| (name.clone(), value(part))).collect();
    match &row.how {
        How::Added => json!({"key": key, "change": "added"}),
        How::Removed => json!({"key": key, "change": "removed"}),
        How::Changed(cells) => {
            let cells: Map<String, Value> = cells
                .iter()
                .map(|cell| {
                    let told = match cell.distance {
                        Some(Distance { cosine, max_difference }) => {
                            json!({"cosine": cosine, "max_difference": max_difference})
                        }
                        None => json!({"before": cell.before, "after": cell.after}),
                    };
                    (cell.column.clone(), told)
                })
                .collect();
            json!({"key": key, "change": "changed", "columns": cells})
        }
    }
}
