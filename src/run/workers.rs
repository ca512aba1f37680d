//! Other processes that compute units: started, told, watched, and ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};

use crate::base::progress::Progress;
use crate::base::{Cancel, Error, Kind, Result};

use super::context::{Context, Workers};
use super::unit::{Finished, Order, Reply, Unit};

/// How often somebody looks whether the run is to stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long a worker has to end by itself once its input ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// Has all units computed; gives what was finished, in no order. Where the run is asked to stop,
/// that may be a part.
///
/// # Errors
/// The first failure of a unit, or the death of two workers over one unit; the others are ended.
pub(super) fn compute(
    ctx: &Context<'_>,
    team: &Workers,
    units: Vec<Unit>,
    (task, rows): (&str, u64),
) -> Result<Vec<Finished>> {
    let processes = team.count.get().min(units.len());
    let progress = ctx.options.progress.as_ref();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let shared = Shared {
        team,
        threads: (cores / team.count.get()).max(1),
        cancel: &ctx.options.cancel,
        progress,
        units: Mutex::new(units.into()),
        finished: Mutex::default(),
        failed: Mutex::default(),
        notes: Mutex::default(),
    };
    let gpus: Vec<&str> = team.gpus.iter().take(processes).map(String::as_str).collect();
    if gpus.len() > 1 {
        let gpus = gpus.join(", ");
        progress.note(&format!("the processes take the GPUs {gpus} in turn, each as its cuda:0"));
    }
    progress.begin(task, Some(rows));
    std::thread::scope(|scope| {
        let shared = &shared;
        for number in 0..processes {
            scope.spawn(move || {
                if let Err(error) = shared.serve(number) {
                    locked(&shared.failed).get_or_insert(error);
                }
            });
        }
    });
    progress.end(task);
    if let Some(error) = locked(&shared.failed).take() {
        return Err(error);
    }
    Ok(std::mem::take(&mut *locked(&shared.finished)))
}

/// A poisoned lock only means that another thread failed, which is told by itself.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What the threads share that serve one process each.
struct Shared<'a> {
    team: &'a Workers,
    threads: usize,
    cancel: &'a Cancel,
    progress: &'a dyn Progress,
    units: Mutex<VecDeque<Unit>>,
    finished: Mutex<Vec<Finished>>,
    failed: Mutex<Option<Error>>,
    notes: Mutex<BTreeSet<String>>,
}

impl Shared<'_> {
    fn is_over(&self) -> bool {
        self.cancel.is_cancelled() || locked(&self.failed).is_some()
    }

    /// Hands out units to the process of this number until there are none.
    fn serve(&self, number: usize) -> Result<()> {
        let gpu = self.team.gpus.iter().cycle().nth(number).map(String::as_str);
        let mut process: Option<Process> = None;
        while !self.is_over() {
            let Some(unit) = locked(&self.units).pop_front() else { break };
            let mut deaths = 0;
            let mut told = Told::default();
            while !self.is_over() {
                let mut worker = match process.take() {
                    Some(worker) => worker,
                    None => Process::start(self.team, self.threads, gpu)?,
                };
                match worker.compute(self, &unit, &mut told)? {
                    Ending::Finished(done) => {
                        locked(&self.finished).push(*done);
                        process = Some(worker);
                        break;
                    }
                    Ending::Died(how) => {
                        deaths += 1;
                        if self.is_over() {
                            break;
                        }
                        if deaths > 1 {
                            return Err(died(&unit, &how));
                        }
                        self.progress.note(&format!(
                            "a worker process ended early ({how}); its work is given out again"
                        ));
                    }
                }
            }
        }
        process.map_or(Ok(()), Process::end)
    }

    fn note(&self, line: &str) {
        // Each process loads the model and says so; once is enough.
        if locked(&self.notes).insert(line.to_owned()) {
            self.progress.note(line);
        }
    }
}

fn died(unit: &Unit, how: &str) -> Error {
    Error::new(
        Kind::Internal,
        format!("two worker processes ended early over one unit of work: {how}"),
    )
    .at(&unit.id)
    .help(
        "if the machine ran out of memory, use fewer --jobs; what was finished is kept, and \
             the next run goes on from it",
    )
}

/// The rows of a unit that whoever watches was told of, by task: a process that computes them again
/// for one that died is not counted twice.
#[derive(Default)]
struct Told {
    all: BTreeMap<String, u64>,
    /// Of the process that is at it.
    now: BTreeMap<String, u64>,
}

impl Told {
    /// A process begins the unit.
    fn begin(&mut self) {
        self.now.clear();
    }

    /// The rows to tell of, where the process says that so many more are done.
    fn more(&mut self, task: &str, done: u64) -> u64 {
        let now = self.now.entry(task.to_owned()).or_default();
        *now += done;
        let all = self.all.entry(task.to_owned()).or_default();
        let more = now.saturating_sub(*all);
        *all += more;
        more
    }
}

/// How a unit ended.
enum Ending {
    Finished(Box<Finished>),
    /// The process is gone; how it ended, in words.
    Died(String),
}

/// A process that is ended and waited for when dropped: one that lived on could still write into
/// the store after the run gave its lock back.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        // Of one that was waited for both only say that it is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One worker process.
struct Process {
    child: Kept,
    orders: ChildStdin,
    replies: Receiver<String>,
}

impl Process {
    fn start(team: &Workers, threads: usize, gpu: Option<&str>) -> Result<Self> {
        let fault = |what| move |cause| Error::io(what, team.program.display(), cause);
        let mut command = Command::new(&team.program);
        command
            .args(&team.arguments)
            .env("RAYON_NUM_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(gpu) = gpu {
            command.env("CUDA_VISIBLE_DEVICES", gpu);
        }
        // Ctrl-C is for the run, which tells its workers.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(fault("cannot start a worker process"))?;
        let mut child = Kept(child);
        let (Some(orders), Some(replies)) = (child.0.stdin.take(), child.0.stdout.take()) else {
            return Err(Error::new(Kind::Internal, "a worker process has no pipes"));
        };
        let (tx, rx) = unbounded();
        // Ends with the process: its output ends then.
        std::thread::Builder::new()
            .name("replies".to_owned())
            .spawn(move || {
                for line in BufReader::new(replies).lines().map_while(std::io::Result::ok) {
                    if tx.send(line).is_err() {
                        break;
                    }
                }
            })
            .map_err(fault("cannot start a thread for the replies of"))?;
        Ok(Self { child, orders, replies: rx })
    }

    fn tell(&mut self, order: &Order) -> Result<bool> {
        let line = serde_json::to_string(order).map_err(|cause| {
            Error::new(Kind::Internal, "a unit of work is no JSON").caused_by(cause)
        })?;
        // A process that is gone shows by the end of its replies.
        Ok(writeln!(self.orders, "{line}").and_then(|()| self.orders.flush()).is_ok())
    }

    /// Has one unit computed.
    fn compute(
        &mut self,
        shared: &Shared<'_>,
        unit: &Unit,
        rows_told: &mut Told,
    ) -> Result<Ending> {
        rows_told.begin();
        let mut told = self.tell(&Order::Unit(unit.clone()))?;
        let mut stopping = false;
        loop {
            if shared.is_over() && !stopping {
                stopping = true;
                told = told && self.tell(&Order::Stop)?;
            }
            let line = match self.replies.recv_timeout(LOOK) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(Ending::Died(self.mourn())),
            };
            let reply = serde_json::from_str(&line).map_err(|cause| {
                Error::new(Kind::Internal, format!("a worker said `{line}`")).caused_by(cause)
            })?;
            match reply {
                Reply::Progress { task, done } => {
                    let done = rows_told.more(&task, done);
                    if done > 0 {
                        shared.progress.advance(&task, done);
                    }
                }
                Reply::Note(line) => shared.note(&line),
                Reply::Finished(done) => return Ok(Ending::Finished(done)),
                Reply::Failed(failure) => return Err(failure.into()),
            }
        }
    }

    fn mourn(&mut self) -> String {
        match self.child.0.wait() {
            Ok(status) => describe(status),
            Err(cause) => cause.to_string(),
        }
    }

    /// Lets the process end by itself, for a while.
    fn end(self) -> Result<()> {
        let Self { mut child, orders, replies } = self;
        drop(orders);
        drop(replies);
        let fault = |cause| Error::io("cannot end", "a worker process", cause);
        let begun = Instant::now();
        while child.0.try_wait().map_err(fault)?.is_none() {
            if begun.elapsed() > PATIENCE {
                child.0.kill().map_err(fault)?;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status.to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::base::Digest;
    use crate::base::progress::Silent;
    use crate::run::unit::{Range, UNIT_FORMAT};

    fn unit() -> Unit {
        Unit {
            format: UNIT_FORMAT,
            id: "one".to_owned(),
            definition: PathBuf::new(),
            sets: Vec::new(),
            definition_digest: Digest::of(b""),
            retry_rejects: false,
            only: Vec::new(),
            tables: BTreeMap::new(),
            range: Range::Rows { table: "t".to_owned(), version: 0, from: 0, to: 1 },
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_worker_that_fails_is_gone_when_its_failure_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        // Says what is no reply, and would live on until its input ends.
        let script = format!("echo $$ > '{}'; echo nonsense; exec cat > /dev/null", file.display());
        let team = Workers {
            count: std::num::NonZeroUsize::MIN,
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            gpus: Vec::new(),
        };
        let cancel = Cancel::new();
        let shared = Shared {
            team: &team,
            threads: 1,
            cancel: &cancel,
            progress: &Silent,
            units: Mutex::new([unit()].into()),
            finished: Mutex::default(),
            failed: Mutex::default(),
            notes: Mutex::default(),
        };
        let error = shared.serve(0).unwrap_err();
        assert!(error.what().contains("nonsense"), "{error}");
        let pid = crate::base::files::read_text_capped(&file, 100).unwrap();
        // A zombie would still be listed.
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "process {pid} is still there");
    }

    #[test]
    fn rows_that_a_dead_process_told_of_are_not_told_again() {
        let mut told = Told::default();
        told.begin();
        assert_eq!((told.more("a", 30), told.more("a", 8), told.more("b", 2)), (30, 8, 2));
        // Another one begins again, and goes further.
        told.begin();
        assert_eq!((told.more("a", 30), told.more("a", 30), told.more("b", 3)), (0, 22, 1));
    }
}
