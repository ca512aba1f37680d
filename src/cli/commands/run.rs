//! `clipmill run`: carries a definition out.

use std::path::Path;

use crate::base::{Error, Result};
use crate::cli::args::{Report, Run};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::plan::{Plan, resolve};
use crate::run::{Options, RunReport};

use super::junit::{self, Cases};
use super::{definition, locked, summary};

/// What of a run the command line decides.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wishes<'a> {
    /// `KEY=VALUE` that replace values of the definition.
    pub(crate) sets: &'a [String],
    /// Whether to wait for another run.
    pub(crate) wait: bool,
    /// Whether only what the lock names may be done.
    pub(crate) locked: bool,
}

/// Runs the definition and says what came of it.
///
/// # Errors
/// Whatever stops the run before its tables are made; a broken contract and a wish to stop are
/// no errors but exit codes, and are said in the summary.
pub(crate) fn perform(args: &Run, session: &Session) -> Result<Code> {
    let wishes = Wishes { sets: &args.set, wait: args.wait, locked: args.locked };
    let ran = carry_out(&args.file, wishes, session);
    if let Some(path) = &args.junit {
        let cases = match &ran {
            Ok((plan, report)) => junit::contracts(plan, report),
            Err(error) => {
                let mut cases = Cases::new("contracts");
                cases.fault("run", &args.file.display().to_string(), error);
                cases
            }
        };
        cases.write(path)?;
    }
    let (plan, report) = ran?;
    match args.format {
        Report::Json => console::print(&summary::json("run", &report).to_string())?,
        Report::Human if session.quiet => {}
        Report::Human => console::print(&summary::human(&report, &args.file))?,
        Report::Github => {
            if !session.quiet {
                console::print(&summary::human(&report, &args.file))?;
            }
            for annotation in summary::github(&report, &plan, &args.file) {
                console::print(&annotation.to_string())?;
            }
        }
    }
    summary::complain(&report, session);
    Ok(summary::code(&report))
}

/// Reads, resolves and runs a definition; the demo does the same.
///
/// # Errors
/// As [`perform`].
pub(crate) fn carry_out(
    file: &Path,
    wishes: Wishes<'_>,
    session: &Session,
) -> Result<(Plan, RunReport), Error> {
    let pipeline = definition::read(file, wishes.sets, session)?;
    let mut plan = resolve(&pipeline, file)?;
    if wishes.locked {
        plan.locked = Some(locked::demands(&pipeline, file)?);
    }
    let _watch = session.stop_on_signals()?;
    let options = Options {
        cancel: session.cancel.clone(),
        progress: session.progress.clone(),
        clock: session.clock.clone(),
        retry_rejects: false,
        only: Vec::new(),
        wait: wishes.wait,
    };
    let report = crate::run::run(&plan, &options)?;
    for note in &report.notes {
        session.say(note);
    }
    Ok((plan, report))
}
