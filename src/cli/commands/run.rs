//! `clipmill run`: carries a definition out.

use std::num::NonZeroUsize;
use std::path::Path;

use crate::base::{Error, Result};
use crate::cli::args::{Format, Run};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::plan::{Plan, resolve};
use crate::run::{Means, Options, RunReport, Workers};

use super::{definition, summary};

/// Runs the definition and says what came of it.
///
/// # Errors
/// Whatever stops the run before its tables are made; a broken contract and a wish to stop are
/// no errors but exit codes, and are said in the summary.
pub(crate) fn perform(args: &Run, session: &Session) -> Result<Code> {
    let (_, report) = carry_out(&args.file, &args.set, args.wait, args.jobs, session)?;
    match args.format {
        Format::Human => {
            if !session.quiet {
                console::print(&summary::human(&report, &args.file))?;
            }
        }
        Format::Json => console::print(&summary::json("run", &report).to_string())?,
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
    sets: &[String],
    wait: bool,
    jobs: u16,
    session: &Session,
) -> Result<(Plan, RunReport), Error> {
    let pipeline = definition::read(file, sets, session)?;
    let plan = resolve(&pipeline, file)?;
    let _watch = session.stop_on_signals()?;
    let options = Options {
        cancel: session.cancel.clone(),
        progress: session.progress.clone(),
        clock: session.clock.clone(),
        retry_rejects: false,
        only: Vec::new(),
        wait,
    };
    let means = Means { workers: workers(jobs, session)?, ..Means::default() };
    let report = crate::run::run_with(&plan, &options, &means)?;
    for note in &report.notes {
        session.say(note);
    }
    Ok((plan, report))
}

/// How `--jobs` starts other processes; none for one.
fn workers(jobs: u16, session: &Session) -> Result<Option<Workers>> {
    let Some(count) = NonZeroUsize::new(jobs.into()).filter(|count| count.get() > 1) else {
        return Ok(None);
    };
    let program = std::env::current_exe()
        .map_err(|cause| Error::io("cannot find", "the running program", cause))?;
    let mut arguments = session.logging.clone();
    arguments.extend(["work".into(), "-".into()]);
    Ok(Some(Workers { count, program, arguments }))
}
