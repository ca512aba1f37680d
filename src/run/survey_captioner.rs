//! What a run would do to a captioner, its captions and their scores.
//!
//! Which captions a captioner makes nobody knows before it is trained, so where it is to be trained
//! all of them, and what hangs on them, are supposed to change: those of the images that there will
//! be. Scores are supposed to change if one of the captions does.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Result;
use crate::plan::captioner::{Caption, Evaluate, Train};
use crate::plan::clip::TrainClip;
use crate::plan::{Counts, Reason, Stage};
use crate::table::Snapshot;
use crate::train::examples::Examples;

use super::checkpoints::Held;
use super::context::Context;
use super::foresight::Generated;
use super::ledger::Ledger;
use super::pictures::Lessons;
use super::report::Foreseen;
use super::{caption, checkpoints, evaluate, train_clip};

type Found = BTreeMap<String, Foreseen>;

fn changes(found: &Found, table: &str) -> bool {
    found.get(table).is_some_and(|one| one.pending)
}

/// All rows of a stage's table, for one reason; `expected` of them where there is no table yet.
fn whole(ctx: &Context<'_>, stage: &Stage, reason: Reason, expected: u64) -> Result<Foreseen> {
    let snapshot = ctx.store.snapshot(&stage.table)?;
    let stored = snapshot.as_ref().map_or(0, Snapshot::rows);
    let mut counts = Counts::default();
    match snapshot {
        Some(_) => counts.add_many(reason, stored.max(u64::from(reason.computes()))),
        None => counts.add_many(Reason::New, expected),
    }
    Ok(Foreseen {
        table: stage.table.clone(),
        version: snapshot.as_ref().map(Snapshot::version),
        rows: stored,
        counts,
        pending: counts.has_changes(),
        contract_changed: false,
    })
}

/// What a run would do to the table of a captioner.
pub(super) fn train(
    ctx: &Context<'_>,
    stage: &Stage,
    work: &Train,
    found: &Found,
) -> Result<Foreseen> {
    let held = Held::read(&ctx.store, &stage.table)?;
    let expected = work.keep_last as u64;
    let fingerprint = stage.fingerprint.digest().to_string();
    let imported = held.kept.iter().all(|one| one.input_digest == checkpoints::IMPORTED);
    let input_digest = match ctx.store.snapshot(&work.examples)? {
        Some(rows) if !changes(found, &work.examples) => Examples::read(&rows)?.digest.to_string(),
        _ if imported => String::new(),
        _ => {
            return whole(ctx, stage, held.reason(stage)?, expected);
        }
    };
    let stands = held.stands(&fingerprint, &input_digest);
    let reason = if stands { Reason::UpToDate } else { held.reason(stage)? };
    whole(ctx, stage, reason, expected)
}

/// What a run would do to the table of a CLIP.
pub(super) fn train_clip(
    ctx: &Context<'_>,
    stage: &Stage,
    work: &TrainClip,
    found: &Found,
) -> Result<Foreseen> {
    let held = Held::read(&ctx.store, &stage.table)?;
    let expected = work.keep_last as u64;
    let steady = !stage.work.reads().iter().any(|table| changes(found, table));
    if steady
        && held.snapshot.is_some()
        && train_clip::stands(ctx, stage, &held, &Lessons::read(ctx, work)?)?
    {
        return whole(ctx, stage, Reason::UpToDate, expected);
    }
    whole(ctx, stage, held.reason(stage)?, expected)
}

/// What a run would do to a table of made captions.
///
/// # Errors
/// As of a run: also where somebody asked for a split without images.
pub(super) fn captions(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &Caption,
    found: &Found,
) -> Result<Foreseen> {
    let stage = if changes(found, &work.captioner) {
        caption::made_by(stage, format!("those that `{}` will have", work.captioner))
    } else {
        caption::made_by(stage, checkpoints::best(&ctx.store, &work.captioner)?.0.digest)
    };
    let scored = ctx.plan.stages.iter().any(|of| of.work.reads().contains(&stage.table.as_str()));
    let mut images = BTreeSet::new();
    let mut captioned = |id: &str| {
        if scored {
            images.insert(id.to_owned());
        }
    };
    let (state, mut counts) = caption::judged(ctx, ledger, &stage, work, &mut captioned)?;
    if let Some(foresight) = ctx.foresight.as_mut().filter(|_| scored) {
        let unknown = counts.computed() + counts.get(Reason::Resumed) > 0;
        foresight.generated.insert(stage.table.clone(), Generated { images, unknown });
    }
    // What is still to change may bring images into the split.
    let steady = !stage.work.reads().iter().any(|table| changes(found, table));
    let embedded = ctx.store.snapshot(&work.image_features)?;
    if steady && embedded.is_some() && counts.iter().all(|(_, rows)| rows == 0) {
        let note = caption::of_nothing(ctx.plan, &stage, work)?;
        ctx.report.notes.extend(note);
    }
    ctx.watch_removed(&stage, &state);
    counts.add_many(Reason::Removed, state.unseen());
    Ok(Foreseen::of(&stage, &state, counts))
}

/// What a run would do to a table of scores.
pub(super) fn scores(ctx: &Context<'_>, stage: &Stage, work: &Evaluate) -> Result<Foreseen> {
    let made = ctx.foresight.as_ref().and_then(|world| world.generated.get(&work.generated));
    let (state, mut counts) = match made {
        // What people wrote is known beforehand, what a captioner writes is not.
        Some(made) if made.unknown => evaluate::supposed(ctx, stage, work, &made.images)?,
        _ => evaluate::judged(ctx, stage, work)?,
    };
    ctx.watch_removed(stage, &state);
    counts.add_many(Reason::Removed, state.unseen());
    Ok(Foreseen::of(stage, &state, counts))
}
