//! Work on this thread, or shared out.

use std::ops::Range;

use rayon::prelude::{IntoParallelIterator, ParallelIterator};

/// Below some million multiplications, handing over costs more than it saves.
pub(in crate::nn::kernels) const WORTH_SHARING: usize = 1 << 18;

/// Who does the work of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum Share {
    /// The calling thread: the other cores have rows of their own.
    Alone,
    /// All threads of rayon's pool.
    All,
}

impl Share {
    /// Who best does so many multiplications.
    pub(in crate::nn::kernels) fn of(multiplications: usize) -> Self {
        if multiplications <= WORTH_SHARING { Self::Alone } else { Self::All }
    }

    /// Calls `each` for ranges that make up `0..count`, of at least `least` but for the last.
    pub(super) fn out(self, count: usize, least: usize, each: impl Fn(Range<usize>) + Sync) {
        let threads = match self {
            Self::Alone => 1,
            Self::All => rayon::current_num_threads(),
        };
        // Eight pieces a thread: one that comes late takes fewer, and none waits long at the end.
        let piece = count.div_ceil(threads * 8).max(least).max(1);
        if threads == 1 || count <= piece {
            each(0..count);
            return;
        }
        (0..count.div_ceil(piece))
            .into_par_iter()
            .for_each(|i| each(i * piece..((i + 1) * piece).min(count)));
    }
}

/// Where threads write parts of one buffer that do not overlap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    at: *mut f32,
    len: usize,
}

// SAFETY: it is a place and a length; who writes through it answers for no overlap (`Out::part`).
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

impl Out {
    pub(super) fn new(all: &mut [f32]) -> Self {
        Self { at: all.as_mut_ptr(), len: all.len() }
    }

    /// A part of the buffer; empty if it does not lie within.
    ///
    /// # Safety
    /// The buffer is still borrowed, and no other part that is in use overlaps this one.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "callers share a buffer out among threads")]
    pub(super) unsafe fn part(&self, start: usize, count: usize) -> &mut [f32] {
        match start.checked_add(count) {
            // SAFETY: within the buffer, and the caller's alone.
            Some(end) if end <= self.len => unsafe {
                std::slice::from_raw_parts_mut(self.at.add(start), count)
            },
            _ => &mut [],
        }
    }
}
