//! Training a CLIP, resolved.

use crate::definition;

use super::captioner::{Compute, Course};
use super::fingerprint::Fingerprint;
use super::model::ModelSpec;
use super::versions;

/// Settings of `train_clip`.
#[derive(Debug, Clone)]
pub struct TrainClip {
    /// Table of images.
    pub images: String,
    /// Table of captions.
    pub captions: String,
    /// The column of captions that trains.
    pub column: String,
    /// The CLIP that training starts from: a Hugging Face folder.
    pub model: ModelSpec,
    /// How it is trained.
    pub course: Course,
    /// Checkpoints kept beside the best.
    pub keep_last: usize,
    /// Steps between two checkpoints.
    pub save_every: u64,
}

impl TrainClip {
    pub(super) fn of(settings: &definition::train_clip::TrainClip, model: ModelSpec) -> Self {
        Self {
            images: settings.images.value.clone(),
            captions: settings.captions.value.clone(),
            column: settings.column.value.clone(),
            model,
            course: Course {
                epochs: settings.epochs,
                batch_rows: settings.batch_size as usize,
                accumulate: 1,
                learning_rate: settings.learning_rate,
                schedule: settings.schedule,
                warmup_steps: settings.warmup_steps,
                weight_decay: settings.weight_decay,
                clip_norm: (settings.clip_norm > 0.0).then_some(settings.clip_norm),
                dropout: 0.0,
                compute: Compute::F32,
                seed: settings.seed,
                patience: settings.patience,
                max_tokens: usize::MAX,
            },
            keep_last: settings.keep_last as usize,
            save_every: settings.save_every.into(),
        }
    }

    /// The facts that change a training's numbers; the files' digests are added to it.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let course = &self.course;
        let fingerprint = Fingerprint::new("train_clip", versions::TRAIN_CLIP)
            .with("settings.column", &self.column)
            .with("settings.epochs", course.epochs)
            .with("settings.batch_size", course.batch_rows)
            .with("settings.learning_rate", course.learning_rate)
            .with("settings.schedule", course.schedule.name())
            .with("settings.warmup_steps", course.warmup_steps)
            .with("settings.weight_decay", course.weight_decay)
            .with("settings.seed", course.seed);
        let fingerprint = match course.clip_norm {
            Some(norm) => fingerprint.with("settings.clip_norm", norm),
            None => fingerprint,
        };
        match course.patience {
            Some(epochs) => fingerprint.with("settings.patience", epochs),
            None => fingerprint,
        }
    }
}
