//! The table `metrics`: what training and scoring measured, one part or more for each run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::{filter_record_batch, not};

use crate::base::units::count;
use crate::base::{Cancel, Error, Kind, Result};
use crate::plan::{Counts, Reason};
use crate::table::schema::arrow_schema;
use crate::table::{Change, CommitNote, Outcome, Snapshot, Store};
use crate::train::journal::Metric;

use super::context::Context;
use super::report::{Broken, TableReport};
use super::rows;
use super::sink::Sink;
use super::tally::{Tally, compare};

/// The table of what was measured.
pub const METRICS: &str = "metrics";

/// Puts what the run `run` of a stage measured in place of what the table holds of that run.
pub(super) fn publish(
    ctx: &mut Context<'_>,
    stage: &str,
    run: &str,
    metrics: &[Metric],
) -> Result<()> {
    // Parts of a run that died before it published: they are made anew.
    let staged = ctx.store.staged(METRICS)?;
    ctx.store.discard_staged(METRICS, &staged)?;
    let before = ctx.store.snapshot(METRICS)?;
    let contract = &ctx.plan.metrics;
    let schema = arrow_schema(contract);
    let mut sink = Sink::new(&ctx.store, ctx.plan.parts, METRICS, contract, "");
    let mut remove = Vec::new();
    let mut old = BTreeMap::new();
    let (sound, damaged) = match &before {
        Some(snapshot) => snapshot.sort_out(&Cancel::new())?,
        None => Default::default(),
    };
    let mut lost = 0;
    for part in damaged {
        remove.push(part.path.clone());
        lost += part.rows;
    }
    for part in sound {
        let Some(snapshot) = &before else { continue };
        let batches = snapshot.scan_part(part, &[])?.collect::<Result<Vec<_>>>()?;
        let stays = batches.iter().map(|batch| others(batch, stage, run));
        let stays = stays.collect::<Result<Vec<_>>>()?;
        if stays.iter().all(|mask| mask.true_count() == mask.len()) {
            continue;
        }
        remove.push(part.path.clone());
        for (batch, mask) in batches.iter().zip(&stays) {
            let fault =
                |cause| Error::new(Kind::Internal, "cannot filter stored rows").caused_by(cause);
            let kept = filter_record_batch(batch, mask).map_err(fault)?;
            if kept.num_rows() > 0 {
                sink.push(&kept)?;
            }
            let gone = not(mask).and_then(|mask| filter_record_batch(batch, &mask));
            measured(&gone.map_err(fault)?, &mut old)?;
        }
    }
    if lost > 0 {
        ctx.report.notes.push(format!(
            "{METRICS}: {} rows were in a damaged part; what `{run}` of `{stage}` measured is told \
             anew, what earlier trainings did is lost",
            count(lost)
        ));
    }
    let mut sorted: Vec<&Metric> = metrics.iter().collect();
    sorted.sort_by(|a, b| (a.step, &a.name).cmp(&(b.step, &b.name)));
    let mut new = BTreeMap::new();
    if !sorted.is_empty() {
        let epoch = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let times = TimestampMicrosecondArray::from_iter_values(sorted.iter().map(|m| m.time_us));
        let values = Float64Array::from_iter_values(sorted.iter().map(|m| m.value));
        let batch = rows::batch(
            &schema,
            &[
                ("stage", rows::strings(sorted.iter().map(|_| stage))),
                ("run", rows::strings(sorted.iter().map(|_| run))),
                ("step", rows::int64s(sorted.iter().map(|m| rows::signed(m.step)))),
                ("epoch", rows::int32s(sorted.iter().map(|m| epoch(m.epoch)))),
                ("name", rows::strings(sorted.iter().map(|m| &m.name))),
                ("value", Arc::new(values)),
                ("time", Arc::new(times.with_timezone("UTC"))),
            ],
        )?;
        sink.push(&batch)?;
        measured(&batch, &mut new)?;
    }
    let mut note = CommitNote {
        definition_digest: ctx.plan.definition_digest.to_string(),
        operation: METRICS.to_owned(),
        inputs: ctx.versions.clone(),
        fingerprint_parts: serde_json::Value::Null,
        ..CommitNote::default()
    };
    let all = before.as_ref().map_or(0, Snapshot::rows);
    let others = all.saturating_sub(lost).saturating_sub(old.len() as u64);
    let mut counts = compare(old, new);
    counts.add_many(Reason::UpToDate, others);
    Tally::of(&counts, all).tell(others + sorted.len() as u64, &mut note);
    let change = Change {
        expected_version: before.as_ref().map(Snapshot::version),
        remove,
        add: sink.finish()?,
        note,
        reject_counts: BTreeMap::new(),
        fidelity: None,
    };
    let outcome = ctx.store.publish(METRICS, contract, change)?;
    ctx.report.tables.retain(|made| made.table != METRICS);
    match outcome {
        Outcome::Published { version, rows } => ctx.report.tables.push(TableReport {
            table: METRICS.to_owned(),
            version: Some(version),
            rows,
            counts: Counts::default(),
            computed: sorted.len() as u64,
            resumed: 0,
            published: true,
        }),
        Outcome::Broken(breaches) => {
            ctx.report.broken.push(Broken { table: METRICS.to_owned(), breaches });
        }
    }
    Ok(())
}

/// What one run measured, by step and name: epoch, bits of the value, time.
type Measured = BTreeMap<(i64, String), (i32, u64, i64)>;

/// Adds the rows of a batch.
fn measured(batch: &RecordBatch, to: &mut Measured) -> Result<()> {
    let steps = rows::column::<Int64Array>(batch, "step")?;
    let epochs = rows::column::<Int32Array>(batch, "epoch")?;
    let names = rows::column::<StringArray>(batch, "name")?;
    let values = rows::column::<Float64Array>(batch, "value")?;
    let times = rows::column::<TimestampMicrosecondArray>(batch, "time")?;
    to.extend((0..batch.num_rows()).map(|at| {
        let key = (steps.value(at), names.value(at).to_owned());
        (key, (epochs.value(at), values.value(at).to_bits(), times.value(at)))
    }));
    Ok(())
}

/// The rows of other runs.
fn others(batch: &RecordBatch, stage: &str, run: &str) -> Result<BooleanArray> {
    let stages = rows::column::<StringArray>(batch, "stage")?;
    let runs = rows::column::<StringArray>(batch, "run")?;
    Ok((0..batch.num_rows())
        .map(|at| Some(stages.value(at) != stage || runs.value(at) != run))
        .collect())
}

/// Whether a part is known to be damaged.
pub(super) fn is_damaged(store: &Store) -> Result<bool> {
    Ok(store.snapshot(METRICS)?.is_some_and(|snapshot| !snapshot.damaged().is_empty()))
}

/// What the run `run` of a stage measured, by name, in the order of the names; of numbers measured
/// at several steps the last. Those in a damaged part are left out.
pub(super) fn read(store: &Store, stage: &str, run: &str) -> Result<BTreeMap<String, f64>> {
    let mut found = BTreeMap::new();
    let Some(snapshot) = store.snapshot(METRICS)? else { return Ok(found) };
    let damaged: BTreeSet<String> = snapshot.damaged().into_iter().map(|one| one.path).collect();
    let sound = snapshot.parts().iter().filter(|part| !damaged.contains(&part.path));
    let mut batches = Vec::new();
    for part in sound {
        batches.extend(snapshot.scan_part(part, &["stage", "run", "name", "value"])?);
    }
    for batch in batches {
        let batch = batch?;
        let elsewhere = others(&batch, stage, run)?;
        let names = rows::column::<StringArray>(&batch, "name")?;
        let values = rows::column::<Float64Array>(&batch, "value")?;
        for at in (0..batch.num_rows()).filter(|at| !elsewhere.value(*at)) {
            found.insert(names.value(at).to_owned(), values.value(at));
        }
    }
    Ok(found)
}
