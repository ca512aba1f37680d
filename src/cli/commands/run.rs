//! `clipmill run`: carries a definition out.

use std::num::NonZeroUsize;
use std::path::Path;

use crate::base::{Error, Result};
use crate::cli::args::{Report, Run};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::cli::shell::CommandLine;
use crate::embed::gpu_names;
use crate::plan::model::DeviceChoice;
use crate::plan::{Plan, resolve_only};
use crate::run::{Means, Options, RunReport, Workers};

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
    /// Whether what was refused is tried again.
    pub(crate) retry_rejects: bool,
    /// Tables to make; all where empty.
    pub(crate) only: &'a [String],
    /// How many processes compute; one where 0.
    pub(crate) jobs: u16,
}

/// Runs the definition and says what came of it.
///
/// # Errors
/// Whatever stops the run before its tables are made; a broken contract and a wish to stop are
/// no errors but exit codes, and are said in the summary.
pub(crate) fn perform(args: &Run, session: &Session) -> Result<Code> {
    let wishes = Wishes {
        sets: &args.set,
        wait: args.wait,
        locked: args.locked,
        retry_rejects: args.retry_rejects,
        only: &args.only,
        jobs: args.jobs,
    };
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
    let again = again(args);
    match args.format {
        Report::Json => console::print(&summary::json("run", &report).to_string())?,
        Report::Human if session.quiet => {}
        Report::Human => console::print(&summary::human(&report, &again))?,
        Report::Github => {
            if !session.quiet {
                console::print(&summary::human(&report, &again))?;
            }
            for annotation in summary::github(&report, &plan, &args.file) {
                console::print(&annotation.to_string())?;
            }
        }
    }
    summary::complain(&report, session);
    Ok(summary::code(&report))
}

/// The command line that does the same.
fn again(args: &Run) -> CommandLine {
    let jobs = (args.jobs != 1).then(|| args.jobs.to_string());
    CommandLine::new("run", &args.file)
        .each("--set", &args.set)
        .each("--only", &args.only)
        .flag("--retry-rejects", args.retry_rejects)
        .each("--jobs", jobs.as_slice())
        .flag("--locked", args.locked)
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
    let mut plan = resolve_only(&pipeline, file, wishes.only)?;
    if wishes.locked {
        let demands = locked::demands(&pipeline, file, &mut plan.digests, &session.cancel)?;
        plan.locked = Some(demands);
    }
    let _watch = session.stop_on_signals()?;
    let options = Options {
        retry_rejects: wishes.retry_rejects,
        only: wishes.only.to_vec(),
        wait: wishes.wait,
        ..options(session)
    };
    let means = Means { workers: workers(wishes.jobs, &plan, session)?, ..Means::default() };
    let report = crate::run::run_with(&plan, &options, &means)?;
    for note in &report.notes {
        session.say(note);
    }
    summary::log(&report);
    Ok((plan, report))
}

/// How `--jobs` starts other processes; none for one.
fn workers(jobs: u16, plan: &Plan, session: &Session) -> Result<Option<Workers>> {
    let Some(count) = NonZeroUsize::new(jobs.into()).filter(|count| count.get() > 1) else {
        return Ok(None);
    };
    let program = std::env::current_exe()
        .map_err(|cause| Error::io("cannot find", "the running program", cause))?;
    let mut arguments = session.logging.clone();
    arguments.extend(["work".into(), "-".into()]);
    // The driver is asked only where a model may want a GPU: that takes it a while.
    let mut models = plan.stages.iter().filter_map(|stage| stage.work.model());
    let gpus = if models.any(|model| model.device != DeviceChoice::Cpu) {
        gpu_names(session.environment.get("CUDA_VISIBLE_DEVICES"))
    } else {
        Vec::new()
    };
    Ok(Some(Workers { count, program, arguments, gpus }))
}

/// A run, or a plan, of everything.
pub(crate) fn options(session: &Session) -> Options {
    Options {
        cancel: session.cancel.clone(),
        progress: session.progress.clone(),
        clock: session.clock.clone(),
        retry_rejects: false,
        only: Vec::new(),
        wait: false,
    }
}
