//! Checkpoints: folders that hold everything a training goes on from.
//!
//! ```text
//! <run>/step-0000001200/model.safetensors
//!                       optimizer.safetensors
//!                       state.json
//! ```
//!
//! A folder gets its name once all of it is durable, so that one that is there is whole.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::journal::Mark;
use crate::base::{Cancel, Digest, Error, Kind, Result, files};
use crate::nn::weights::write_safetensors;
use crate::plan::captioner::Network;

/// Version of `state.json`.
pub const FORMAT: u32 = 1;
/// File of the weights.
pub const MODEL: &str = "model.safetensors";
/// File of the optimiser's moments.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// File of everything else.
pub const STATE: &str = "state.json";

const CAP_BYTES: u64 = 64 << 20;
const PREFIX: &str = "step-";
/// Ends the names of folders that are no whole checkpoint.
pub(super) const UNFINISHED: &str = ".unfinished";

/// What a checkpoint says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// [`FORMAT`].
    pub format: u32,
    /// The table whose stage trained it.
    pub stage: String,
    /// Digest of the weights' file, of the GPT-2 where that is not in it, and of the end where that
    /// is not the vocabulary's own.
    pub digest: String,
    /// Digest of the weights of the GPT-2 that is not in the file; older checkpoints do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
    /// The token that ends a text.
    pub end: u32,
    /// Numbers that the model is given of an image.
    pub clip_width: usize,
    /// The captioner's shape; none where it is no captioner.
    pub network: Option<Network>,
    /// Steps of the optimiser so far.
    pub step: u64,
    /// Epochs that are over.
    pub epoch: u32,
    /// Batches of the running epoch that are over; 0 at the end of an epoch.
    pub position: usize,
    /// What the order of the data and dropout are drawn from.
    pub random: Random,
    /// Steps of the whole training and highest learning rate: the schedule's course.
    pub schedule: Course,
    /// Validation loss at this checkpoint, where one was measured.
    pub validation_loss: Option<f64>,
    /// The best validation loss so far.
    pub best: Option<Best>,
    /// Epochs since then.
    pub epochs_without_better: u32,
    /// Whether the training is over.
    pub finished: bool,
    /// Fingerprint of the stage.
    pub fingerprint: String,
    /// Fingerprint of the examples.
    pub input_digest: String,
    /// The definition's text.
    pub definition: String,
    /// How long the files of metrics were.
    pub journal: Mark,
}

/// State of the random numbers: draws depend on nothing but these and the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Random {
    /// `chacha8`
    pub algorithm: String,
    /// The seed; the epoch is the stream of the data's order, the step that of dropout.
    pub seed: u64,
}

/// The schedule of the learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// `linear` or `cosine`.
    pub schedule: String,
    /// Steps of the whole training.
    pub total_steps: u64,
    /// Highest learning rate.
    pub learning_rate: f64,
}

/// The best checkpoint so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// Its validation loss.
    pub loss: f64,
}

/// A checkpoint on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Its folder.
    pub path: PathBuf,
    /// What it says of itself.
    pub state: State,
}

impl Checkpoint {
    /// Its weights.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// Its optimiser.
    #[must_use]
    pub fn optimizer(&self) -> PathBuf {
        self.path.join(OPTIMIZER)
    }

    /// The captioner's shape.
    ///
    /// # Errors
    /// [`Kind::Store`] when it holds no captioner.
    pub fn network(&self) -> Result<Network> {
        self.state.network.ok_or_else(|| {
            Error::new(Kind::Store, "is no checkpoint of a captioner")
                .at(self.path.display())
                .apart_from_rows()
        })
    }

    /// Reads what the folder `path` says of itself.
    ///
    /// # Errors
    /// [`Kind::Store`] when it is no checkpoint, or one of a newer clipmill.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join(STATE);
        if !file.is_file() || !path.join(MODEL).is_file() {
            return Err(Error::new(Kind::Store, "is no checkpoint")
                .at(path.display())
                .apart_from_rows()
                .help(
                    "a checkpoint is a folder with `state.json` and `model.safetensors`; \
                     `clipmill run` trains a new one",
                ));
        }
        let text = files::read_text_capped(&file, CAP_BYTES)?;
        let state: State = serde_json::from_str(&text).map_err(|cause| {
            Error::new(Kind::Store, "is damaged, or of another version")
                .at(file.display())
                .apart_from_rows()
                .help("remove the checkpoint's folder: training goes on from the one before it")
                .caused_by(cause)
        })?;
        if state.format > FORMAT {
            return Err(Error::new(
                Kind::Store,
                format!("is of format {}, this clipmill reads {FORMAT}", state.format),
            )
            .at(file.display())
            .apart_from_rows()
            .help("take a newer clipmill"));
        }
        Ok(Self { path: path.to_owned(), state })
    }

    /// Writes a checkpoint below `run`; the digest in `state` is filled in: `digest` makes it of
    /// that of the weights' file.
    ///
    /// # Errors
    /// When a device fails or the disk is full; what was there before is then as it was.
    pub fn write(
        run: &Path,
        mut state: State,
        model: &[(String, Tensor)],
        optimizer: &[(String, Tensor)],
        digest: impl FnOnce(Digest) -> Digest,
    ) -> Result<Self> {
        let name = format!("{PREFIX}{:010}", state.step);
        let path = run.join(&name);
        let unfinished = run.join(format!(".{name}{UNFINISHED}"));
        remove(&unfinished)?;
        files::make_folder(&unfinished)?;
        let weights = unfinished.join(MODEL);
        write_safetensors(&weights, model)?;
        state.digest = digest(Digest::of_file(&weights, &Cancel::new())?).to_string();
        write_safetensors(&unfinished.join(OPTIMIZER), optimizer)?;
        files::write_atomic(&unfinished.join(STATE), |file| {
            serde_json::to_writer_pretty(file, &state).map_err(|cause| {
                Error::new(Kind::Io, "cannot write a checkpoint's state").caused_by(cause)
            })
        })?;
        // One of the same step holds the same: it was written before a crash.
        discard(&path)?;
        std::fs::rename(&unfinished, &path)
            .map_err(|cause| Error::io("cannot rename to", path.display(), cause))?;
        files::sync_folder(run)?;
        Ok(Self { path, state })
    }

    /// Moves the only checkpoint of a folder, with that folder, to `run`. One that is there already
    /// and holds the same stays, and this one goes.
    ///
    /// # Errors
    /// When a file cannot be read, or a folder cannot be moved.
    pub fn move_to(self, run: &Path) -> Result<Self> {
        let home = files::above(&self.path);
        let path = run.join(self.path.file_name().unwrap_or_default());
        let of = |file: &Path| Digest::of_file(file, &Cancel::new());
        let same = Self::open(&path).is_ok_and(|there| there.state == self.state)
            && of(&path.join(MODEL))? == of(&self.model())?;
        if same {
            remove(home)?;
        } else {
            discard(run)?;
            std::fs::rename(home, run)
                .map_err(|cause| Error::io("cannot rename to", run.display(), cause))?;
            files::sync_folder(files::above(run))?;
        }
        Ok(Self { path, state: self.state })
    }

    /// Removes it.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn remove(&self) -> Result<()> {
        discard(&self.path)
    }
}

/// The checkpoints below `run`, oldest first. What a crash left half-written is removed.
///
/// # Errors
/// When the folder cannot be read, or a checkpoint is damaged.
pub fn list(run: &Path) -> Result<Vec<Checkpoint>> {
    let mut found = Vec::new();
    if !run.is_dir() {
        return Ok(found);
    }
    let io = |cause| Error::io("cannot list", run.display(), cause);
    for entry in std::fs::read_dir(run).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_unfinished(&name) {
            remove(&entry.path())?;
        } else if name.starts_with(PREFIX) {
            found.push(Checkpoint::open(&entry.path())?);
        }
    }
    found.sort_by_key(|checkpoint| checkpoint.state.step);
    Ok(found)
}

/// Removes all but the best, the newest, and the newest `keep_last` at the end of an epoch.
/// Gives those that stay, oldest first.
///
/// # Errors
/// When a folder cannot be removed.
pub fn prune(run: &Path, keep_last: usize) -> Result<Vec<Checkpoint>> {
    let all = list(run)?;
    let newest = all.last().map(|c| c.state.step);
    let best = all.last().and_then(|c| c.state.best).map(|best| best.step);
    let ends: Vec<u64> = all
        .iter()
        .rev()
        .filter(|c| c.state.position == 0)
        .take(keep_last)
        .map(|c| c.state.step)
        .collect();
    let mut kept = Vec::new();
    for checkpoint in all {
        let step = checkpoint.state.step;
        if Some(step) == newest || Some(step) == best || ends.contains(&step) {
            kept.push(checkpoint);
        } else {
            checkpoint.remove()?;
        }
    }
    Ok(kept)
}

/// Whether a folder of this name is what a crash left half-written, or half-removed.
#[must_use]
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(UNFINISHED)
}

/// Removes a checkpoint, or a folder of some: its name goes first, so that one that is there is whole,
/// also when a crash ends this half-way.
///
/// # Errors
/// When the folder cannot be renamed or removed.
pub fn discard(checkpoint: &Path) -> Result<()> {
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    let hidden = checkpoint.with_file_name(format!(".{name}.removed{UNFINISHED}"));
    remove(&hidden)?;
    match std::fs::rename(checkpoint, &hidden) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Error::io("cannot remove", checkpoint.display(), cause)),
        Ok(()) => remove(&hidden),
    }
}

/// Removes a folder, if it is there.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", folder.display(), cause))
        }
        _ => Ok(()),
    }
}
