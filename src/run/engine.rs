//! A run, stage after stage.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::base::{Kind, Result};
use crate::plan::stage::EmbedImages;
use crate::plan::{Plan, Stage, Work};
use crate::table::schema::arrow_schema;
use crate::table::{Change, CommitNote, Outcome, Snapshot, Store};

use super::context::{Context, Means, Options};
use super::ledger::{self, Ledger, REJECTS};
use super::metrics::METRICS;
use super::order::{dependents, readable, wanted};
use super::report::{Broken, RunReport, StageTime, TableReport};
use super::sink::Sink;
use super::tally::Tally;
use super::{
    align, caption, captions, evaluate, handout, images, settled, texts, train, train_clip,
};

/// Carries a plan out whose models are all there. Of the tables `tried` no reject is tried again: an
/// earlier phase of this run did.
///
/// # Errors
/// When an input or the store fails; when a worker fails or dies twice over one unit of work.
pub(super) fn once(
    plan: &Plan,
    options: &Options,
    means: &Means,
    tried: &BTreeSet<String>,
) -> Result<RunReport> {
    let begun = Instant::now();
    let clock = std::sync::Arc::clone(&options.clock);
    let store = Store::create_on(&plan.store, clock, std::sync::Arc::clone(&means.storage))?;
    let _lock = store.lock(options.wait, &options.cancel)?;
    super::remember::write(plan)?;
    // A cache; a plan before the first run had nowhere to keep what it learned.
    if let Err(error) = plan.digests.clone().save() {
        tracing::debug!(%error, "digests are not kept");
    }
    let settling = settled::begin(plan, options)?;
    if let Some(mut report) = settled::report(plan, options, &store, &settling) {
        report.elapsed = begun.elapsed();
        return Ok(report);
    }
    store.sweep()?;
    super::outlived::sweep(&store)?;
    let mut earlier: Vec<RunReport> = Vec::new();
    loop {
        let mut ctx = Context::new(plan, options, means, store.clone());
        let rejects = ctx.store.snapshot(REJECTS)?;
        let now = options.clock.now_us();
        let mut ledger = Ledger::load(rejects.as_ref(), (options.retry_rejects, tried), now)?;
        let made = stages(&mut ctx, &mut ledger);
        // Rows of damaged parts are to be made again, and this attempt had judged them already. What
        // it refused, the next one refuses too, and files once.
        if let Err(error) = &made
            && error.may_be_damaged_rows()
            && earlier.len() < MOST_BEGUN_AGAIN
            && find_damage(&ctx)
        {
            tracing::warn!(%error, "damaged parts are made anew");
            earlier.push(ctx.report);
            continue;
        }
        finish(&mut ctx, &ledger, rejects.as_ref(), made, &settling)?;
        let mut report = ctx.report;
        earlier.into_iter().rev().for_each(|before| report.take_over(before));
        report.elapsed = begun.elapsed();
        return Ok(report);
    }
}

/// A run that comes upon damage begins again, so many times at most.
const MOST_BEGUN_AGAIN: usize = 3;

/// Looks for all damage in the tables of the plan; true if there is some that nobody knew of. Where
/// it cannot look, what led here is the error to tell.
fn find_damage(ctx: &Context<'_>) -> bool {
    let mut any = false;
    let stages = ctx.plan.stages.iter().map(|stage| stage.table.as_str());
    for table in stages.chain([METRICS]) {
        match ctx.store.find_damage(table, &ctx.options.cancel) {
            Ok(0) => {}
            Ok(found) => {
                any = true;
                let parts = if found == 1 { "part is" } else { "parts are" };
                ctx.options.progress.note(&format!(
                    "{table}: {found} {parts} not as written; the rows are computed again"
                ));
            }
            Err(error) => {
                tracing::warn!(%table, %error, "cannot look for damage");
                return false;
            }
        }
    }
    any
}

/// Publishes the rejects and closes the report. What was refused is told even when the stages failed
/// half-way.
fn finish(
    ctx: &mut Context<'_>,
    ledger: &Ledger,
    rejects: Option<&Snapshot>,
    made: Result<()>,
    settling: &settled::Begun,
) -> Result<()> {
    let (plan, options) = (ctx.plan, ctx.options);
    let told = publish_rejects(ctx, ledger, rejects);
    let new_rejects = ledger.new_rejects();
    match made {
        Err(error) if error.kind() == Kind::Interrupted => {}
        Err(error) => {
            // No report comes of this run, and to the next one they are old.
            for reject in &new_rejects.first {
                options.progress.note(&format!("rejected: {reject}"));
            }
            return Err(error);
        }
        Ok(()) => {}
    }
    told?;
    ctx.report.interrupted = options.cancel.is_cancelled();
    ctx.report.rejects = ledger.by_class();
    ctx.report.new_rejects = new_rejects;
    let clocks = std::mem::take(&mut ctx.clocks);
    ctx.report.book(&clocks);
    settled::keep_run(plan, options, &ctx.store, settling, &ctx.report, ledger);
    Ok(())
}

fn stages(ctx: &mut Context<'_>, ledger: &mut Ledger) -> Result<()> {
    let plan = ctx.plan;
    ledger.divide_whole(ctx);
    let wanted = wanted(plan, &ctx.options.only)?;
    readable(plan, &wanted, &ctx.index_folder(), &ctx.options.cancel)?;
    let mut done = BTreeSet::new();
    for stage in &plan.stages {
        if !wanted.contains(stage.table.as_str()) || done.contains(stage.table.as_str()) {
            continue;
        }
        ctx.options.cancel.check()?;
        if blocked(ctx, stage) {
            ctx.hold_back(stage);
            continue;
        }
        let (mut with, mut images) = (Vec::new(), false);
        match &stage.work {
            // Made in the pass over their images.
            Work::EmbedImages(_) => continue,
            Work::IndexImages(_) => {
                images = true;
                with = dependents(plan, &stage.table, &wanted);
                with.retain(|(_, work)| !work.model.awaits_training);
            }
            _ => {}
        }
        done.extend(with.iter().map(|(stage, _)| stage.table.as_str()));
        let tables = std::iter::once(stage).chain(with.iter().map(|(stage, _)| *stage));
        let tables = tables.map(|stage| stage.table.clone()).collect();
        let begun = Instant::now();
        let made = make(ctx, ledger, stage, with);
        ctx.report.stages.push(StageTime { tables, took: begun.elapsed(), images });
        made?;
    }
    Ok(())
}

/// Makes the table of a stage; `with` are those that are made in the same pass over images.
fn make(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    with: Vec<(&Stage, &EmbedImages)>,
) -> Result<()> {
    match &stage.work {
        Work::IndexImages(work) => {
            handout::images(ctx, ledger, stage, work, &with)?;
            images::run(ctx, ledger, stage, work, with)
        }
        Work::EmbedImages(_) => Ok(()),
        Work::ReadCaptions(work) => captions::run(ctx, ledger, stage, work),
        Work::EmbedCaptions(work) => {
            handout::texts(ctx, ledger, stage, work)?;
            texts::run(ctx, ledger, stage, work)
        }
        Work::Align(work) => align::run(ctx, ledger, stage, work),
        Work::TrainClip(work) => train_clip::run(ctx, ledger, stage, work),
        Work::Train(work) => train::run(ctx, ledger, stage, work),
        Work::Caption(work) => caption::run(ctx, ledger, stage, work),
        Work::Evaluate(work) => evaluate::run(ctx, ledger, stage, work),
    }
}

/// Whether a table that this stage reads broke its contract, or was held back itself.
fn blocked(ctx: &Context<'_>, stage: &Stage) -> bool {
    // A model that was to be trained before and was not.
    let awaits = stage.work.model().is_some_and(|model| model.awaits_training);
    awaits
        || stage.work.reads().into_iter().any(|table| {
            ctx.report.broken.iter().any(|broken| broken.table == table)
                || ctx.report.refused.iter().any(|refused| refused.table == table)
                || ctx.report.held_back.iter().any(|held| held == table)
        })
}

/// Publishes the rejects, if they changed.
fn publish_rejects(
    ctx: &mut Context<'_>,
    ledger: &Ledger,
    before: Option<&Snapshot>,
) -> Result<()> {
    let mut report = TableReport {
        table: REJECTS.to_owned(),
        version: before.map(Snapshot::version),
        rows: before.map_or(0, Snapshot::rows),
        counts: ledger.counts(),
        computed: 0,
        resumed: 0,
        published: false,
    };
    // Parts of a run that died before it published: they are made anew.
    let staged = ctx.store.staged(REJECTS)?;
    ctx.store.discard_staged(REJECTS, &staged)?;
    let changed = ledger.changed();
    if changed.is_none() && before.is_some() {
        let refused = super::refusal::refusal(ctx, REJECTS, &ctx.plan.rejects, None)?;
        ctx.report.refused.extend(refused);
        ctx.report.tables.push(report);
        return Ok(());
    }
    let rows = changed.unwrap_or_default();
    let contract = &ctx.plan.rejects;
    let mut sink = Sink::new(&ctx.store, ctx.plan.parts, REJECTS, contract, "");
    if !rows.is_empty() {
        sink.push(&ledger::batch(&arrow_schema(contract), &rows)?)?;
    }
    let mut note = CommitNote {
        definition_digest: ctx.plan.definition_digest.to_string(),
        operation: REJECTS.to_owned(),
        inputs: ctx.versions.clone(),
        fingerprint_parts: serde_json::Value::Null,
        ..CommitNote::default()
    };
    Tally::of(&report.counts, report.rows).tell(rows.len() as u64, &mut note);
    let change = Change {
        expected_version: before.map(Snapshot::version),
        remove: before.iter().flat_map(|s| s.parts()).map(|part| part.path.clone()).collect(),
        add: sink.finish()?,
        note,
        reject_counts: std::collections::BTreeMap::new(),
        fidelity: None,
    };
    if let Some(refused) = super::refusal::refusal(ctx, REJECTS, contract, Some(&change))? {
        // They are told in the report; the next run finds them again.
        ctx.store.discard_staged(REJECTS, &change.add)?;
        ctx.report.refused.push(refused);
        ctx.report.tables.push(report);
        return Ok(());
    }
    match ctx.store.publish(REJECTS, contract, change)? {
        Outcome::Published { version, rows } => {
            report.version = Some(version);
            report.rows = rows;
            report.published = true;
        }
        Outcome::Broken(breaches) => {
            ctx.report.broken.push(Broken { table: REJECTS.to_owned(), breaches });
        }
    }
    ctx.report.tables.push(report);
    Ok(())
}
