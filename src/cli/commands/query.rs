//! `clipmill query`: SQL over a store's tables.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::base::capped::read_all;
use crate::base::files::write_named;
use crate::base::{Error, Kind, Result};
use crate::cli::args::{Query, Rows};
use crate::cli::console::{self, Stdout};
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::cli::shell;
use crate::query::{Answer, Format, TableStyle};

use super::{drawing, prompt, store, versions};

const STATEMENT_CAP_BYTES: u64 = 16 << 20;

/// Answers the statement, or those that are typed.
///
/// # Errors
/// When the store cannot be opened, a statement is wrong, or the answer cannot be written.
pub(crate) fn perform(args: &Query, session: &Session) -> Result<Code> {
    let sql = match args.sql.as_deref() {
        Some("-") => Some(read_statements()?),
        None if !io::stdin().is_terminal() => Some(read_statements()?),
        Some(sql) => Some(sql.to_owned()),
        None => None,
    };
    if sql.is_none() {
        refuse_without_statement(args)?;
    }
    refuse_binary_on_terminal(args, session)?;
    args.output.as_deref().map_or(Ok(()), refuse_missing_folder)?;
    let found = store::find(&args.store, &args.set, session)?;
    let at = versions::of(&args.at, sql.as_deref(), &found.tables(None)?)?;
    let tables = found.session(&at)?;
    let Some(sql) = sql else {
        prompt::serve(&tables, &|answer| write(answer, args.format, None), session)?;
        return Ok(Code::Success);
    };
    let answer = if args.explain { tables.explain(&sql)? } else { tables.sql(&sql)? };
    write(&answer, args.format, args.output.as_deref())?;
    Ok(Code::Success)
}

fn read_statements() -> Result<String> {
    let bytes = read_all(io::stdin().lock(), STATEMENT_CAP_BYTES, "standard input")?;
    String::from_utf8(bytes).map_err(|cause| {
        Error::new(Kind::Query, "is not UTF-8").at("standard input").caused_by(cause)
    })
}

/// The prompt answers many statements on the terminal; these flags are about one.
fn refuse_without_statement(args: &Query) -> Result<()> {
    let flag = match (&args.output, args.explain) {
        (Some(_), _) => "--output",
        (None, true) => "--explain",
        (None, false) => return Ok(()),
    };
    Err(Error::new(Kind::Usage, format!("{flag} wants a statement"))
        .help("name it after the store: clipmill query STORE 'SELECT …'"))
}

/// Parquet in a terminal helps nobody.
fn refuse_binary_on_terminal(args: &Query, session: &Session) -> Result<()> {
    let is_binary = matches!(args.format, Rows::Parquet | Rows::Arrow);
    if is_binary && args.output.is_none() && session.console.out_terminal {
        return Err(Error::new(Kind::Usage, "a terminal shows no Parquet and no Arrow")
            .help("name a file with --output, or send standard output to one"));
    }
    Ok(())
}

/// A misspelt folder is no wish for a new one.
fn refuse_missing_folder(output: &Path) -> Result<()> {
    match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(Error::new(Kind::Usage, "the folder is not there").at(output.display()).help(
                format!("make it first: `mkdir -p {}`", shell::word(&folder.to_string_lossy())),
            ))
        }
        _ => Ok(()),
    }
}

/// Writes an answer as the user wants it.
fn write(answer: &Answer, rows: Rows, output: Option<&Path>) -> Result<()> {
    let format = match rows {
        Rows::Table => {
            // A file gets every row; people are shown the first.
            let style = TableStyle { rows: output.map_or(TableStyle::default().rows, |_| None) };
            let drawn = drawing::answer(answer, style);
            return match output {
                None => console::print(&drawn),
                Some(path) => write_named(path, |to| {
                    writeln!(to, "{drawn}")
                        .map_err(|cause| Error::io("cannot write", path.display(), cause))
                }),
            };
        }
        Rows::Json => Format::Json,
        Rows::Jsonl => Format::Jsonl,
        Rows::Csv => Format::Csv,
        Rows::Parquet => Format::Parquet,
        Rows::Arrow => Format::Arrow,
    };
    match output {
        Some(path) => write_named(path, |to| answer.write(format, to)),
        None => {
            let mut out = io::BufWriter::new(Stdout::new());
            answer.write(format, &mut out)?;
            out.flush().map_err(|cause| Error::io("cannot write", "standard output", cause))
        }
    }
}
