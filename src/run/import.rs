//! A captioner that was trained elsewhere becomes the checkpoint of a stage.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::{Digest, Error, Kind, Result};
use crate::nn::captioner::{Captioner, Names};
use crate::nn::mapper::{MapperConfig, MapperKind};
use crate::nn::tokens::TextCodec;
use crate::nn::weights::Weights;
use crate::plan::captioner::{MapperKind as Wanted, Network, Train};
use crate::plan::{Plan, Reason, Stage, Work, state_folder};
use crate::table::Store;
use crate::train::captioner::of_weights;
use crate::train::checkpoint::{Checkpoint, Course, FORMAT, Random, State};
use crate::train::journal::Mark;
use crate::train::trainer::checkpoints_folder;

use super::checkpoints::{self, IMPORTED};
use super::context::{Context, Means, Options};
use super::report::RunReport;

/// What was brought along.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The table that names it now.
    pub table: String,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Contracts that broke; nothing was published then.
    pub report: RunReport,
}

/// The stage of a plan that trains: `table`, or the only one.
///
/// # Errors
/// [`Kind::Usage`] where none trains, or several do and none is named.
pub fn training<'p>(plan: &'p Plan, table: Option<&str>) -> Result<(&'p Stage, &'p Train)> {
    let all = plan.stages.iter().filter_map(|stage| match &stage.work {
        Work::Train(work) => Some((stage, work)),
        _ => None,
    });
    let fitting: Vec<_> =
        all.clone().filter(|(stage, _)| table.is_none_or(|name| name == stage.table)).collect();
    match (fitting.as_slice(), table) {
        ([one], _) => Ok(*one),
        ([], Some(name)) => {
            let names: Vec<&str> = all.map(|(stage, _)| stage.table.as_str()).collect();
            Err(Error::new(Kind::Usage, format!("no stage trains a table `{name}`"))
                .help(format!("the definition trains: {}", names.join(", "))))
        }
        ([], None) => Err(Error::new(Kind::Usage, "the definition trains no captioner")
            .at(plan.definition.display())
            .help("add a stage `[stages.captioner.train]`; the README shows one")),
        (several, _) => {
            let names: Vec<&str> =
                several.iter().map(|(stage, _)| stage.table.as_str()).collect();
            Err(Error::new(Kind::Usage, "the definition trains several captioners")
                .help(format!("name one with --stage: {}", names.join(", "))))
        }
    }
}

/// Takes the checkpoint in `file`, of this house or of either PyTorch project, as that of the
/// stage `table` (none: the only one that trains). Its captions end with the token `end`; without
/// it, with what the project ends them with.
///
/// The stage then trains nothing until its settings change.
///
/// # Errors
/// [`Kind::BadInput`] when the checkpoint is of another shape than the stage's captioner: what is
/// missing, misshapen or unexpected is listed, and what to set.
pub fn import(
    plan: &Plan,
    table: Option<&str>,
    file: &Path,
    end: Option<&str>,
    options: &Options,
) -> Result<Imported> {
    let (stage, work) = training(plan, table)?;
    let placed = |error: Error| match error.place() {
        None => error.at(file.display()),
        Some(_) => error,
    };
    let weights = Weights::open(file)?;
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
    let store = Store::create(&plan.store, std::sync::Arc::clone(&options.clock))?;
    let _lock = store.lock(options.wait, &options.cancel)?;
    super::remember::write(plan)?;
    let means = Means::default();
    let mut ctx = Context {
        plan,
        options,
        means: &means,
        store,
        unit: None,
        foresight: None,
        lookout: None,
        clocks: super::clocks::Clocks::default(),
        report: RunReport { pipeline: plan.name.clone(), ..RunReport::default() },
        versions: BTreeMap::new(),
    };
    let state = state(plan, stage, work, &captioner, end);
    let below = checkpoints_folder(&state_folder(ctx.store.root()), &stage.table);
    let name = Digest::of(file.display().to_string().as_bytes()).short();
    let run = below.join(format!("{IMPORTED}-{name}"));
    std::fs::create_dir_all(&run).map_err(|c| Error::io("cannot make", run.display(), c))?;
    let checkpoint = Checkpoint::write(&run, state, &captioner.state(), &[], |digest| digest)?;
    let kept = std::slice::from_ref(&checkpoint);
    checkpoints::publish(&mut ctx, stage, kept, Reason::New)?;
    Ok(Imported { table: stage.table.clone(), checkpoint, report: ctx.report })
}

fn state(plan: &Plan, stage: &Stage, work: &Train, captioner: &Captioner, end: u32) -> State {
    State {
        format: FORMAT,
        stage: stage.table.clone(),
        digest: String::new(),
        end,
        clip_width: captioner.mapper.config().clip_width,
        // The GPT-2 is in the checkpoint, whatever the stage would leave out.
        network: Network { freeze: false, ..work.network },
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
        input_digest: IMPORTED.to_owned(),
        definition: plan.text.clone(),
        journal: Mark::default(),
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
