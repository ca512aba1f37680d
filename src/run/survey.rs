//! What a run would do, row by row: the run's own judgement, without its work.
//!
//! A survey supposes that what would be computed comes out well: an image that nobody has tried
//! to decode counts as new, and so do its captions and examples. Only the run can learn that it
//! is broken, and then files it under `rejects`. In the same way it supposes that contracts hold of
//! what changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::base::{Kind, Result};
use crate::plan::{Plan, Reason, Work};
use crate::table::{Store, reject_breaches};

use super::align::{self, EXAMPLES};
use super::context::{Context, Means, Options};
use super::foresight::{Captions, Foresight};
use super::ledger::Ledger;
use super::ledger::REJECTS;
use super::lookout::{Lookout, Sight};
use super::order::{dependents, readable, wanted};
use super::report::{Broken, Foreseen, Survey};
use super::state::State;
use super::{captions, settled, survey_captioner, survey_images, texts};

/// Says what [`super::run`] would do, and changes nothing: no row is computed, no weights are
/// loaded, no table is written, no lock is taken. Digests of contents that had to be read are
/// kept, where there is a store to keep them in.
///
/// # Errors
/// When an input or the store cannot be read, and where a run would fail before its first row.
pub fn survey(plan: &Plan, options: &Options) -> Result<Survey> {
    let begun = Instant::now();
    let means = Means::default();
    let mut ctx = context(plan, options, &means, None)?;
    let settling = settled::begin(plan, options)?;
    if let Some(mut survey) = settled::survey(plan, options, &ctx.store, &settling) {
        survey.elapsed = begun.elapsed();
        return Ok(survey);
    }
    let mut ledger = ledger(&ctx)?;
    let mut survey = tables(&mut ctx, &mut ledger)?;
    if let Some(plan) = retrained(plan, &survey) {
        // Nobody knows what will come of a training: all that is made with its model is made again.
        let mut ctx = context(&plan, options, &means, None)?;
        let mut ledger = self::ledger(&ctx)?;
        survey = tables(&mut ctx, &mut ledger)?;
        survey.elapsed = begun.elapsed();
        return Ok(survey);
    }
    let rejects = ledger.by_class();
    settled::keep_survey(plan, options, &ctx.store, &settling, &survey, &rejects);
    // Millions of small strings: nobody waits until all are given back.
    let world = ctx.foresight.take();
    std::thread::spawn(move || drop(world));
    survey.elapsed = begun.elapsed();
    Ok(survey)
}

/// The plan in which models that a run would train anew have the digest of none that there is; none
/// where there is no such model.
fn retrained(plan: &Plan, survey: &Survey) -> Option<Plan> {
    let pending = |table: &str| survey.tables.iter().any(|one| one.table == table && one.pending);
    let mut changed = plan.clone();
    let mut any = false;
    for stage in &mut changed.stages {
        let Some(model) = stage.work.model() else { continue };
        let trainer = model.trained_by.as_deref().filter(|_| !model.awaits_training);
        if trainer.is_some_and(pending) {
            let fingerprint = std::mem::take(&mut stage.fingerprint);
            stage.fingerprint = fingerprint.with("weights", crate::plan::trained::UNTRAINED);
            any = true;
        }
    }
    any.then_some(changed)
}

/// What a survey sees of one image in every table, and the ids of all images.
///
/// # Errors
/// As [`survey`].
pub(super) fn of_image(
    plan: &Plan,
    options: &Options,
    image_id: &str,
) -> Result<(Vec<Sight>, Vec<String>)> {
    let means = Means::default();
    let look = |plan| context(plan, options, &means, Some(Lookout::new(image_id)));
    let mut ctx = look(plan)?;
    let mut ledger = self::ledger(&ctx)?;
    let survey = tables(&mut ctx, &mut ledger)?;
    let changed = retrained(plan, &survey);
    if let Some(changed) = &changed {
        ctx = look(changed)?;
        ledger = self::ledger(&ctx)?;
        tables(&mut ctx, &mut ledger)?;
    }
    let mut seen = ctx.lookout.map(Lookout::into_seen).unwrap_or_default();
    for (table, entry) in ledger.of_image(image_id) {
        let Some(stage) = plan.stage(table) else { continue };
        match seen.iter_mut().find(|sight| sight.table == table && sight.is_of(&entry.reject)) {
            Some(sight) => sight.reject = Some((entry.reject.clone(), entry.attempts)),
            None => {
                let (reject, attempts) = (entry.reject.clone(), entry.attempts);
                seen.push(Sight::refused(stage, image_id, reject, attempts));
            }
        }
    }
    let images = ctx.foresight.map(|foresight| foresight.images).unwrap_or_default();
    Ok((seen, images.into_values().flatten().collect()))
}

fn context<'a>(
    plan: &'a Plan,
    options: &'a Options,
    means: &'a Means,
    lookout: Option<Lookout>,
) -> Result<Context<'a>> {
    let store = Store::look(&plan.store, Arc::clone(&options.clock))?;
    let mut ctx = Context::new(plan, options, means, store);
    ctx.foresight = Some(Foresight::default());
    ctx.lookout = lookout;
    Ok(ctx)
}

fn ledger(ctx: &Context<'_>) -> Result<Ledger> {
    let rejects = ctx.store.snapshot(REJECTS)?;
    let now = ctx.options.clock.now_us();
    Ledger::load(rejects.as_ref(), (ctx.options.retry_rejects, &BTreeSet::new()), now)
}

/// What is to be done with every table. An input that cannot be read is told with all others of its
/// kind, which are looked for then only: a look at packed captions may unpack them.
fn tables(ctx: &mut Context<'_>, ledger: &mut Ledger) -> Result<Survey> {
    surveyed(ctx, ledger).map_err(|error| {
        if !matches!(error.kind(), Kind::BadInput | Kind::MissingInput | Kind::Io) {
            return error;
        }
        let (options, indexes) = (ctx.options, ctx.index_folder());
        let others = wanted(ctx.plan, &options.only)
            .and_then(|wanted| readable(ctx.plan, &wanted, &indexes, &options.cancel));
        match others {
            Err(other) if other.kind() != Kind::Interrupted => error.with(other),
            _ => error,
        }
    })
}

fn surveyed(ctx: &mut Context<'_>, ledger: &mut Ledger) -> Result<Survey> {
    let plan = ctx.plan;
    ledger.divide_whole(ctx);
    let wanted = wanted(plan, &ctx.options.only)?;
    let mut below = BTreeMap::new();
    // Whether rows further down may hang on the content of an image.
    let mut rows_below = false;
    for stage in plan.stages.iter().filter(|stage| wanted.contains(stage.table.as_str())) {
        match stage.work {
            Work::Align(_) => {
                let state = State::load(&ctx.store, stage, EXAMPLES)?;
                rows_below |= state.has_rows();
                below.insert(stage.table.as_str(), state);
            }
            Work::Caption(_) => {
                let snapshot = ctx.store.snapshot(&stage.table)?;
                rows_below |= snapshot.is_some_and(|snapshot| snapshot.rows() > 0);
            }
            _ => {}
        }
    }
    let mut found: BTreeMap<String, Foreseen> = BTreeMap::new();
    for stage in plan.stages.iter().filter(|stage| wanted.contains(stage.table.as_str())) {
        ctx.options.cancel.check()?;
        let one = match &stage.work {
            Work::IndexImages(work) => {
                let dependents = dependents(plan, &stage.table, &wanted);
                let pass =
                    survey_images::survey(ctx, ledger, (stage, work), dependents, rows_below)?;
                found.extend(pass.into_iter().map(|one| (one.table.clone(), one)));
                continue;
            }
            // Surveyed in the pass over their images.
            Work::EmbedImages(_) => continue,
            Work::ReadCaptions(work) => {
                let mut later = plan.stages.iter().filter(|of| wanted.contains(of.table.as_str()));
                let is_read = later.any(|of| of.work.reads().contains(&stage.table.as_str()));
                let made = captions::survey(ctx, ledger, stage, work, is_read)?;
                let one = (made.state, made.counts);
                if let Some(foresight) = &mut ctx.foresight {
                    let captions = Captions { rows: made.rows, clean: work.clean.clone() };
                    foresight.captions.insert(stage.table.clone(), captions);
                }
                one
            }
            Work::EmbedCaptions(work) => {
                let mut replaced = |row: &texts::Wish<'_>, state: &State| state.replace(&row.key);
                let (state, counts) = texts::survey(ctx, ledger, stage, work, &mut replaced)?;
                ledger.complete(&stage.table);
                (state, counts)
            }
            Work::Align(work) => {
                let Some(state) = below.remove(stage.table.as_str()) else { continue };
                let counts = align::survey(ctx, stage, work, &state)?;
                (state, counts)
            }
            Work::TrainClip(work) => {
                let one = survey_captioner::train_clip(ctx, stage, work, &found)?;
                found.insert(stage.table.clone(), one);
                continue;
            }
            Work::Train(work) => {
                let one = survey_captioner::train(ctx, stage, work, &found)?;
                found.insert(stage.table.clone(), one);
                continue;
            }
            Work::Caption(work) => {
                let one = survey_captioner::captions(ctx, ledger, stage, work, &found)?;
                found.insert(stage.table.clone(), one);
                continue;
            }
            Work::Evaluate(work) => {
                let one = survey_captioner::scores(ctx, stage, work)?;
                found.insert(stage.table.clone(), one);
                continue;
            }
        };
        let (state, mut counts) = one;
        ctx.watch_removed(stage, &state);
        counts.add_many(Reason::Removed, state.unseen());
        found.insert(stage.table.clone(), Foreseen::of(stage, &state, counts));
    }
    // In the order of the definition, which is that of a run's report.
    let mut tables: Vec<_> =
        plan.stages.iter().filter_map(|stage| found.remove(&stage.table)).collect();
    let broken = broken(plan, &tables, ledger);
    let rejects = ctx.store.snapshot(REJECTS)?;
    let mut rejects = Foreseen::of_rejects(REJECTS, rejects.as_ref(), ledger.counts());
    rejects.pending |= ledger.is_damaged();
    tables.push(rejects);
    Ok(Survey {
        pipeline: plan.name.clone(),
        tables,
        broken,
        notes: std::mem::take(&mut ctx.report.notes),
        new_rejects: ledger.new_rejects(),
        ignored: ctx.report.ignored,
        ..Survey::default()
    })
}

/// Contracts of tables without a change that the rejects break, as a run finds them broken. One of
/// checkpoints bounds no rejects.
fn broken(plan: &Plan, tables: &[Foreseen], ledger: &Ledger) -> Vec<Broken> {
    let unchanged = tables.iter().filter(|one| !one.pending);
    let of = unchanged.filter_map(|one| {
        let stage = plan.stage(&one.table)?;
        if matches!(stage.work, Work::Train(_) | Work::TrainClip(_)) {
            return None;
        }
        let breaches = reject_breaches(&stage.contract, one.rows, &ledger.of_stage(&one.table));
        (!breaches.is_empty()).then(|| Broken { table: one.table.clone(), breaches })
    });
    of.collect()
}
