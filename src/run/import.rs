//! A captioner that was trained elsewhere becomes the checkpoint of a stage.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as _, ListArray};

use crate::base::{Error, Kind, Result};
use crate::plan::captioner::Train;
use crate::plan::{Plan, Reason, Stage, Work, resolve_partly, state_folder};
use crate::table::Store;
use crate::train::brought::Brought;
use crate::train::checkpoint::Checkpoint;
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
            let names: Vec<&str> = several.iter().map(|(stage, _)| stage.table.as_str()).collect();
            Err(Error::new(Kind::Usage, "the definition trains several captioners")
                .help(format!("name one with --stage: {}", names.join(", "))))
        }
    }
}

/// Refuses a captioner of features of another length, as far as that is known: by the CLIP that makes
/// them, where it is there, else by those that are stored.
fn takes_features(plan: &Plan, work: &Train, brought: &Brought, options: &Options) -> Result<()> {
    // What an import does not need need not be there.
    let Ok(partial) = resolve_partly(&plan.pipeline, &plan.definition, None) else { return Ok(()) };
    let find = |table: &str| partial.stages.iter().find(|stage| stage.table == table);
    let Some(Work::Align(align)) = find(&work.examples).map(|stage| &stage.work) else {
        return Ok(());
    };
    let features = align.image_features.as_str();
    let model = find(features).and_then(|stage| stage.work.model());
    let model = model.filter(|clip| clip.trained_by.is_none());
    let width = match model.and_then(|model| crate::embed::describe(model).ok()) {
        Some(facts) => Some(facts.width),
        None => stored_width(plan, features, options)?,
    };
    match width.filter(|width| *width != brought.clip_width()) {
        None => Ok(()),
        Some(width) => Err(Error::new(
            Kind::BadInput,
            format!(
                "takes features of {} numbers, those of `{features}` have {width}",
                brought.clip_width()
            ),
        )
        .help(format!("set in the stage `{features}` the `model` that it was trained on"))),
    }
}

/// How long the stored features are; none where there are none.
fn stored_width(plan: &Plan, features: &str, options: &Options) -> Result<Option<usize>> {
    let Ok(store) = Store::open(&plan.store, Arc::clone(&options.clock)) else { return Ok(None) };
    let Some(snapshot) = store.snapshot(features)? else { return Ok(None) };
    for batch in snapshot.scan(&["embedding"])? {
        let (_, batch) = batch?;
        let vectors = super::rows::column::<ListArray>(&batch, "embedding")?;
        if let Some(vector) = (!vectors.is_empty()).then(|| vectors.value(0)) {
            return Ok(Some(vector.len()));
        }
    }
    Ok(None)
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
    let brought = Brought::read(file, work, end)?;
    takes_features(plan, work, &brought, options).map_err(|error| error.at(file.display()))?;
    let store = Store::create(&plan.store, std::sync::Arc::clone(&options.clock))?;
    let _lock = store.lock(options.wait, &options.cancel)?;
    super::remember::write(plan)?;
    let means = Means::default();
    let mut ctx = Context::new(plan, options, &means, store);
    let below = checkpoints_folder(&state_folder(ctx.store.root()), &stage.table);
    let checkpoint = brought.write(&below, stage, &plan.text, IMPORTED)?;
    let kept = std::slice::from_ref(&checkpoint);
    checkpoints::publish(&mut ctx, stage, kept, Reason::New)?;
    Ok(Imported { table: stage.table.clone(), checkpoint, report: ctx.report })
}
