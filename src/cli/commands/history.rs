//! `clipmill history`: a table's versions, newest first.

use serde_json::{Map, Value, json};

use crate::base::Result;
use crate::base::clock::rfc3339;
use crate::base::units::count;
use crate::cli::args::{Format, History};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::table::PastVersion;

use super::{drawing, store};

/// Digits of a model's digest that people are shown.
const MODEL_DIGITS: usize = 12;

/// Lists the versions.
///
/// # Errors
/// When the store, the table or a log cannot be read.
pub(crate) fn perform(args: &History, session: &Session) -> Result<Code> {
    let found = store::find(&args.place.store, &args.place.set, session)?;
    let mut tables = Map::new();
    for table in found.tables(args.table.as_deref())? {
        let Some(snapshot) = found.store.snapshot(&table)? else { continue };
        let past = snapshot.past(args.limit)?;
        if args.place.format == Format::Human {
            console::print(&format!("{table}\n{}", human(&past)))?;
        }
        tables.insert(table, past.iter().map(object).collect());
    }
    if args.place.format == Format::Json {
        console::print(&json!({"command": "history", "tables": tables}).to_string())?;
    }
    Ok(Code::Success)
}

fn human(past: &[PastVersion]) -> String {
    let header = [
        "version",
        "when",
        "operation",
        "added",
        "removed",
        "changed",
        "rows",
        "why",
        "model",
        "inputs",
    ];
    let unknown = || "?".to_owned();
    let rows = past.iter().map(|version| {
        let commit = &version.commit;
        let note = commit.note.clone().unwrap_or_default();
        let number = |rows: u64| if commit.note.is_some() { count(rows) } else { unknown() };
        let why =
            note.reasons.iter().map(|(why, n)| format!("{} {}", why.replace('_', " "), count(*n)));
        let inputs = note.inputs.iter().map(|(table, version)| format!("{table} {version}"));
        let gone = if version.whole { "" } else { " (vacuumed)" };
        vec![
            format!("{}{gone}", commit.version),
            commit.at_us.map_or_else(unknown, rfc3339),
            commit.note.as_ref().map_or_else(
                || commit.delta_operation.to_lowercase(),
                |note| note.operation.clone(),
            ),
            number(note.added),
            number(note.removed),
            number(note.changed),
            commit.rows.map_or_else(unknown, count),
            why.collect::<Vec<_>>().join(", "),
            note.model.unwrap_or_default().chars().take(MODEL_DIGITS).collect(),
            inputs.collect::<Vec<_>>().join(", "),
        ]
    });
    drawing::table(&header, rows.collect(), &[3, 4, 5, 6])
}

fn object(version: &PastVersion) -> Value {
    let commit = &version.commit;
    let note = commit.note.as_ref();
    json!({
        "version": commit.version,
        "at": commit.at_us.map(rfc3339),
        "operation": note.map_or(commit.delta_operation.as_str(), |note| note.operation.as_str()),
        "added": note.map(|note| note.added),
        "removed": note.map(|note| note.removed),
        "changed": note.map(|note| note.changed),
        "rows": commit.rows,
        "reasons": note.map(|note| &note.reasons),
        "model": note.and_then(|note| note.model.as_ref()),
        "inputs": note.map(|note| &note.inputs),
        "definition_digest": note.map(|note| &note.definition_digest),
        "whole": version.whole,
    })
}
