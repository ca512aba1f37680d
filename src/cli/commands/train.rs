//! `clipmill train`: the stages of a definition that train, and what they need.

use crate::base::{Error, Kind, Result};
use crate::cli::captioner_args::Train;
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::plan::{Plan, Work, resolve};
use crate::run::{Options, RunReport};

use super::{definition, summary};

/// Trains what the definition trains and says what came of it.
///
/// # Errors
/// As `run`, and when the definition trains nothing.
pub(crate) fn perform(args: &Train, session: &Session) -> Result<Code> {
    let pipeline = definition::read(&args.file, &args.set, session)?;
    let plan = resolve(&pipeline, &args.file)?;
    let only = tables(&plan, |work| matches!(work, Work::Train(_)), "train")?;
    let report = make(&plan, only, args.wait, session)?;
    say("train", &report, &args.file, args.format, session)
}

/// The tables of the stages that `fits` names.
pub(super) fn tables(
    plan: &Plan,
    fits: impl Fn(&Work) -> bool,
    operator: &str,
) -> Result<Vec<String>> {
    let stages = plan.stages.iter().filter(|stage| fits(&stage.work));
    let tables: Vec<String> = stages.map(|stage| stage.table.clone()).collect();
    if tables.is_empty() {
        return Err(Error::new(
            Kind::Usage,
            format!("no stage of the definition is a `{operator}`"),
        )
        .at(plan.definition.display())
        .help(format!("add one: `[stages.<table>.{operator}]`; the README shows it")));
    }
    Ok(tables)
}

/// Makes tables, and those that they need.
pub(super) fn make(
    plan: &Plan,
    only: Vec<String>,
    wait: bool,
    session: &Session,
) -> Result<RunReport> {
    let _watch = session.stop_on_signals()?;
    let report = crate::run::run(plan, &options(only, wait, session))?;
    for note in &report.notes {
        session.say(note);
    }
    Ok(report)
}

/// What a run is asked for by these commands.
pub(super) fn options(only: Vec<String>, wait: bool, session: &Session) -> Options {
    Options {
        cancel: session.cancel.clone(),
        progress: session.progress.clone(),
        clock: session.clock.clone(),
        retry_rejects: false,
        only,
        wait,
    }
}

/// Says what a run did, as `run` does.
pub(super) fn say(
    command: &str,
    report: &RunReport,
    file: &std::path::Path,
    format: Format,
    session: &Session,
) -> Result<Code> {
    match format {
        Format::Human if session.quiet => {}
        Format::Human => console::print(&summary::human(report, file))?,
        Format::Json => console::print(&summary::json(command, report).to_string())?,
    }
    summary::complain(report, session);
    Ok(summary::code(report))
}
