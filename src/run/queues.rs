//! How full the queues between the overlapping parts of the work are.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// The bounded queues, in the order data takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Members of archives, on their way from reading to decoding, in chunks.
    Members,
    /// Prepared images, on their way to the model, in chunks.
    Images,
    /// Rows, on their way to the writer, in batches.
    Rows,
}

impl Queue {
    /// All queues.
    pub const ALL: [Self; 3] = [Self::Members, Self::Images, Self::Rows];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Images => "images",
            Self::Rows => "rows",
        }
    }
}

/// How full a queue was: what was found by whoever came to put something in or to take
/// something out. A queue that is full on average waits for the part behind it; one that is empty,
/// for the part before it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Depth {
    /// What there is room for.
    pub capacity: usize,
    /// What was in it on average.
    pub mean: f64,
    /// The most that was in it.
    pub highest: usize,
}

/// What was seen of a queue, as sums that add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    times: u64,
    sum: u64,
    highest: usize,
    capacity: usize,
}

impl Seen {
    fn join(&mut self, other: Self) {
        self.times += other.times;
        self.sum += other.sum;
        self.highest = self.highest.max(other.highest);
        self.capacity = self.capacity.max(other.capacity);
    }
}

/// Adds up what is seen of each queue; shared by the threads of a run.
#[derive(Debug, Default)]
pub(super) struct Queues(Mutex<[Seen; 3]>);

impl Queues {
    /// Books what is in a queue now.
    pub(super) fn see(&self, queue: Queue, len: usize, capacity: Option<usize>) {
        // A poisoned lock only means that another thread failed; the sums are still sums.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = all.get_mut(queue as usize) {
            let capacity = capacity.unwrap_or(0);
            seen.join(Seen { times: 1, sum: len as u64, highest: len, capacity });
        }
    }

    /// What was seen so far, which begins anew.
    pub(super) fn take(&self) -> [Seen; 3] {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds what another process saw.
    pub(super) fn join(&self, others: &[Seen; 3]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().zip(others).for_each(|(seen, other)| seen.join(*other));
    }

    /// What was seen so far; none for a queue that nothing went through.
    pub(super) fn depth(&self, queue: Queue) -> Option<Depth> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all.get(queue as usize).filter(|seen| seen.times > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
        let mean = seen.sum as f64 / seen.times as f64;
        Some(Depth { capacity: seen.capacity, mean, highest: seen.highest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_as_full_as_it_was_found() {
        let queues = Queues::default();
        for len in [0, 1, 2, 2, 0] {
            queues.see(Queue::Images, len, Some(2));
        }
        let depth = queues.depth(Queue::Images);
        assert_eq!(depth, Some(Depth { capacity: 2, mean: 1.0, highest: 2 }));
        assert_eq!(queues.depth(Queue::Rows), None, "nothing went through it");
    }
}
