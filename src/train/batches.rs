//! Which examples a batch holds, and in what order batches come.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

/// Batches within which examples are sorted by length: enough that a batch pads little, few
/// enough that an epoch stays well mixed.
const BUCKET_BATCHES: usize = 64;

/// The batches of one epoch: numbers of examples, each exactly once.
///
/// The examples are shuffled, cut into buckets, sorted by length within each, cut into batches,
/// and the batches shuffled. All of it depends on `seed` and `epoch` alone, so that a place in
/// the data is an epoch and a number of batches.
#[must_use]
pub fn of_epoch(lengths: &[usize], batch_rows: usize, seed: u64, epoch: u32) -> Vec<Vec<usize>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(u64::from(epoch));
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(&mut random);
    let batch_rows = batch_rows.max(1);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for bucket in order.chunks_mut(batch_rows.saturating_mul(BUCKET_BATCHES)) {
        bucket.sort_by_key(|example| lengths.get(*example).copied());
        batches.extend(bucket.chunks(batch_rows).map(<[usize]>::to_vec));
    }
    batches.shuffle(&mut random);
    batches
}

/// Batches without a draw, longest last: for validation.
#[must_use]
pub fn in_order(lengths: &[usize], batch_rows: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|example| lengths.get(*example).copied());
    order.chunks(batch_rows.max(1)).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_once_an_epoch_and_little_padding() {
        let lengths: Vec<usize> = (0..1000).map(|n| 5 + n * 7 % 20).collect();
        let first = of_epoch(&lengths, 8, 3, 0);
        assert_eq!(first, of_epoch(&lengths, 8, 3, 0));
        assert_ne!(first, of_epoch(&lengths, 8, 3, 1));
        assert_ne!(first, of_epoch(&lengths, 8, 4, 0));
        for batches in [first, in_order(&lengths, 8)] {
            let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..1000).collect::<Vec<_>>());
            let padded: usize = batches
                .iter()
                .map(|b| b.len() * b.iter().map(|n| lengths[*n]).max().unwrap())
                .sum();
            let real: usize = lengths.iter().sum();
            assert!(padded * 100 < real * 105, "{padded} of {real}");
        }
    }
}
