//! Numbers out of logits.

/// What to subtract from logits to make them log-probabilities: the largest, and the logarithm of
/// the sum; apart, as torch's `log_softmax` rounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normal {
    largest: f32,
    log_sum: f32,
}

impl Normal {
    pub(super) fn of(logits: &[f32]) -> Self {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|x| f64::from((x - largest).exp())).sum();
        Self { largest, log_sum: single(sum.ln()) }
    }

    /// The log-probability of a token with this logit.
    pub(super) fn log_probability(self, logit: f32) -> f32 {
        (logit - self.largest) - self.log_sum
    }
}

/// To single precision, rounding.
#[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is the point")]
pub(super) fn single(x: f64) -> f32 {
    x as f32
}

/// The place of the largest number, the first of equals.
pub(super) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (place, value) in values.iter().enumerate() {
        if values.get(best).is_some_and(|largest| value > largest) {
            best = place;
        }
    }
    best
}

/// Keeps the `room` largest of what it is offered, largest first, of equals the first offered.
#[derive(Debug)]
pub(super) struct Largest<T> {
    room: usize,
    kept: Vec<(f32, T)>,
}

impl<T> Largest<T> {
    pub(super) fn new(room: usize) -> Self {
        Self { room, kept: Vec::with_capacity(room + 1) }
    }

    pub(super) fn offer(&mut self, value: f32, what: impl FnOnce() -> T) {
        if self.kept.len() == self.room && self.kept.last().is_none_or(|(last, _)| value <= *last) {
            return;
        }
        let place = self.kept.partition_point(|(kept, _)| *kept >= value);
        self.kept.insert(place, (value, what()));
        self.kept.truncate(self.room);
    }

    pub(super) fn into_sorted(self) -> Vec<(f32, T)> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_to_one() {
        let logits = [1000.0, 1001.0, 999.0, f32::NEG_INFINITY];
        let normal = Normal::of(&logits);
        let sum: f32 = logits.iter().map(|x| normal.log_probability(*x).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
    }

    #[test]
    fn of_equals_the_first_is_kept() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        let mut largest = Largest::new(2);
        for (place, value) in [1.0, 3.0, 2.0, 3.0, 3.0].into_iter().enumerate() {
            largest.offer(value, || place);
        }
        assert_eq!(largest.into_sorted(), [(3.0, 1), (3.0, 3)]);
    }
}
