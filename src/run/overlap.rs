//! Reading, decoding, encoding and writing at the same time, through bounded queues.
//!
//! One thread reads (or only names members, where workers can read by offset), one drives the
//! decoding over all cores, two chunks at a time, the calling thread decides and encodes, one
//! writes. Every queue holds a few chunks, and the slowest part sets the pace. What grows with the
//! data is a record a member where the listing is known, and the rows that are stored, of 68 bytes
//! each: no pixels, no vectors, no texts.
//! Order is kept throughout, so that the same input gives the same rows in the same order.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::base::{Error, Kind, Result};
use crate::embed::ImageEncoder;
use crate::flow::Origin;
use crate::sources::{Archive, Item, Member};
use crate::table::StagedPart;

use super::book::Book;
use super::clocks::{Clocks, Part, Spend};
use super::context::{Context, Options};
use super::encode::Encoder;
use super::indexes;
use super::pass::{Listed, Pass};
use super::queues::Queue;
use super::recipe::{Outcome, Recipe, Task};
use super::sink::{Sink, Write};
use super::state::FETCHED;

/// Members of a chunk for each thread that decodes, up to [`MOST`].
const A_THREAD: usize = 16;
/// Most members of a chunk.
const MOST: usize = 256;
/// Bytes of members out of a stream that are enough for a chunk.
const BYTES: usize = 32 << 20;
/// Chunks that are decoded at once: a thread that finds no member left of the first goes on with the
/// second, and does not wait for whoever has the last one.
const DECODING: usize = 2;
/// Chunks that wait between two parts.
const WAITING: usize = 2;
/// How often the writer looks at the age of its parts while no rows come.
const PART_LOOK: Duration = Duration::from_secs(1);

/// What came out of a pass.
#[derive(Debug)]
pub(super) struct Done {
    /// Durable parts: of the images, then of each target.
    pub parts: Vec<Vec<StagedPart>>,
    /// Whether every member was seen.
    pub complete: bool,
}

/// Takes every member of a source through the pass.
///
/// # Errors
/// The first failure of any part; what was durable by then stays for the next run.
pub(super) fn drive<'p>(
    ctx: &mut Context<'_>,
    pass: &'p Pass<'p>,
    book: &mut Book<'p, '_>,
    listed: &mut Listed,
) -> Result<Done> {
    let done = compute(ctx, pass, book, listed)?;
    let learned = book.learn(listed);
    book.refuse_doubles(listed);
    indexes::keep(listed, &learned)?;
    if done.complete {
        keep_streamed(book, listed)?;
    }
    Ok(done)
}

/// Computes what the listed members need into durable parts, and keeps no index.
///
/// # Errors
/// As [`drive`].
pub(super) fn compute<'p>(
    ctx: &mut Context<'_>,
    pass: &'p Pass<'p>,
    book: &mut Book<'p, '_>,
    listed: &Listed,
) -> Result<Done> {
    let work: Vec<_> = listed
        .members
        .iter()
        .map(|members| members.as_ref().map(|members| select(pass, book, members)))
        .collect();
    let streams = work.iter().any(Option::is_none);
    let tasks: usize = work.iter().flatten().map(Vec::len).sum();
    let mut sinks: Vec<_> = pass.tables().map(|(stage, _, _)| ctx.sink(stage)).collect();
    let mut complete = true;
    if streams || tasks > 0 {
        let progress = std::sync::Arc::clone(&ctx.options.progress);
        progress.begin(&pass.stage.table, (!streams).then_some(tasks as u64));
        let threads = Threads { options: ctx.options, clocks: &ctx.clocks, listed, pass };
        let out = threads.run(book, &mut sinks, &work);
        progress.end(&pass.stage.table);
        for (target, encoder) in pass.targets.iter().zip(&book.encoders) {
            let rows = encoder.as_ref().and_then(ImageEncoder::rows_at_once);
            ctx.report.note_smaller(&target.stage.table, rows);
        }
        match out {
            Ok(whole) => complete = whole,
            Err(error) => {
                // What was computed before the failure is kept where that can be done.
                for sink in sinks {
                    let _ = sink.finish();
                }
                return Err(error);
            }
        }
    }
    // The rows first: they cost more than the index, and either may find the disk full.
    let parts = sinks.into_iter().map(Sink::finish).collect::<Result<_>>()?;
    Ok(Done { parts, complete })
}

/// Of a known listing, the numbers of the members whose bytes are needed; the others are settled
/// at once.
fn select(pass: &Pass<'_>, book: &mut Book<'_, '_>, members: &[Member]) -> Vec<u32> {
    let mut wanted = Vec::new();
    let mut numbers = 0..;
    for some in members.chunks(FETCHED) {
        pass.fetch(some);
        for (member, number) in some.iter().zip(&mut numbers) {
            if !book.meet(member) {
                continue;
            }
            match member.digest.map(|digest| pass.needs(member, &digest)) {
                Some(needs) if !needs.bytes() => book.settle(member, &needs),
                _ => wanted.push(number),
            }
        }
    }
    wanted
}

/// Keeps what was found in the archives that were streamed to their end: half a stream is no index.
fn keep_streamed(book: &Book<'_, '_>, listed: &Listed) -> Result<()> {
    for (number, (archive, members)) in listed.archives.iter().zip(&listed.members).enumerate() {
        if members.is_none()
            && let Some(members) = book.streamed.get(&number)
        {
            let rejects = book.unread.get(&number).map_or(&[][..], Vec::as_slice);
            archive.keep_index(members, rejects)?;
        }
    }
    Ok(())
}

struct Threads<'r> {
    options: &'r Options,
    clocks: &'r Clocks,
    listed: &'r Listed,
    pass: &'r Pass<'r>,
}

impl<'r> Threads<'r> {
    /// True if every member was seen.
    fn run<'p>(
        &self,
        book: &mut Book<'p, '_>,
        sinks: &mut [Sink],
        work: &'r [Option<Vec<u32>>],
    ) -> Result<bool> {
        let (task_tx, task_rx) = bounded::<Vec<Task<'r>>>(WAITING);
        let (done_tx, done_rx) = bounded::<Vec<Outcome>>(WAITING);
        let (write_tx, write_rx) = bounded::<Write>(4 * WAITING);
        let recipe = Recipe::of(self.pass);
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || self.read(work, task_tx));
            let decoder = scope.spawn(|| {
                // Moved in, so that both ends close when this part ends.
                let (tasks, out) = (task_rx, done_tx);
                self.decode(&recipe, &tasks, &out)
            });
            let writer = scope.spawn(|| {
                let rows = write_rx;
                self.write(sinks, &rows)
            });
            let encoded =
                Encoder::new(self.options, self.clocks, self.pass, book, write_tx).run(&done_rx);
            drop(done_rx);
            let (read, decoded, written) = (joined(reader), joined(decoder), joined(writer));
            // The writer's failure explains the others': a full disk closes its queue.
            written?;
            encoded?;
            decoded?;
            read
        })
    }

    /// Gives members, in order; true if it came to the end.
    fn read(&self, work: &'r [Option<Vec<u32>>], out: Sender<Vec<Task<'r>>>) -> Result<bool> {
        let most = (A_THREAD * rayon::current_num_threads()).min(MOST);
        let tasks = Vec::with_capacity(most);
        let mut chunk = Chunk { clocks: self.clocks, out, tasks, bytes: 0, most };
        let cancel = &self.options.cancel;
        let archives = self.listed.archives.iter().zip(&self.listed.members);
        for ((number, (archive, members)), wanted) in archives.enumerate().zip(work) {
            let members = members.as_deref().unwrap_or_default();
            match wanted {
                Some(wanted) if wanted.is_empty() => {}
                Some(wanted) if archive.is_seekable() => {
                    for number in wanted {
                        let Some(member) = members.get(*number as usize).cloned() else { continue };
                        let number = Some(*number);
                        let look = Task::Look { archive, member, number, bytes: None };
                        let flow = chunk.push(look);
                        if flow.is_break() || cancel.is_cancelled() {
                            return Ok(false);
                        }
                    }
                }
                wanted => {
                    let wanted = wanted.as_deref().map(|wanted| {
                        let of =
                            |number: &u32| Some((&members.get(*number as usize)?.origin, *number));
                        wanted.iter().filter_map(of).collect()
                    });
                    if !self.stream((number, archive), wanted.as_ref(), &mut chunk)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(chunk.flush().is_continue())
    }

    fn stream(
        &self,
        (number, archive): (usize, &'r Archive),
        wanted: Option<&BTreeMap<&Origin, u32>>,
        chunk: &mut Chunk<'r>,
    ) -> Result<bool> {
        let cancel = &self.options.cancel;
        let mut left = wanted.map(BTreeMap::len);
        let mut whole = true;
        let streamed = archive.stream(
            &mut |member| wanted.is_none_or(|wanted| wanted.contains_key(&member.origin)),
            &mut |item| {
                let task = match item {
                    Item::Sample(member, bytes) => {
                        left = left.map(|left| left.saturating_sub(1));
                        let number = wanted.and_then(|of| of.get(&member.origin)).copied();
                        Task::Look { archive, member, number, bytes: Some(bytes) }
                    }
                    Item::Reject(reject) => Task::Refused { archive: number, reject },
                };
                if chunk.push(task).is_break() || cancel.is_cancelled() {
                    whole = false;
                    return ControlFlow::Break(());
                }
                // What is behind the last one that is wanted need not be unpacked.
                if left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
            cancel,
        );
        match streamed {
            Ok(()) => Ok(whole),
            Err(error) if error.kind() == Kind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn decode(
        &self,
        recipe: &Recipe<'_>,
        tasks: &Receiver<Vec<Task<'r>>>,
        out: &Sender<Vec<Outcome>>,
    ) -> Result<()> {
        // Not the threads that the model computes with: its turn would wait behind images.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(rayon::current_num_threads())
            .thread_name(|number| format!("decode-{number}"))
            .build()
            .map_err(|error| {
                Error::new(Kind::Internal, "cannot start the threads that decode")
                    .caused_by(error)
                    .help("raise the limit on processes (`ulimit -u`), or set RAYON_NUM_THREADS")
            })?;
        let members = (Queue::Members, tasks);
        pool.in_place_scope_fifo(|scope| {
            // What is being decoded, in the order in which it goes on.
            let mut chunks: VecDeque<Receiver<Vec<Outcome>>> = VecDeque::with_capacity(DECODING);
            loop {
                // Only with nothing at hand is there nothing to do but to wait for the reader.
                let chunk = match chunks.len() {
                    0 => self.clocks.receive(Part::Decode, members, Receiver::recv).ok(),
                    DECODING => None,
                    _ => self.clocks.receive(Part::Decode, members, Receiver::try_recv).ok(),
                };
                if let Some(chunk) = chunk {
                    let (done, wait) = bounded(1);
                    scope.spawn_fifo(move |_| {
                        // Nobody waits for it only where the run has failed.
                        let _ = done.send(recipe.apply_all(chunk));
                    });
                    chunks.push_back(wait);
                    continue;
                }
                let Some(first) = chunks.pop_front() else { break };
                let done = self.clocks.time(Part::Decode, Spend::Busy, || first.recv());
                let Ok(done) = done else { break };
                if self.clocks.send(Part::Decode, (Queue::Images, out), done).is_err() {
                    break;
                }
            }
        });
        Ok(())
    }

    fn write(&self, sinks: &mut [Sink], rows: &Receiver<Write>) -> Result<()> {
        loop {
            let look = |rows: &Receiver<Write>| rows.recv_timeout(PART_LOOK);
            let next = self.clocks.receive(Part::Write, (Queue::Rows, rows), look);
            match next {
                Ok(rows) => {
                    if let Some(sink) = sinks.get_mut(rows.table) {
                        self.clocks.time(Part::Write, Spend::Busy, || sink.take(&rows))?;
                    }
                }
                // A slow model: what has waited for its time becomes durable all the same.
                Err(RecvTimeoutError::Timeout) => {
                    self.clocks.time(Part::Write, Spend::Busy, || {
                        sinks.iter_mut().try_for_each(Sink::tick)
                    })?;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }
}

/// Members that wait to travel together.
struct Chunk<'r> {
    clocks: &'r Clocks,
    out: Sender<Vec<Task<'r>>>,
    tasks: Vec<Task<'r>>,
    /// What the tasks hold of members out of a stream.
    bytes: usize,
    /// Members that travel together.
    most: usize,
}

impl<'r> Chunk<'r> {
    fn push(&mut self, task: Task<'r>) -> ControlFlow<()> {
        if let Task::Look { bytes: Some(bytes), .. } = &task {
            self.bytes += bytes.len();
        }
        self.tasks.push(task);
        if self.tasks.len() < self.most && self.bytes < BYTES {
            ControlFlow::Continue(())
        } else {
            self.flush()
        }
    }

    /// Breaks when nobody takes members any more: another part of the run failed.
    fn flush(&mut self) -> ControlFlow<()> {
        if self.tasks.is_empty() {
            return ControlFlow::Continue(());
        }
        self.bytes = 0;
        let tasks = std::mem::replace(&mut self.tasks, Vec::with_capacity(self.most));
        match self.clocks.send(Part::Read, (Queue::Members, &self.out), tasks) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// What a thread gave; its panic is an error.
pub(super) fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default();
        Err(Error::new(Kind::Internal, format!("a thread of the run failed: {said}")))
    })
}
