//! `clipmill work`: computes units of another process's run. Not for people: `run --jobs` starts
//! it, and later a cluster's scheduler.

use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, unbounded};

use crate::base::files::read_text_capped;
use crate::base::progress::Progress;
use crate::base::{Cancel, Error, Kind, Result};
use crate::cli::args::Work;
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::plan::resolve_only;
use crate::run::{Finished, Means, Options, Order, Reply, Unit, Worker};

use super::{definition, run};

/// Most bytes of an order.
const CAP_BYTES: u64 = 16 << 20;

/// Computes the unit that a file orders, or those that standard input does.
///
/// # Errors
/// Where a unit cannot be computed; its rows up to then are durable.
pub(crate) fn perform(args: &Work, session: &Session) -> Result<Code> {
    if args.order == Path::new("-") {
        return listen(session);
    }
    let text = read_text_capped(&args.order, CAP_BYTES)?;
    let unit = match parse(&text).map_err(|error| error.at(args.order.display()))? {
        Order::Unit(unit) => unit,
        Order::Stop => return Ok(Code::Success),
    };
    let _watch = session.stop_on_signals()?;
    let options = options(session, session.progress.clone(), unit.retry_rejects);
    let mut finished = None;
    serve(session, &options, unit, |done| {
        finished = Some(done?);
        Ok(None)
    })?;
    let Some(finished) = finished else { return Ok(Code::Interrupted) };
    let code = if finished.complete { Code::Success } else { Code::Interrupted };
    say(&Reply::Finished(Box::new(finished)))?;
    Ok(code)
}

fn parse(text: &str) -> Result<Order> {
    serde_json::from_str(text).map_err(|cause| {
        Error::new(Kind::Usage, "is no order of work")
            .help(
                "one is `{\"unit\": {…}}`, as `clipmill run --jobs N` hands them out; see \
                 ARCHITECTURE.md, \"Units of work\"",
            )
            .caused_by(cause)
    })
}

fn options(session: &Session, progress: Arc<dyn Progress>, retry_rejects: bool) -> Options {
    Options { progress, retry_rejects, ..run::options(session) }
}

/// Serves a run until it has no more to do. Its end, however it comes, ends this process: the
/// pipe closes.
fn listen(session: &Session) -> Result<Code> {
    let busy = Arc::new(AtomicBool::new(false));
    let orders = hear(session.cancel.clone(), Arc::clone(&busy))?;
    let Ok(unit) = orders.recv() else { return Ok(Code::Success) };
    let options = options(session, Arc::new(Told), unit.retry_rejects);
    busy.store(true, Ordering::SeqCst);
    let served = serve(session, &options, unit, |done| {
        busy.store(false, Ordering::SeqCst);
        say(&match done {
            Ok(done) => Reply::Finished(Box::new(done)),
            Err(error) => Reply::Failed((&error).into()),
        })?;
        let next = orders.recv().ok();
        busy.store(next.is_some(), Ordering::SeqCst);
        Ok(next)
    });
    if let Err(error) = &served {
        say(&Reply::Failed(error.into()))?;
    }
    Ok(Code::Success)
}

/// A thread that takes orders in.
fn hear(cancel: Cancel, busy: Arc<AtomicBool>) -> Result<Receiver<Unit>> {
    let (tx, rx) = unbounded();
    std::thread::Builder::new()
        .name("orders".to_owned())
        .spawn(move || {
            let mut input = BufReader::new(std::io::stdin());
            let mut line = String::new();
            loop {
                line.clear();
                match input.by_ref().take(CAP_BYTES).read_line(&mut line) {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
                match parse(&line) {
                    Ok(Order::Unit(unit)) => {
                        if tx.send(unit).is_err() {
                            return;
                        }
                    }
                    Ok(Order::Stop) => cancel.cancel(),
                    Err(error) => {
                        console::complain(&error.to_string());
                        std::process::exit(i32::from(Code::Usage.number()));
                    }
                }
            }
            // Nobody waits for the rest of a unit any more: the run is gone.
            if busy.load(Ordering::SeqCst) {
                std::process::exit(i32::from(Code::Interrupted.number()));
            }
        })
        .map_err(|cause| Error::io("cannot start a thread for", "orders", cause))?;
    Ok(rx)
}

/// Computes units, the first one and those that `next` gives for what became of the last.
fn serve(
    session: &Session,
    options: &Options,
    first: Unit,
    mut next: impl FnMut(Result<Finished>) -> Result<Option<Unit>>,
) -> Result<()> {
    let file: PathBuf = first.definition.clone();
    let sets: Vec<String> =
        first.sets.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let pipeline = definition::read(&file, &sets, session)?;
    let plan = resolve_only(&pipeline, &file, &first.only)?;
    let means = Means::default();
    let mut worker = Worker::new(&plan, options, &means)?;
    let mut unit = Some(first);
    while let Some(now) = unit {
        unit = next(worker.compute(&now))?;
    }
    Ok(())
}

fn say(reply: &Reply) -> Result<()> {
    let line = serde_json::to_string(reply)
        .map_err(|cause| Error::new(Kind::Internal, "a reply is no JSON").caused_by(cause))?;
    console::print(&line)
}

/// Tells the run how far the work is.
#[derive(Debug)]
struct Told;

impl Progress for Told {
    fn begin(&self, _task: &str, _total: Option<u64>) {}

    fn advance(&self, task: &str, done: u64) {
        // Nobody is left to tell when the pipe is gone.
        let _gone = say(&Reply::Progress { task: task.to_owned(), done });
    }

    fn end(&self, _task: &str) {}

    fn note(&self, line: &str) {
        let _gone = say(&Reply::Note(line.to_owned()));
    }
}
