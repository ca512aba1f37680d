//! Sharing out a batch: each core its own images or texts, or all cores the one that is left.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use super::blocks::Workspace;
use crate::nn::kernels::{Share, in_pool};

/// Rows that a product wants at once, so that reading the weights is not what it waits for.
const ROWS: usize = 192;
/// Rows at most: more would not stay in the cache between two operators.
const MOST_ROWS: usize = 1024;

/// Workspaces of the threads.
#[derive(Debug, Default)]
pub(super) struct Crew {
    idle: Mutex<Vec<Workspace>>,
}

impl Crew {
    /// Splits items of these many rows into groups and calls `each` with a group and a
    /// workspace; the results stand in the order of the items.
    pub(super) fn share<T: Send>(
        &self,
        rows: &[usize],
        each: impl Fn(Range<usize>, &mut Workspace, Share) -> Vec<T> + Sync,
    ) -> Vec<T> {
        let threads = rayon::current_num_threads();
        let groups = groups(rows, threads);
        let one = |group: Range<usize>, share| {
            let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let mut workspace = idle().pop().unwrap_or_default();
            let out = each(group, &mut workspace, share);
            idle().push(workspace);
            out
        };
        if groups.len() < threads {
            return in_pool(|| {
                groups.into_iter().flat_map(|group| one(group, Share::All)).collect()
            });
        }
        let parts: Vec<Vec<T>> =
            groups.into_par_iter().with_max_len(1).map(|group| one(group, Share::Alone)).collect();
        parts.into_iter().flatten().collect()
    }
}

/// Consecutive items in groups: as many groups for each thread, of [`ROWS`] rows or more where
/// there are enough. One group where there is less than a group for each thread.
fn groups(rows: &[usize], threads: usize) -> Vec<Range<usize>> {
    let all: usize = rows.iter().sum();
    let largest = rows.iter().copied().max().unwrap_or(0);
    // A thread without work costs more than weights read by every thread.
    let few = rows.len() < threads || all < threads * largest.max(ROWS / 2);
    let count = if few {
        all.div_ceil(MOST_ROWS * threads).max(1)
    } else {
        let rounds = all.div_ceil(threads * MOST_ROWS.min(2 * ROWS)).max(1);
        (rounds * threads).min(rows.len())
    };
    let mut groups = Vec::new();
    let (mut start, mut seen) = (0, 0);
    for (i, item) in rows.iter().enumerate() {
        seen += item;
        // The end of group g is where (g + 1) of `count` equal parts are full.
        if seen * count >= (groups.len() + 1) * all || i + 1 == rows.len() {
            groups.push(start..i + 1);
            start = i + 1;
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_every_item_once_in_order() {
        for (rows, threads) in
            [(vec![50; 8], 2), (vec![50; 1], 2), (vec![50; 33], 2), (vec![257; 32], 4)]
                .into_iter()
                .chain([((1..100).collect(), 3), (vec![], 2), (vec![3; 7], 16)])
        {
            let groups = groups(&rows, threads);
            let items: Vec<usize> = groups.iter().cloned().flatten().collect();
            assert_eq!(items, (0..rows.len()).collect::<Vec<_>>(), "{rows:?} {threads}");
        }
    }

    #[test]
    fn eight_images_are_four_for_each_of_two_threads() {
        assert_eq!(groups(&[50; 8], 2), [0..4, 4..8]);
        assert_eq!(groups(&[50; 1], 2).len(), 1);
        assert_eq!(groups(&[50; 32], 2).len() % 2, 0);
    }
}
