//! The learning rate of each step.

use crate::plan::captioner::{Course, Schedule, WarmUp};

/// Share of all steps that a warm-up takes at most, where the definition says nothing of it.
const MOST_WARMUP: u64 = 10;

/// Rises in a straight line from zero, then falls to zero, as `get_linear_schedule_with_warmup`
/// and `get_cosine_schedule_with_warmup` of Hugging Face's transformers do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRate {
    peak: f64,
    warmup: u64,
    total: u64,
    schedule: Schedule,
}

impl LearningRate {
    /// Of a course of `total` steps.
    #[must_use]
    pub fn of(course: &Course, total: u64) -> Self {
        Self {
            peak: course.learning_rate,
            warmup: match course.warmup_steps {
                WarmUp::Steps(steps) => steps.into(),
                WarmUp::AtMost(steps) => u64::from(steps).min(total / MOST_WARMUP),
            },
            total,
            schedule: course.schedule,
        }
    }

    /// Steps of its rise, where they are all steps or more: the highest rate is never reached.
    #[must_use]
    pub fn endless_warmup(&self) -> Option<u64> {
        (self.warmup >= self.total.max(1)).then_some(self.warmup)
    }

    /// The rate of the step after `done` others.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
    pub fn at(&self, done: u64) -> f64 {
        if done < self.warmup {
            return self.peak * done as f64 / self.warmup.max(1) as f64;
        }
        let span = self.total.saturating_sub(self.warmup).max(1) as f64;
        let progress = (done - self.warmup) as f64 / span;
        let share = match self.schedule {
            Schedule::Linear => 1.0 - progress,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        self.peak * share.max(0.0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plan::captioner::Compute;

    pub(in crate::train) fn course() -> Course {
        Course {
            epochs: 1,
            batch_rows: 8,
            accumulate: 3,
            learning_rate: 2.0,
            schedule: Schedule::Linear,
            warmup_steps: WarmUp::Steps(0),
            weight_decay: 0.0,
            clip_norm: None,
            dropout: 0.0,
            compute: Compute::F32,
            seed: 0,
            patience: None,
            max_tokens: 8,
        }
    }

    fn rate(schedule: Schedule, warmup: u64, total: u64) -> LearningRate {
        LearningRate { peak: 2.0, warmup, total, schedule }
    }

    #[test]
    fn the_rate_rises_and_falls_as_transformers_does() {
        // get_linear_schedule_with_warmup(optimizer, 2, 6), get_cosine_schedule_with_warmup(…, 2, 6)
        let linear: Vec<f64> = (0..7).map(|n| rate(Schedule::Linear, 2, 6).at(n)).collect();
        assert_eq!(linear, [0.0, 1.0, 2.0, 1.5, 1.0, 0.5, 0.0]);
        let cosine: Vec<f64> = (0..7).map(|n| rate(Schedule::Cosine, 2, 6).at(n)).collect();
        let golden = [0.0, 1.0, 2.0, 1.707_106_781_186_547_5, 1.0, 0.292_893_218_813_452_4, 0.0];
        for (ours, theirs) in cosine.iter().zip(golden) {
            assert!((ours - theirs).abs() < 1e-12, "{cosine:?}");
        }
    }

    #[test]
    fn only_a_warm_up_that_nobody_asked_for_is_cut() {
        let of = |warmup_steps, total| {
            let course = Course { warmup_steps, ..course() };
            LearningRate::of(&course, total)
        };
        let linear = |warmup, total| rate(Schedule::Linear, warmup, total);
        // Flickr30k with its five captions an image, in batches of 40, ten times.
        assert_eq!(of(WarmUp::Steps(5000), 35_760), linear(5000, 35_760));
        assert_eq!(of(WarmUp::AtMost(5000), 35_760), linear(3576, 35_760));
        assert_eq!(of(WarmUp::AtMost(5000), 60_000), linear(5000, 60_000));

        let endless = of(WarmUp::Steps(400), 400);
        assert_eq!(endless.endless_warmup(), Some(400));
        assert!(endless.at(399) < 2.0);
        let reached = of(WarmUp::Steps(399), 400);
        assert_eq!((reached.endless_warmup(), reached.at(399)), (None, 2.0));
        assert_eq!(of(WarmUp::Steps(0), 0).endless_warmup(), None);
    }
}
