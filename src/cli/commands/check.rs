//! `clipmill check`: definitions only; no data, no weights, no network.

use std::path::Path;

use serde_json::{Value, json};

use crate::base::{Kind, Result};
use crate::cli::args::{Check, Format};
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::cli::{console, render};
use crate::definition::Pipeline;

use super::definition;

/// Checks every file and reports everything that is wrong with any of them.
///
/// # Errors
/// When standard output cannot be written, or the command line is wrong.
pub(crate) fn perform(args: &Check, session: &Session) -> Result<Code> {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    for file in &args.files {
        match definition::read(file, &args.set, session) {
            Ok(pipeline) => {
                if args.format == Format::Human {
                    session.say(&format!("{}: {}", file.display(), sentence(&pipeline)));
                }
                files.push(json!({"file": file, "ok": true, "name": pipeline.name.value,
                                  "tables": tables(&pipeline)}));
            }
            // A wrong command line is wrong for every file.
            Err(error) if error.kind() == Kind::Usage => return Err(error),
            Err(error) => {
                if args.format == Format::Human {
                    console::complain(&render::error_human(&error, session.console.err_color));
                }
                errors.extend(objects(&error, file));
                files.push(json!({"file": file, "ok": false}));
            }
        }
    }
    if args.format == Format::Json {
        let object = json!({"command": "check", "files": files, "errors": errors});
        console::print(&object.to_string())?;
    }
    Ok(if errors.is_empty() { Code::Success } else { Code::Failure })
}

/// What a good definition makes, in words.
fn sentence(pipeline: &Pipeline) -> String {
    format!("ok, makes {}", tables(pipeline).join(", "))
}

fn tables(pipeline: &Pipeline) -> Vec<String> {
    pipeline.order().map(|stage| stage.table.value.clone()).collect()
}

/// One object a finding; an error without findings is one about the whole file.
fn objects(error: &crate::base::Error, file: &Path) -> Vec<Value> {
    match error.report() {
        Some(report) => render::report_json(report, error.kind()),
        None => vec![json!({
            "code": render::code(error.kind()), "message": error.to_string(), "file": file,
            "line": null, "column": null, "label": null, "help": error.help_text(),
        })],
    }
}
