//! Where the time of an overlapped run goes.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time of one overlapping part of the work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Working.
    pub busy: Duration,
    /// Waiting for the part before it.
    pub starved: Duration,
    /// Waiting for room in the queue after it.
    pub blocked: Duration,
}

/// The parts of the work, in the order data takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Reading archives and caption files.
    Read,
    /// Decoding and preprocessing images.
    Decode,
    /// The model.
    Encode,
    /// Parquet, fsync, commits.
    Write,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 4] = [Self::Read, Self::Decode, Self::Encode, Self::Write];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Decode => "decode",
            Self::Encode => "encode",
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

/// Adds up time by part; shared by the threads of a run.
#[derive(Debug, Default)]
pub struct Clocks(Mutex<[Spent; 4]>);

impl Clocks {
    /// Runs `work` and books its time.
    pub(super) fn time<T>(&self, part: Part, spend: Spend, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let out = work();
        let took = begun.elapsed();
        // A poisoned lock only means that another thread failed; the sums are still sums.
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(spent) = all.get_mut(part as usize) {
            match spend {
                Spend::Busy => spent.busy += took,
                Spend::Starved => spent.starved += took,
                Spend::Blocked => spent.blocked += took,
            }
        }
        out
    }

    /// The sums so far.
    #[must_use]
    pub fn spent(&self, part: Part) -> Spent {
        let all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
}
