//! The learning rate of each step.

use crate::plan::captioner::{Course, Schedule};

/// Share of all steps that a warm-up takes at most.
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
    /// Of a course of `total` steps; its warm-up is a tenth of them at most.
    #[must_use]
    pub fn of(course: &Course, total: u64) -> Self {
        Self {
            peak: course.learning_rate,
            warmup: course.warmup_steps.min(total / MOST_WARMUP),
            total,
            schedule: course.schedule,
        }
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
mod tests {
    use super::*;

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
}
