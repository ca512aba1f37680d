//! `clipmill check`: definitions alone, without data, weights or network.

use std::path::Path;

use serde_json::{Value, json};

use crate::base::{Error, Kind, Result};
use crate::cli::args::{Check, Report};
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::cli::{console, logging, render};
use crate::definition::Pipeline;
use crate::plan::check_contracts;

use super::junit::{Cases, Ended};
use super::locked::{self, Checked};
use super::{definition, lock_file};

/// What was found out about one file.
enum Found {
    Good(Pipeline),
    /// Good by itself, and compared with its lock.
    Compared(Pipeline, Checked),
    Bad(Error),
}

/// Checks every file and reports everything that is wrong with any of them.
///
/// # Errors
/// When standard output or the JUnit file cannot be written, or the command line is wrong.
pub(crate) fn perform(args: &Check, session: &Session) -> Result<Code> {
    let mut found = Vec::new();
    for file in &args.files {
        match look(file, args, session) {
            // A wrong command line is wrong for every file.
            Found::Bad(error) if error.kind() == Kind::Usage => return Err(error),
            one => found.push((file.as_path(), one)),
        }
    }
    for (file, one) in &found {
        if let Found::Bad(error) = one {
            logging::fault(error);
        }
        match args.format {
            Report::Human => human(file, one, session),
            Report::Github => {
                human(file, one, session);
                for line in github(file, one) {
                    console::print(&line)?;
                }
            }
            Report::Json => {}
        }
    }
    if args.format == Report::Json {
        let files: Vec<Value> = found.iter().map(|(file, one)| object(file, one)).collect();
        let errors: Vec<Value> = found.iter().flat_map(|(file, one)| errors(file, one)).collect();
        let object = json!({"command": "check", "files": files, "errors": errors});
        console::print(&object.to_string())?;
    }
    if let Some(path) = &args.junit {
        junit(&found).write(path)?;
    }
    Ok(code(&found))
}

fn look(file: &Path, args: &Check, session: &Session) -> Found {
    let checked = definition::read(file, &args.set, session).and_then(|pipeline| {
        check_contracts(&pipeline, file)?;
        let checked = if args.locked { Some(locked::check(&pipeline, file)?) } else { None };
        Ok((pipeline, checked))
    });
    match checked {
        Ok((pipeline, None)) => Found::Good(pipeline),
        Ok((pipeline, Some(checked))) => Found::Compared(pipeline, checked),
        Err(error) => Found::Bad(error),
    }
}

/// A wrong definition weighs more than one that differs from its lock.
fn code(found: &[(&Path, Found)]) -> Code {
    if found.iter().any(|(_, one)| matches!(one, Found::Bad(_))) {
        Code::Failure
    } else if found.iter().any(|(_, one)| is_pending(one)) {
        Code::Pending
    } else {
        Code::Success
    }
}

fn is_pending(one: &Found) -> bool {
    matches!(one, Found::Compared(_, checked) if !checked.comparison.agrees())
}

fn human(file: &Path, one: &Found, session: &Session) {
    match one {
        Found::Good(pipeline) => {
            session.say(&format!("{}: {}", file.display(), sentence(pipeline)))
        }
        Found::Compared(_, checked) if checked.comparison.agrees() => {
            session.say(&locked::human(checked, file));
        }
        Found::Compared(_, checked) => console::complain(&locked::human(checked, file)),
        Found::Bad(error) => {
            console::complain(&render::error_human(error, session.console.err_color));
        }
    }
}

fn github(file: &Path, one: &Found) -> Vec<String> {
    match one {
        Found::Good(_) => Vec::new(),
        Found::Compared(pipeline, checked) => {
            locked::github(checked, pipeline).iter().map(ToString::to_string).collect()
        }
        Found::Bad(error) => vec![render::error_github(error, file)],
    }
}

/// What a good definition makes, in words.
fn sentence(pipeline: &Pipeline) -> String {
    format!("ok, makes {}", tables(pipeline).join(", "))
}

fn tables(pipeline: &Pipeline) -> Vec<String> {
    pipeline.order().map(|stage| stage.table.value.clone()).collect()
}

fn object(file: &Path, one: &Found) -> Value {
    match one {
        Found::Bad(_) => json!({"file": file, "ok": false}),
        Found::Good(pipeline) => json!({"file": file, "ok": true, "name": pipeline.name.value,
                                        "tables": tables(pipeline)}),
        Found::Compared(pipeline, checked) => {
            json!({"file": file, "ok": true, "name": pipeline.name.value,
                   "tables": tables(pipeline), "lock": locked::json(checked, file)})
        }
    }
}

/// One object a finding; an error without findings is one about the whole file.
fn errors(file: &Path, one: &Found) -> Vec<Value> {
    let Found::Bad(error) = one else { return Vec::new() };
    match error.report() {
        Some(report) => render::report_json(report, error.kind()),
        None => vec![json!({
            "code": render::code(error.kind()), "message": error.to_string(), "file": file,
            "line": null, "column": null, "label": null, "help": error.help_text(),
        })],
    }
}

/// A case a file, and with `--locked` a second one for its lock.
fn junit(found: &[(&Path, Found)]) -> Cases {
    let mut cases = Cases::new("definitions");
    for (file, one) in found {
        let name = file.display().to_string();
        match one {
            Found::Good(_) => cases.add("definition", &name, Ended::Well),
            Found::Bad(error) => cases.fault("definition", &name, error),
            Found::Compared(_, checked) => {
                cases.add("definition", &name, Ended::Well);
                let ended = if checked.comparison.agrees() {
                    Ended::Well
                } else {
                    let message = format!("differs from {}", lock_file::NAME);
                    Ended::Badly(message, locked::human(checked, file))
                };
                cases.add("lock", &name, ended);
            }
        }
    }
    cases
}
