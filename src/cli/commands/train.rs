//! `clipmill train`: the stages of a definition that train, and what they need.

use std::path::Path;

use crate::base::{Error, Kind, Result};
use crate::cli::captioner_args::Train;
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::cli::shell::CommandLine;
use crate::definition::Pipeline;
use crate::plan::resolve_only;
use crate::run::{Options, RunReport};

use super::{definition, run, summary};

/// Trains what the definition trains and says what came of it.
///
/// # Errors
/// As `run`, and when the definition trains nothing.
pub(crate) fn perform(args: &Train, session: &Session) -> Result<Code> {
    let pipeline = definition::read(&args.file, &args.set, session)?;
    let report = make(&pipeline, &args.file, "train", args.wait, session)?;
    let again = CommandLine::new("train", &args.file).each("--set", &args.set);
    say("train", &report, &again, args.format, session)
}

/// Makes the tables of the stages of an operator, and those that they need; what other stages read
/// need not be there.
///
/// # Errors
/// As `run`, and when no stage is of that operator.
pub(super) fn make(
    pipeline: &Pipeline,
    file: &Path,
    operator: &str,
    wait: bool,
    session: &Session,
) -> Result<RunReport> {
    let only = tables(pipeline, file, operator)?;
    let plan = resolve_only(pipeline, file, &only)?;
    let _watch = session.stop_on_signals()?;
    let options = Options { only, wait, ..run::options(session) };
    let report = crate::run::run(&plan, &options)?;
    for note in &report.notes {
        session.say(note);
    }
    summary::log(&report);
    Ok(report)
}

/// The tables of the stages of an operator.
fn tables(pipeline: &Pipeline, file: &Path, operator: &str) -> Result<Vec<String>> {
    let stages = pipeline.order().filter(|stage| stage.operator.name() == operator);
    let tables: Vec<String> = stages.map(|stage| stage.table.value.clone()).collect();
    if tables.is_empty() {
        return Err(Error::new(
            Kind::Usage,
            format!("no stage of the definition is a `{operator}`"),
        )
        .at(file.display())
        .help(format!("add one: `[stages.<table>.{operator}]`; the README shows it")));
    }
    Ok(tables)
}

/// Says what a run did, as `run` does.
pub(super) fn say(
    command: &str,
    report: &RunReport,
    again: &CommandLine,
    format: Format,
    session: &Session,
) -> Result<Code> {
    match format {
        Format::Human if session.quiet => {}
        Format::Human => console::print(&summary::human(report, again))?,
        Format::Json => console::print(&summary::json(command, report).to_string())?,
    }
    summary::complain(report, session);
    Ok(summary::code(report))
}
