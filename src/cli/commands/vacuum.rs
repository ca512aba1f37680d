//! `clipmill vacuum`: files that no recent version needs are deleted.

use serde_json::{Map, Value, json};

use crate::base::Result;
use crate::base::units::{Bytes, count};
use crate::cli::args::{Format, Vacuum};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::table::{OldFile, Vacuumed};

use super::{drawing, store};

/// Deletes them, or says which they are.
///
/// # Errors
/// When another process writes the store, or a file cannot be removed.
pub(crate) fn perform(args: &Vacuum, session: &Session) -> Result<Code> {
    let found = store::find(&args.place.store, &args.place.set, session)?;
    let tables = found.tables(args.table.as_deref())?;
    let _watch = session.stop_on_signals()?;
    // a run under way may be about to publish what it staged
    let _lock = match args.dry_run {
        true => None,
        false => Some(found.store.lock(false, &session.cancel)?),
    };
    let mut all = Vec::new();
    for table in tables {
        let done = found.store.vacuum(&table, args.older_than, args.dry_run, &session.cancel)?;
        all.push((table, done));
    }
    let freed: u64 = all.iter().map(|(_, done)| done.size_bytes()).sum();
    if args.place.format == Format::Json {
        let tables: Map<String, Value> =
            all.iter().map(|(table, done)| (table.clone(), object(done))).collect();
        let object = json!({
            "command": "vacuum", "dry_run": args.dry_run,
            "older_than_seconds": args.older_than.as_secs(),
            "freed_bytes": freed, "tables": tables,
        });
        console::print(&object.to_string())?;
        return Ok(Code::Success);
    }
    let files: usize = all.iter().map(|(_, done)| done.files().count()).sum();
    let told = all.iter().filter(|(_, done)| done.files().next().is_some());
    let rows: Vec<Vec<String>> = told
        .map(|(table, done)| {
            let number = |files: &[OldFile]| count(files.len() as u64);
            vec![
                table.clone(),
                number(&done.parts),
                number(&done.staged),
                number(&done.temporary),
                Bytes(done.size_bytes()).to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["table", "old parts", "staged", "temporary", "size"];
        console::print(&drawing::table(&header, rows, &[1, 2, 3, 4]))?;
    }
    let verb = if args.dry_run { "Would free" } else { "Freed" };
    console::print(&format!("{verb} {} in {} files.", Bytes(freed), count(files as u64)))?;
    Ok(Code::Success)
}

fn object(done: &Vacuumed) -> Value {
    let paths =
        |files: &[OldFile]| files.iter().map(|f| f.path.display().to_string()).collect::<Vec<_>>();
    json!({
        "parts": paths(&done.parts), "staged": paths(&done.staged),
        "temporary": paths(&done.temporary), "freed_bytes": done.size_bytes(),
    })
}
