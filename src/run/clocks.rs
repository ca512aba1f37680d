//! Where the time of an overlapped run goes.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, SendError, Sender};
use serde::{Deserialize, Serialize};

use super::queues::{Depth, Queue, Queues, Seen};

/// Time of one overlapping part of the work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Working.
    pub busy: Duration,
    /// Waiting for the part before it.
    pub starved: Duration,
    /// Waiting for room in the queue after it.
    pub blocked: Duration,
}

impl Spent {
    /// The sums of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            busy: self.busy + other.busy,
            starved: self.starved + other.starved,
            blocked: self.blocked + other.blocked,
        }
    }
}

/// How many parts there are.
const PARTS: usize = 5;

/// The parts of the work, in the order data takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Reading archives and caption files.
    Read,
    /// Decoding and preprocessing images.
    Decode,
    /// The model.
    Encode,
    /// Training of a model.
    Train,
    /// Parquet, fsync, commits.
    Write,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; PARTS] =
        [Self::Read, Self::Decode, Self::Encode, Self::Train, Self::Write];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Decode => "decode",
            Self::Encode => "encode",
            Self::Train => "train",
            Self::Write => "write",
        }
    }
}

/// What a span of time was spent on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spend {
    Busy,
    Starved,
    Blocked,
}

/// What [`Clocks`] added up, on its way to another process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    spent: [Spent; PARTS],
    queues: [Seen; 3],
}

/// Adds up time by part, and how full the queues between them were; shared by the threads of a
/// run.
#[derive(Debug, Default)]
pub struct Clocks {
    spent: Mutex<[Spent; PARTS]>,
    queues: Queues,
}

impl Clocks {
    /// Runs `work` and books its time.
    pub(super) fn time<T>(&self, part: Part, spend: Spend, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let out = work();
        self.add(part, spend, begun.elapsed());
        out
    }

    /// Books time that was measured elsewhere.
    pub(super) fn add(&self, part: Part, spend: Spend, took: Duration) {
        // A poisoned lock only means that another thread failed; the sums are still sums.
        let mut all = self.spent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(spent) = all.get_mut(part as usize) {
            match spend {
                Spend::Busy => spent.busy += took,
                Spend::Starved => spent.starved += took,
                Spend::Blocked => spent.blocked += took,
            }
        }
    }

    /// Puts something into a queue, and books the wait for room and how full the queue was.
    ///
    /// # Errors
    /// When nobody takes anything from it any more.
    pub(super) fn send<T>(
        &self,
        part: Part,
        (queue, out): (Queue, &Sender<T>),
        what: T,
    ) -> Result<(), SendError<T>> {
        self.queues.see(queue, out.len(), out.capacity());
        self.time(part, Spend::Blocked, || out.send(what))
    }

    /// Has `take` take something from a queue, and books the wait for it and how full the queue
    /// was.
    ///
    /// # Errors
    /// Those of `take`.
    pub(super) fn receive<T, E>(
        &self,
        part: Part,
        (queue, from): (Queue, &Receiver<T>),
        take: impl FnOnce(&Receiver<T>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.queues.see(queue, from.len(), from.capacity());
        self.time(part, Spend::Starved, || take(from))
    }

    /// The sums so far, which begin anew.
    pub(super) fn take(&self) -> Times {
        let mut spent = self.spent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Times { spent: std::mem::take(&mut *spent), queues: self.queues.take() }
    }

    /// Adds those of another process.
    pub(super) fn join(&self, times: &Times) {
        let mut all = self.spent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.iter_mut().zip(&times.spent).for_each(|(spent, other)| *spent = spent.and(*other));
        self.queues.join(&times.queues);
    }

    /// How full a queue was so far; none where nothing went through it.
    #[must_use]
    pub fn depth(&self, queue: Queue) -> Option<Depth> {
        self.queues.depth(queue)
    }

    /// The sums so far.
    #[must_use]
    pub fn spent(&self, part: Part) -> Spent {
        let all = self.spent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.get(part as usize).copied().unwrap_or_default()
    }

    /// The part that was busy longest: what a faster machine would have to speed up.
    #[must_use]
    pub fn bottleneck(&self) -> Option<Part> {
        Part::ALL
            .into_iter()
            .filter(|part| !self.spent(*part).busy.is_zero())
            .max_by_key(|part| self.spent(*part).busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_part_is_the_bottleneck() {
        let clocks = Clocks::default();
        assert_eq!(clocks.bottleneck(), None);
        clocks.time(Part::Read, Spend::Busy, || ());
        clocks.time(Part::Encode, Spend::Busy, || std::thread::sleep(Duration::from_millis(2)));
        clocks.time(Part::Write, Spend::Starved, || {
            std::thread::sleep(Duration::from_millis(4));
        });
        assert_eq!(clocks.bottleneck(), Some(Part::Encode));
        assert!(clocks.spent(Part::Write).starved > Duration::ZERO);
    }

    #[test]
    fn times_of_processes_add_up() {
        let (one, other, sum) = (Clocks::default(), Clocks::default(), Clocks::default());
        let second = Duration::from_secs(1);
        for clocks in [&one, &other] {
            clocks.add(Part::Encode, Spend::Busy, second);
            clocks.add(Part::Write, Spend::Starved, second);
        }
        let (out, _from) = crossbeam_channel::bounded(2);
        one.send(Part::Encode, (Queue::Rows, &out), 1).unwrap();
        other.send(Part::Encode, (Queue::Rows, &out), 2).unwrap();
        for clocks in [&one, &other] {
            let line = serde_json::to_string(&clocks.take()).unwrap();
            sum.join(&serde_json::from_str(&line).unwrap());
            assert_eq!(clocks.take(), Times::default(), "it begins anew");
        }
        assert_eq!(sum.spent(Part::Encode).busy, 2 * second);
        assert_eq!(sum.spent(Part::Write).starved, 2 * second);
        let depth = Depth { capacity: 2, mean: 0.5, highest: 1 };
        assert_eq!(sum.depth(Queue::Rows), Some(depth));
    }

    #[test]
    fn whoever_puts_or_takes_sees_how_full_the_queue_is() {
        let clocks = Clocks::default();
        let (out, from) = crossbeam_channel::bounded(4);
        for n in 0..4 {
            clocks.send(Part::Encode, (Queue::Rows, &out), n).unwrap();
        }
        // 0, 1, 2 and 3 before the four, 4 and 3 before what is taken.
        for n in 0..2 {
            let got = clocks.receive(Part::Write, (Queue::Rows, &from), Receiver::recv);
            assert_eq!(got, Ok(n));
        }
        let depth = clocks.depth(Queue::Rows).unwrap();
        assert_eq!((depth.capacity, depth.highest), (4, 4));
        assert!((depth.mean - 13.0 / 6.0).abs() < 1e-12, "{depth:?}");
        assert_eq!(clocks.depth(Queue::Members), None);
        drop(from);
        assert!(clocks.send(Part::Encode, (Queue::Rows, &out), 5).is_err());
    }
}
