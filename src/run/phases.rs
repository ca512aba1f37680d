//! A run whose definition trains a model that its own tables are made with: first what trains, then
//! everything, with the model that came of it.

use std::collections::BTreeSet;

use crate::base::Result;
use crate::embed::check_device;
use crate::plan::model::{Dtype, ModelSpec};
use crate::plan::{Plan, Work};
use crate::train::captioner::{check_captioning, check_training};

use super::context::{Means, Options};
use super::engine::once;
use super::order::wanted;
use super::report::RunReport;

/// Carries a plan out: makes every row that is missing or stale, and publishes each table that
/// changed.
///
/// A broken contract is in the report, not an error: the other tables are made.
///
/// # Errors
/// When an input or the store fails; what was durable by then is taken over by the next run.
pub fn run(plan: &Plan, options: &Options) -> Result<RunReport> {
    run_with(plan, options, &Means::default())
}

/// As [`run`], on another storage or with the help of other processes.
///
/// # Errors
/// As [`run`], and when a worker fails or dies twice over one unit of work.
pub fn run_with(plan: &Plan, options: &Options, means: &Means) -> Result<RunReport> {
    check_devices(plan, options)?;
    let trainers = trainers(plan, options)?;
    if trainers.is_empty() || super::settled::is(plan, options, means)? {
        return once(plan, options, means, &BTreeSet::new());
    }
    let first = Options { only: trainers, ..options.clone() };
    let trained = once(plan, &first, means, &BTreeSet::new())?;
    let stopped = trained.interrupted
        || !trained.broken.is_empty()
        || !trained.refused.is_empty()
        || !trained.held_back.is_empty();
    if stopped {
        return Ok(trained);
    }
    let tried = trained.tables.iter().map(|made| made.table.clone()).collect();
    let mut report = once(&plan.again()?, options, means, &tried)?;
    report.take_over(trained);
    Ok(report)
}

/// What was asked for and is not there is an error, also where nothing is to be computed; and before
/// the first phase, since that may take hours.
fn check_devices(plan: &Plan, options: &Options) -> Result<()> {
    let wanted = wanted(plan, &options.only)?;
    for stage in plan.stages.iter().filter(|stage| wanted.contains(stage.table.as_str())) {
        match &stage.work {
            // It trains in f32, whatever its model computes in elsewhere.
            Work::TrainClip(work) => {
                check_device(&ModelSpec { dtype: Dtype::F32, ..work.model.clone() })?;
            }
            Work::EmbedImages(work) => check_device(&work.model)?,
            Work::EmbedCaptions(work) => check_device(&work.model)?,
            Work::Train(work) => check_training(work)?,
            Work::Caption(work) => check_captioning(&work.model)?,
            _ => {}
        }
    }
    Ok(())
}

/// The stages that train models for others, of those that are wanted.
fn trainers(plan: &Plan, options: &Options) -> Result<Vec<String>> {
    let wanted = wanted(plan, &options.only)?;
    let all = plan.stages.iter().filter(|stage| matches!(stage.work, Work::TrainClip(_)));
    let used = all.filter(|stage| wanted.contains(stage.table.as_str()));
    Ok(used.map(|stage| stage.table.clone()).collect())
}
