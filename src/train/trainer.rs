//! The loop.

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{DType, Device};

use super::adamw::AdamW;
use super::checkpoint::{self, Best, Checkpoint, FORMAT, Random, State};
use super::data::Encoded;
use super::inputs::Inputs;
use super::journal::{Journal, Mark};
use super::learner::{Batch, Draw, Learner};
use super::schedule::LearningRate;
use super::step::{self, Measured};
use crate::base::clock::Clock;
use crate::base::progress::Progress;
use crate::base::units::count;
use crate::base::{Cancel, Digest, Error, Kind, Result};
use crate::nn::weights::Weights;
use crate::plan::captioner::{Compute, Course, Network, Schedule};

/// What is trained on.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The images.
    pub inputs: &'a dyn Inputs,
    /// The captions that train.
    pub train: &'a Encoded,
    /// The captions that validate.
    pub validation: &'a Encoded,
}

/// What a training is, as its checkpoints say it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The table whose stage trains.
    pub stage: String,
    /// Fingerprint of the stage.
    pub fingerprint: String,
    /// The captioner's shape; none where something else trains.
    pub network: Option<Network>,
    /// The definition's text.
    pub definition: String,
    /// The token that ends a caption.
    pub end: u32,
    /// Digest of a GPT-2 that is not in the checkpoints.
    pub beside: Option<String>,
}

/// Where a training keeps its files.
#[derive(Debug, Clone)]
pub struct Home {
    /// Folder of its checkpoints and metrics.
    pub kept: PathBuf,
    /// Folder of its event files.
    pub shown: PathBuf,
    /// Checkpoints kept beside the best.
    pub keep_last: usize,
    /// Steps between two checkpoints.
    pub save_every: u64,
}

/// Who watches, and who may stop it.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    /// Asked to stop.
    pub cancel: &'a Cancel,
    /// Told what happens.
    pub progress: &'a dyn Progress,
    /// Says what time it is.
    pub clock: &'a dyn Clock,
}

/// What came of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Whether it came to its end; else it was asked to stop, and goes on the next time.
    pub finished: bool,
    /// The checkpoints that are kept, oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// Steps made in this run.
    pub steps: u64,
    /// The step it went on from.
    pub resumed_at: u64,
}

/// Captions of some images as the model makes them now: image and caption.
pub type Sampler<'a, L> = &'a dyn Fn(&L) -> Result<Vec<(String, String)>>;

/// Trains to the end, or until it is asked to stop; from the newest checkpoint, if there is one.
///
/// # Errors
/// [`Kind::BadInput`] when the loss is no number; [`Kind::Device`] when a device's memory is too
/// small; [`Kind::Store`] when a checkpoint is damaged; [`Kind::Io`] when the disk refuses.
pub fn train<L: Learner>(
    learner: &mut L,
    data: Data<'_>,
    course: &Course,
    identity: &Identity,
    home: &Home,
    watch: Watch<'_>,
    sampler: Sampler<'_, L>,
) -> Result<Outcome> {
    let batches = data.train.batch_count(course.batch_rows);
    let steps_an_epoch = batches.div_ceil(course.accumulate.max(1)) as u64;
    let total = steps_an_epoch * u64::from(course.epochs);
    let rate = LearningRate::of(course, total);
    let newest = checkpoint::list(&home.kept)?.pop();
    let mut state = match &newest {
        // The fingerprint is the same, and so is what lies beside.
        Some(newest) => State { beside: identity.beside.clone(), ..newest.state.clone() },
        None => beginning(data, course, identity, total),
    };
    let resumed_at = state.step;
    if !state.finished {
        let mut optimizer = match &newest {
            Some(newest) => resume(learner, course, newest)?,
            None => AdamW::new(learner.weights(), course.weight_decay)?,
        };
        let now = watch.clock.now_us();
        let mut journal = Journal::open(&home.kept, &home.shown, &state.journal, state.step, now)?;
        if state.step == 0 {
            let fenced = format!("```toml\n{}\n```", identity.definition.trim_end());
            journal.text(0, "definition", &fenced, now)?;
        }
        if course.patience.is_some() && data.validation.is_empty() {
            watch.progress.note(&format!(
                "{}: `patience` ends nothing: no caption is in the split `val`, so there is no \
                 validation loss",
                identity.stage
            ));
        }
        if let Some(steps) = rate.endless_warmup() {
            watch.progress.note(&format!(
                "{}: the learning rate rises to the end and stays below `learning_rate`: \
                 `warmup_steps` is {}, and all steps are {}",
                identity.stage,
                count(steps),
                count(total)
            ));
        }
        watch.progress.begin(&identity.stage, Some(total));
        watch.progress.advance(&identity.stage, resumed_at);
        let run = Run { data, course, identity, home, watch, sampler, rate };
        let ended = run.epochs(learner, &mut optimizer, &mut journal, &mut state);
        watch.progress.end(&identity.stage);
        ended?;
    }
    Ok(Outcome {
        finished: state.finished,
        checkpoints: checkpoint::prune(&home.kept, home.keep_last)?,
        steps: state.step - resumed_at,
        resumed_at,
    })
}

fn beginning(data: Data<'_>, course: &Course, identity: &Identity, total: u64) -> State {
    State {
        format: FORMAT,
        stage: identity.stage.clone(),
        digest: String::new(),
        beside: identity.beside.clone(),
        end: identity.end,
        clip_width: data.inputs.width(),
        network: identity.network,
        step: 0,
        epoch: 0,
        position: 0,
        random: Random { algorithm: "chacha8".to_owned(), seed: course.seed },
        schedule: checkpoint::Course {
            schedule: match course.schedule {
                Schedule::Linear => "linear".to_owned(),
                Schedule::Cosine => "cosine".to_owned(),
            },
            total_steps: total,
            learning_rate: course.learning_rate,
        },
        validation_loss: None,
        best: None,
        epochs_without_better: 0,
        finished: false,
        fingerprint: identity.fingerprint.clone(),
        input_digest: data.inputs.digest().to_string(),
        definition: identity.definition.clone(),
        journal: Mark::default(),
    }
}

/// Has the learner and its optimiser as a checkpoint left them.
fn resume<L: Learner>(learner: &mut L, course: &Course, newest: &Checkpoint) -> Result<AdamW> {
    learner.restore(&newest.model())?;
    let moments = Weights::open(&newest.optimizer())?;
    let get = |name: &str| moments.tensor(name, DType::F32, &Device::Cpu);
    AdamW::restored(learner.weights(), course.weight_decay, newest.state.step, get)
}

struct Run<'a, L> {
    data: Data<'a>,
    course: &'a Course,
    identity: &'a Identity,
    home: &'a Home,
    watch: Watch<'a>,
    sampler: Sampler<'a, L>,
    rate: LearningRate,
}

impl<L: Learner> Run<'_, L> {
    fn epochs(
        &self,
        learner: &L,
        optimizer: &mut AdamW,
        journal: &mut Journal,
        state: &mut State,
    ) -> Result<()> {
        while state.epoch < self.course.epochs {
            let order =
                self.data.train.order(self.course.batch_rows, self.course.seed, state.epoch);
            while state.position < order.len() {
                let until = (state.position + self.course.accumulate.max(1)).min(order.len());
                let numbers = order.get(state.position..until).unwrap_or_default();
                let begun = Instant::now();
                let measured = self.step(learner, optimizer, numbers, state)?;
                let learning_rate = self.rate.at(state.step);
                state.position = until;
                state.step += 1;
                #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
                let speed = measured.tokens as f64 / begun.elapsed().as_secs_f64().max(1e-9);
                let numbers = [
                    ("loss", measured.loss),
                    ("learning_rate", learning_rate),
                    ("gradient_norm", measured.norm),
                    ("tokens_per_second", speed),
                ];
                let now = self.watch.clock.now_us();
                journal.record(state.step, state.epoch + 1, &numbers, now)?;
                self.watch.progress.advance(&self.identity.stage, 1);
                self.watch.progress.status(
                    &self.identity.stage,
                    &format!(
                        "loss {:.4}, rate {learning_rate:.2e}, {speed:.0} tokens/s",
                        measured.loss
                    ),
                );
                let within = state.position < order.len();
                let stop = self.watch.cancel.is_cancelled();
                if within && (stop || state.step.is_multiple_of(self.home.save_every)) {
                    self.save(learner, optimizer, journal, state)?;
                }
                if within && stop {
                    return Ok(());
                }
            }
            self.end_epoch(learner, optimizer, journal, state)?;
            if state.finished || self.watch.cancel.is_cancelled() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn step(
        &self,
        learner: &L,
        optimizer: &mut AdamW,
        numbers: &[Vec<usize>],
        state: &State,
    ) -> Result<Measured> {
        let batches: Vec<Batch> = numbers
            .iter()
            .map(|numbers| self.data.train.batch(self.data.inputs, numbers))
            .collect::<Result<_>>()?;
        let stream = state.step.wrapping_mul(self.course.accumulate.max(1) as u64);
        let draw = Draw { seed: self.course.seed, stream };
        let rate = self.rate.at(state.step);
        let measured = step::make(learner, optimizer, &batches, self.course, rate, draw)?;
        if measured.loss.is_finite() && measured.norm.is_finite() {
            return Ok(measured);
        }
        let all: Vec<usize> = numbers.concat();
        let images = self.data.train.image_ids(self.data.inputs, &all);
        let what = if measured.loss.is_finite() { "norm of the gradients" } else { "loss" };
        Err(Error::new(
            Kind::BadInput,
            format!(
                "the {what} is no number in step {} (epoch {}, batch {}), with the images {}",
                state.step + 1,
                state.epoch + 1,
                state.position + 1,
                images.join(", ")
            ),
        )
        .at(&self.identity.stage)
        .help(format!(
            "lower `learning_rate` or `clip_norm`{}; if it is always these images, look at them and \
             their captions",
            match self.course.compute {
                Compute::Bf16 => ", or take `compute = \"f32\"`",
                Compute::F32 => "",
            }
        )))
    }

    /// Validates, shows samples, and writes the epoch's checkpoint.
    fn end_epoch(
        &self,
        learner: &L,
        optimizer: &AdamW,
        journal: &mut Journal,
        state: &mut State,
    ) -> Result<()> {
        let epoch = state.epoch + 1;
        state.validation_loss = self.validate(learner, state.step, epoch)?;
        if let Some(loss) = state.validation_loss {
            let now = self.watch.clock.now_us();
            journal.record(state.step, epoch, &[("validation_loss", loss)], now)?;
            if state.best.is_none_or(|best| loss < best.loss) {
                state.best = Some(Best { step: state.step, loss });
                state.epochs_without_better = 0;
            } else {
                state.epochs_without_better += 1;
            }
            self.watch.progress.note(&format!(
                "{}: epoch {epoch} of {}, validation loss {loss:.4}",
                self.identity.stage, self.course.epochs
            ));
        }
        let samples = (self.sampler)(learner)?;
        if !samples.is_empty() {
            let lines: Vec<String> =
                samples.iter().map(|(image, text)| format!("- **{image}** {text}")).collect();
            journal.text(state.step, "captions", &lines.join("\n"), self.watch.clock.now_us())?;
        }
        let patient = self.course.patience.is_none_or(|most| state.epochs_without_better < most);
        state.epoch = epoch;
        state.position = 0;
        state.finished = epoch == self.course.epochs || !patient;
        if !patient && epoch < self.course.epochs {
            self.watch.progress.note(&format!(
                "{}: no better validation loss for {} epochs: the training ends",
                self.identity.stage, state.epochs_without_better
            ));
        }
        self.save(learner, optimizer, journal, state)
    }

    /// Mean loss over the split `val`, after `step` steps; none where that is empty.
    fn validate(&self, learner: &L, step: u64, epoch: u32) -> Result<Option<f64>> {
        let validation = self.data.validation;
        if validation.is_empty() {
            return Ok(None);
        }
        let (mut sum, mut tokens) = (0.0, 0.0);
        for numbers in validation.in_order(self.course.batch_rows) {
            let batch = validation.batch(self.data.inputs, &numbers)?;
            let loss = learner.loss(&batch, None).and_then(|loss| step::scalar(&loss)).map_err(
                |error| {
                    step::explain_memory(error, learner, self.course, std::slice::from_ref(&batch))
                },
            )?;
            #[expect(clippy::cast_precision_loss, reason = "tokens of a batch are few")]
            let weight = learner.weight(&batch) as f64;
            sum += f64::from(loss) * weight;
            tokens += weight;
        }
        let loss = sum / tokens;
        if loss.is_finite() {
            return Ok(Some(loss));
        }
        let what = format!("the validation loss is no number after step {step} (epoch {epoch})");
        Err(Error::new(Kind::BadInput, what).at(&self.identity.stage).help("lower `learning_rate`"))
    }

    fn save(
        &self,
        learner: &L,
        optimizer: &AdamW,
        journal: &mut Journal,
        state: &mut State,
    ) -> Result<()> {
        state.journal = journal.sync()?;
        let mut said = state.clone();
        if said.position > 0 {
            // Measured at the end of an epoch, so not of these weights.
            said.validation_loss = None;
        }
        let digest = |weights| digest_of(weights, self.identity.beside.as_deref());
        let written = Checkpoint::write(
            &self.home.kept,
            said,
            &learner.state()?,
            &optimizer.state(),
            digest,
        )?;
        state.digest = written.state.digest;
        checkpoint::prune(&self.home.kept, self.home.keep_last)?;
        Ok(())
    }
}

/// What captions made with a checkpoint depend on: its weights, and those that lie beside it.
#[must_use]
pub fn digest_of(weights: Digest, beside: Option<&str>) -> Digest {
    match beside {
        None => weights,
        Some(other) => crate::base::digest::Digester::new()
            .field("weights", weights.as_bytes())
            .field("gpt2", other.as_bytes())
            .finish(),
    }
}

/// The folder of the checkpoints of a store's stage.
#[must_use]
pub fn checkpoints_folder(state_folder: &Path, stage: &str) -> PathBuf {
    all_checkpoints_folder(state_folder).join(stage)
}

/// The folder in which each stage that trains has its [`checkpoints_folder`].
#[must_use]
pub fn all_checkpoints_folder(state_folder: &Path) -> PathBuf {
    state_folder.join("checkpoints")
}
