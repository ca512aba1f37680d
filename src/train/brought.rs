//! A captioner that another program trained, as a checkpoint of a stage.

use std::path::Path;

use super::captioner::of_weights;
use super::checkpoint::{Checkpoint, Course, FORMAT, Random, State, UNFINISHED, remove};
use super::journal::Mark;
use crate::base::digest::Digester;
use crate::base::{Digest, Error, Kind, Result};
use crate::nn::captioner::{Captioner, Names};
use crate::nn::mapper::{MapperConfig, MapperKind};
use crate::nn::tokens::TextCodec;
use crate::nn::weights::Weights;
use crate::plan::Stage;
use crate::plan::captioner::{MapperKind as Wanted, Network, Train};

/// A captioner out of a file, fit for a stage.
#[derive(Debug)]
pub struct Brought {
    captioner: Captioner,
    network: Network,
    end: u32,
    /// The vocabulary's own end, with which all that trains here ends.
    own_end: u32,
}

impl Brought {
    /// Reads the checkpoint in `file`, of this house or of either `PyTorch` project. Its captions
    /// end with the token `end`; without it, with what the project ends them with.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when it is of another shape than the stage's captioner: what is missing,
    /// misshapen or unexpected is listed, and what to set.
    pub fn read(file: &Path, work: &Train, end: Option<&str>) -> Result<Self> {
        let placed = |error: Error| match error.place() {
            None => error.at(file.display()),
            Some(_) => error,
        };
        let mut weights = Weights::open(file)?;
        // PyTorch's `DataParallel` puts it before every name.
        if weights.names().all(|name| name.starts_with("module.")) {
            weights.rename(|name| name.strip_prefix("module.").map(str::to_owned));
        }
        let captioner =
            of_weights(&weights, &work.model.folder, work.network.heads).map_err(placed)?;
        same_shape(captioner.mapper.config(), &work.network).map_err(placed)?;
        let codec = TextCodec::open(&work.model.folder)?;
        let end = match end {
            Some(token) => codec.id(token).ok_or_else(|| {
                Error::new(Kind::Usage, format!("the GPT-2's vocabulary has no token `{token}`"))
            })?,
            // The project cuts its captions at the first full stop.
            None if Names::detect(&weights) == Some(Names::ClipPrefixCaption) => {
                codec.id(".").unwrap_or_else(|| codec.end())
            }
            None => codec.end(),
        };
        // The GPT-2 is in the checkpoint, whatever the stage would leave out.
        let network = Network { freeze: false, ..work.network };
        Ok(Self { captioner, network, end, own_end: codec.end() })
    }

    /// Numbers of a feature that it takes.
    #[must_use]
    pub fn clip_width(&self) -> usize {
        self.captioner.mapper.config().clip_width
    }

    /// Writes it below `folder` as a checkpoint of `stage`, whose examples are called `input`. Its
    /// run is called by what it holds, so that none is ever replaced by another.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(
        &self,
        folder: &Path,
        stage: &Stage,
        definition: &str,
        input: &str,
    ) -> Result<Checkpoint> {
        let state = State {
            format: FORMAT,
            stage: stage.table.clone(),
            digest: String::new(),
            beside: None,
            end: self.end,
            clip_width: self.clip_width(),
            network: Some(self.network),
            step: 0,
            epoch: 0,
            position: 0,
            random: Random { algorithm: "none".to_owned(), seed: 0 },
            schedule: Course { schedule: "none".to_owned(), total_steps: 0, learning_rate: 0.0 },
            validation_loss: None,
            best: None,
            epochs_without_better: 0,
            finished: true,
            fingerprint: stage.fingerprint.digest().to_string(),
            input_digest: input.to_owned(),
            definition: definition.to_owned(),
            journal: Mark::default(),
        };
        let unfinished = folder.join(format!(".{input}{UNFINISHED}"));
        remove(&unfinished)?;
        let tensors = self.captioner.state();
        // The same weights write other captions when these end elsewhere.
        let digest = |weights: Digest| {
            if self.end == self.own_end {
                return weights;
            }
            let end = self.end.to_le_bytes();
            Digester::new().field("weights", weights.as_bytes()).field("end", &end).finish()
        };
        let written = Checkpoint::write(&unfinished, state, &tensors, &[], digest)?;
        let said = serde_json::to_vec(&written.state).map_err(|cause| {
            Error::new(Kind::Internal, "a checkpoint's state is no JSON").caused_by(cause)
        })?;
        written.move_to(&folder.join(format!("{input}-{}", Digest::of(&said).short())))
    }
}

/// Refuses a mapper of another shape, and says which settings fit it.
fn same_shape(found: &MapperConfig, wanted: &Network) -> Result<()> {
    let kind = match found.kind {
        MapperKind::Mlp => Wanted::Mlp,
        MapperKind::Transformer => Wanted::Transformer,
        MapperKind::Bert => Wanted::Bert,
    };
    let mut settings = Vec::new();
    if kind != wanted.mapper {
        settings.push(format!("mapper = \"{}\"", found.kind));
    }
    if found.prefix_length != wanted.prefix_length {
        settings.push(format!("prefix_length = {}", found.prefix_length));
    }
    if kind != Wanted::Mlp {
        if found.constant_length != wanted.constant_length {
            settings.push(format!("constant_length = {}", found.constant_length));
        }
        if found.layers != wanted.layers {
            settings.push(format!("layers = {}", found.layers));
        }
    }
    if settings.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::BadInput, "holds another mapper than the stage trains")
        .help(format!("set in the stage: {}", settings.join(", "))))
}
