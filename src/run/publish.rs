//! From decided rows to a new version: what stays is left alone or copied, what is new is
//! added, one commit shows it all.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;

use crate::base::{Cancel, Error, Kind, Result};
use crate::flow::Fidelity;
use crate::plan::{Counts, Reason, Stage};
use crate::sources::Member;
use crate::table::schema::arrow_schema;
use crate::table::{Change, Outcome, Snapshot, StagedPart, reject_breaches, total_rows};

use super::clocks::{Part, Spend};
use super::context::Context;
use super::key::{Columns, Keys};
use super::ledger::Ledger;
use super::refusal::refusal;
use super::report::{Broken, TableReport};
use super::rows;
use super::sink::Sink;
use super::state::State;

/// Parts below a quarter of the usual size are gathered once there are so many of them.
const SMALL_PARTS: usize = 8;

/// In the note of a version: rows that stayed, and were held against another contract.
const CONTRACT_CHANGED: &str = "contract_changed";

/// What a stage made.
#[derive(Debug)]
pub(super) struct Made<'m> {
    /// Durable parts with the computed rows.
    pub parts: Vec<StagedPart>,
    pub columns: Columns,
    /// Ids that turned out to be of two images, and leave the new parts again.
    pub without: &'m BTreeSet<String>,
    /// Whether everything upstream was seen, so that all rows are there and what was not seen is gone;
    /// not so once a run was asked to stop on its way.
    pub complete: bool,
    pub counts: Counts,
    /// Rows of the table of images whose content stands elsewhere now.
    pub moved: &'m BTreeMap<String, Member>,
}

/// Publishes a new version of the stage's table, if anything changed.
///
/// False when the table is not what it is to be: a part of the rows is still to be made, a lock says
/// otherwise, or the contract does not hold; the reason is in the report.
pub(super) fn publish(
    ctx: &mut Context<'_>,
    ledger: &Ledger,
    stage: &Stage,
    state: &State,
    mut made: Made<'_>,
) -> Result<bool> {
    if made.complete {
        made.counts.add_many(Reason::Removed, state.unseen());
    }
    let written: u64 = made.parts.iter().map(|part| part.rows).sum();
    // Rows at another place that are not copied were read and written again, as they are.
    let rewritten = made.counts.get(Reason::Moved).saturating_sub(made.moved.len() as u64);
    let computed = written.saturating_sub(rewritten) + state.taken_of_this_run();
    let mut report = TableReport {
        table: stage.table.clone(),
        version: state.snapshot.as_ref().map(Snapshot::version),
        rows: state.snapshot.as_ref().map_or(0, Snapshot::rows),
        counts: made.counts,
        computed,
        resumed: made.counts.get(Reason::Resumed),
        published: false,
    };
    if !made.complete {
        let kept = !made.parts.is_empty() || !state.staged.is_empty();
        set_aside(ctx, stage, kept, report);
        return Ok(false);
    }
    let change = change(ctx, ledger, stage, state, made)?;
    if let Some(found) = change.as_ref().and_then(|(change, _)| change.fidelity) {
        ctx.report.fidelity.insert(stage.table.clone(), found);
    }
    let next = change.as_ref().map(|(change, _)| change);
    if let Some(refused) = refusal(ctx, &stage.table, &stage.contract, next)? {
        ctx.report.refused.push(refused);
        ctx.see(stage, &report);
        ctx.report.tables.push(report);
        return Ok(false);
    }
    let breaches = match change {
        // No row comes or goes, and more may be refused than before.
        None => reject_breaches(&stage.contract, report.rows, &ledger.of_stage(&stage.table)),
        Some((change, spent)) => {
            let outcome = ctx.clocks.time(Part::Write, Spend::Busy, || {
                ctx.store.publish(&stage.table, &stage.contract, change)
            })?;
            match outcome {
                Outcome::Published { version, rows } => {
                    report.version = Some(version);
                    report.rows = rows;
                    report.published = true;
                    // What is left of earlier runs is in the new version or of no use.
                    if let Err(error) = ctx.store.discard_staged(&stage.table, &spent) {
                        tracing::warn!(%error, "parts are left over; the next run removes them");
                    }
                    Vec::new()
                }
                Outcome::Broken(breaches) => breaches,
            }
        }
    };
    let holds = breaches.is_empty();
    if !holds {
        ctx.report.broken.push(Broken { table: stage.table.clone(), breaches });
    }
    ctx.see(stage, &report);
    ctx.report.tables.push(report);
    Ok(holds)
}

/// Leaves the table as it is where a run was stopped before all rows were there: what is durable is
/// taken over by the next run. A version of some of them would lack rows, or show new beside old.
fn set_aside(ctx: &mut Context<'_>, stage: &Stage, kept: bool, report: TableReport) {
    if kept {
        let seen = match report.version {
            Some(version) => format!("version {version} stays"),
            None => "there is no version".to_owned(),
        };
        ctx.report.notes.push(format!(
            "{}: the rows made so far are kept aside, and {seen} until all are made",
            stage.table
        ));
    }
    ctx.see(stage, &report);
    ctx.report.tables.push(report);
}

/// The change to the table, and the staged parts that it makes useless; none where there is
/// nothing to do.
fn change(
    ctx: &Context<'_>,
    ledger: &Ledger,
    stage: &Stage,
    state: &State,
    made: Made<'_>,
) -> Result<Option<(Change, Vec<StagedPart>)>> {
    let mut rewrites = state.rewrites();
    let fidelity = fidelity(state, &made.parts);
    let sink = || ctx.sink(stage).of_fidelity(fidelity);
    let mut add = without(ctx, stage, (made.parts, sink()), made.columns, made.without)?;
    let mut copies = sink();
    let nothing = add.is_empty() && rewrites.remove.is_empty() && !state.any_taken();
    if nothing && !state.contract_changed && state.snapshot.is_some() {
        ctx.store.discard_staged(&stage.table, &state.staged)?;
        return Ok(None);
    }
    let small_rows = ctx.plan.parts.rows / 4;
    gather_small(state, &mut rewrites, small_rows);
    // What is copied or taken over is held against its digest first; with all rows there, a run that
    // was asked to stop still publishes.
    let (taken, cancel) = (state.taken(), Cancel::new());
    let used = state.staged.iter().zip(&taken).filter(|(_, taken)| !taken.is_empty());
    ctx.trust_staged(&stage.table, &used.map(|(staged, _)| staged).collect::<Vec<_>>())?;
    if let Some(snapshot) = &state.snapshot {
        let copied = rewrites.copy.iter().filter_map(|part| snapshot.parts().get(*part));
        ctx.trust_parts(snapshot, copied, &cancel)?;
        for part in rewrites.copy.iter().filter_map(|part| snapshot.parts().get(*part)) {
            for batch in snapshot.scan_part(part, &[])? {
                let batch = batch?;
                let stays = |keys: &Keys<'_>, at| state.stays(&keys.key(at));
                copies.push(&keep(&batch, made.columns, stays)?)?;
            }
        }
        // A moved row leaves the part that held it; of a damaged one nothing is stored to move.
        let left = rewrites.remove.iter().filter(|part| !state.is_damaged(**part));
        let left = left.filter_map(|part| snapshot.parts().get(*part));
        if !made.moved.is_empty() {
            ctx.trust_parts(snapshot, left.clone(), &cancel)?;
        }
        copy_moved(snapshot, left, stage, made.moved, &mut copies)?;
    }
    // Many processes, or many crashes, leave many small parts.
    let few = state.staged.iter().filter(|part| part.rows < small_rows).count() < SMALL_PARTS;
    for (staged, taken) in state.staged.iter().zip(taken) {
        if taken.len() as u64 == staged.rows && (few || staged.rows >= small_rows) {
            add.push(staged.clone());
        } else {
            for batch in ctx.store.scan_staged(&stage.table, &stage.contract, staged, &[])? {
                let batch = batch?;
                let wanted = |keys: &Keys<'_>, at| taken.contains(&keys.key(at).short());
                copies.push(&keep(&batch, made.columns, wanted)?)?;
            }
        }
    }
    let spent: Vec<_> = state
        .staged
        .iter()
        .filter(|staged| !add.iter().any(|part| part.path == staged.path))
        .cloned()
        .collect();
    add.extend(copies.finish()?);
    let mut note = ctx.note(stage)?;
    let stay = rewrites.whole.iter().map(|(_, rows)| *rows);
    rewrites.tally.tell(total_rows(stay.chain(add.iter().map(|part| part.rows))), &mut note);
    if state.contract_changed {
        let kept = total_rows(rewrites.whole.iter().map(|(_, rows)| *rows));
        note.reasons.insert(CONTRACT_CHANGED.to_owned(), kept);
    }
    let remove = rewrites.remove.iter().filter_map(|part| {
        state.snapshot.as_ref()?.parts().get(*part).map(|part| part.path.clone())
    });
    let change = Change {
        expected_version: state.snapshot.as_ref().map(Snapshot::version),
        remove: remove.collect(),
        add,
        note,
        reject_counts: ledger.of_stage(&stage.table),
        fidelity,
    };
    Ok(Some((change, spent)))
}

/// What samples say of the new rows: those of this run, and those that are taken over.
fn fidelity(state: &State, parts: &[StagedPart]) -> Option<Fidelity> {
    let taken = state.taken();
    let taken = state.staged.iter().zip(&taken).filter(|(_, rows)| !rows.is_empty());
    Fidelity::worst(taken.map(|(part, _)| part).chain(parts).filter_map(|part| part.fidelity))
}

/// Marks small parts to be copied together, once there are many: a table that grows by ten rows
/// a day does not end as a thousand files.
fn gather_small(state: &State, rewrites: &mut super::state::Rewrites, small_rows: u64) {
    let small: Vec<_> =
        rewrites.whole.iter().filter(|(_, rows)| *rows < small_rows).map(|(p, _)| *p).collect();
    if small.len() < SMALL_PARTS || state.snapshot.is_none() {
        return;
    }
    rewrites.remove.extend(&small);
    rewrites.copy.extend(&small);
    rewrites.remove.sort_unstable();
    rewrites.copy.sort_unstable();
}

/// The rows of a batch that `wanted` names.
fn keep(
    batch: &RecordBatch,
    columns: Columns,
    wanted: impl Fn(&Keys<'_>, usize) -> bool,
) -> Result<RecordBatch> {
    let keys = Keys::of(batch, columns)?;
    let mask: BooleanArray = (0..batch.num_rows()).map(|at| Some(wanted(&keys, at))).collect();
    filter_record_batch(batch, &mask)
        .map_err(|cause| Error::new(Kind::Internal, "cannot filter stored rows").caused_by(cause))
}

/// New parts without the rows of ids that two members have.
fn without(
    ctx: &Context<'_>,
    stage: &Stage,
    (parts, mut sink): (Vec<StagedPart>, Sink),
    columns: Columns,
    ids: &BTreeSet<String>,
) -> Result<Vec<StagedPart>> {
    if ids.is_empty() {
        return Ok(parts);
    }
    let good = |keys: &Keys<'_>, at| !ids.contains(keys.key(at).image_id);
    for part in &parts {
        for batch in ctx.store.scan_staged(&stage.table, &stage.contract, part, &[])? {
            sink.push(&keep(&batch?, columns, good)?)?;
        }
    }
    let copies = sink.finish()?;
    ctx.store.discard_staged(&stage.table, &parts)?;
    Ok(copies)
}

/// Rows of images that stand elsewhere now: as stored, with their new place.
fn copy_moved<'p>(
    snapshot: &Snapshot,
    parts: impl Iterator<Item = &'p crate::table::Part>,
    stage: &Stage,
    moved: &BTreeMap<String, Member>,
    copies: &mut Sink,
) -> Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let schema = arrow_schema(&stage.contract);
    for part in parts {
        for batch in snapshot.scan_part(part, &[])? {
            let batch = batch?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            let mask: BooleanArray =
                ids.iter().map(|id| Some(id.is_some_and(|id| moved.contains_key(id)))).collect();
            if mask.true_count() == 0 {
                continue;
            }
            let batch = filter_record_batch(&batch, &mask).map_err(|cause| {
                Error::new(Kind::Internal, "cannot filter stored rows").caused_by(cause)
            })?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            let members: Vec<_> = ids.iter().flatten().filter_map(|id| moved.get(id)).collect();
            let mut columns = vec![
                ("source", rows::strings(members.iter().map(|m| &m.origin.source))),
                ("member", rows::strings(members.iter().map(|m| &m.origin.member))),
                ("offset", rows::int64s(members.iter().map(|m| rows::signed(m.origin.offset)))),
                ("size_bytes", rows::int64s(members.iter().map(|m| rows::signed(m.size_bytes)))),
            ];
            for field in schema.fields() {
                let name = field.name().as_str();
                if !columns.iter().any(|(known, _)| *known == name)
                    && let Some(column) = batch.column_by_name(name)
                {
                    columns.push((name, column.clone()));
                }
            }
            copies.push(&rows::batch(&schema, &columns)?)?;
        }
    }
    Ok(())
}
