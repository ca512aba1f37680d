//! Parts of tables that are not what was written: Polars says that something is wrong with a file,
//! and not with which.

use std::path::{Path, PathBuf};

use polars::prelude::{LazyFrame, PolarsError};

use super::catalog::TableEntry;
use super::refusal::root;
use super::scan;
use crate::base::{Error, Kind};

/// The error of the first part of `tables` that cannot be read, where `cause` is of a file and there
/// is such a part; else the cause.
pub(super) fn explain<'t>(
    mut tables: impl Iterator<Item = &'t TableEntry>,
    cause: PolarsError,
) -> Result<Error, PolarsError> {
    if !is_of_files(&cause) {
        return Err(cause);
    }
    match tables.find_map(|table| Some((table, damaged_part(table)?))) {
        Some((table, part)) => Ok(damaged(&table.name, &part, cause)),
        None => Err(cause),
    }
}

/// Whether an error is of a file, not of a statement.
fn is_of_files(cause: &PolarsError) -> bool {
    match root(cause) {
        PolarsError::IO { .. } => true,
        // The lines that follow may show a plan, in which files have their names.
        other => other.to_string().lines().next().is_some_and(|said| said.contains("parquet:")),
    }
}

/// The first part of `table` that cannot be read whole.
fn damaged_part(table: &TableEntry) -> Option<PathBuf> {
    let is_damaged = |part: &&PathBuf| {
        let alone = TableEntry { parts: vec![(*part).clone()], ..table.clone() };
        let read = scan::frame(&alone).and_then(LazyFrame::collect);
        read.is_err_and(|cause| is_of_files(&cause))
    };
    table.parts.iter().find(is_damaged).cloned()
}

fn damaged(table: &str, part: &Path, cause: PolarsError) -> Error {
    Error::new(Kind::Store, format!("a part of the table '{table}' is missing or damaged"))
        .at(part.display())
        .help(
            "`clipmill run` makes its rows again, and only those; `clipmill verify` finds every \
             such part",
        )
        .caused_by(cause)
}
