//! `clipmill vacuum`: files that no recent version needs are deleted.

use serde_json::{Map, Value, json};

use crate::base::Result;
use crate::base::units::{Bytes, count};
use crate::cli::args::{Format, Vacuum};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::run::{Outlived, outlived, tables_of_checkpoints};
use crate::table::{OldFile, Vacuumed};

use super::{drawing, store};

/// What is deleted of one table.
struct Done {
    table: String,
    files: Vacuumed,
    outlived: Outlived,
}

impl Done {
    /// Parts, staged parts, and what was left unfinished.
    fn files(&self) -> impl Iterator<Item = &OldFile> {
        self.files.files().chain(&self.outlived.unfinished)
    }

    fn checkpoints(&self) -> &[OldFile] {
        &self.outlived.checkpoints
    }

    fn size_bytes(&self) -> u64 {
        self.files().chain(self.checkpoints()).map(|file| file.size_bytes).sum()
    }
}

/// Deletes them, or says which they are.
///
/// # Errors
/// When another process writes the store, or a file cannot be removed.
pub(crate) fn perform(args: &Vacuum, session: &Session) -> Result<Code> {
    let found = store::find(&args.place.store, &args.place.set, session)?;
    let mut tables = found.tables(args.table.as_deref())?;
    let _watch = session.stop_on_signals()?;
    // a run under way may be about to publish what it staged
    let _lock = match args.dry_run {
        true => None,
        false => Some(found.store.lock(false, &session.cancel)?),
    };
    if args.table.is_none() {
        // of a table that is not there any more its checkpoints may be
        tables.extend(tables_of_checkpoints(&found.store)?);
        tables.sort_unstable();
        tables.dedup();
    }
    let age_us = i64::try_from(args.older_than.as_micros()).unwrap_or(i64::MAX);
    let since_us = session.clock.now_us().saturating_sub(age_us);
    let mut all = Vec::new();
    for table in tables {
        let files = found.store.vacuum(&table, args.older_than, args.dry_run, &session.cancel)?;
        let outlived = outlived(&found.store, &table, &files.parts, since_us, &session.cancel)?;
        if !args.dry_run {
            outlived.delete(&session.cancel)?;
        }
        all.push(Done { table, files, outlived });
    }
    let freed: u64 = all.iter().map(Done::size_bytes).sum();
    if args.place.format == Format::Json {
        let tables: Map<String, Value> =
            all.iter().map(|done| (done.table.clone(), object(done))).collect();
        let object = json!({
            "command": "vacuum", "dry_run": args.dry_run,
            "older_than_seconds": args.older_than.as_secs(),
            "freed_bytes": freed, "tables": tables,
        });
        console::print(&object.to_string())?;
        return Ok(Code::Success);
    }
    let files: usize = all.iter().map(|done| done.files().count()).sum();
    let checkpoints: usize = all.iter().map(|done| done.checkpoints().len()).sum();
    let told = all.iter().filter(|done| done.files().chain(done.checkpoints()).next().is_some());
    let rows: Vec<Vec<String>> = told
        .map(|done| {
            let number = |files: usize| count(files as u64);
            vec![
                done.table.clone(),
                number(done.files.parts.len()),
                number(done.files.staged.len()),
                number(done.files.temporary.len() + done.outlived.unfinished.len()),
                number(done.checkpoints().len()),
                Bytes(done.size_bytes()).to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["table", "old parts", "staged", "temporary", "checkpoints", "size"];
        console::print(&drawing::table(&header, rows, &[1, 2, 3, 4, 5]))?;
    }
    let verb = if args.dry_run { "Would free" } else { "Freed" };
    let folders = match checkpoints {
        0 => String::new(),
        1 => " and a checkpoint".to_owned(),
        many => format!(" and {} checkpoints", count(many as u64)),
    };
    let files = count(files as u64);
    console::print(&format!("{verb} {} in {files} files{folders}.", Bytes(freed)))?;
    Ok(Code::Success)
}

fn object(done: &Done) -> Value {
    let paths = |files: &[OldFile]| -> Vec<String> {
        files.iter().map(|file| file.path.display().to_string()).collect()
    };
    let temporary = [&done.files.temporary[..], &done.outlived.unfinished].concat();
    json!({
        "parts": paths(&done.files.parts), "staged": paths(&done.files.staged),
        "temporary": paths(&temporary), "checkpoints": paths(done.checkpoints()),
        "freed_bytes": done.size_bytes(),
    })
}
