//! Captions that the best checkpoint makes of images: each row once, until its image's feature,
//! the checkpoint or a setting is another. Of the images that need captions a run holds the places of
//! their rows; the features are read again, window after window.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;

use arrow::array::{Float32Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use crate::base::progress::Silent;
use crate::base::{Cancel, Digest, Error, Kind, Result};
use crate::caption::{self, EarlyStopping, Generated, Settings};
use crate::flow::{Reject, RejectClass};
use crate::plan::captioner::{Caption, Strategy};
use crate::plan::{Counts, Plan, Stage};
use crate::table::Snapshot;
use crate::table::schema::arrow_schema;
use crate::train::captioner::{self, Ready};
use crate::train::checkpoint::Checkpoint;

use super::caption_judge::{Captioned, GENERATED, Judge, digest, keys, origin};
use super::checkpoints;
use super::clocks::{Part, Spend};
use super::context::Context;
use super::ledger::Ledger;
use super::publish::{self, Made};
use super::rows;
use super::sink::Sink;
use super::state::State;

/// Batches after which captions go to the table.
const WINDOW_BATCHES: usize = 8;

/// What needs captions, as it was found.
#[derive(Debug, Default)]
struct Needed {
    /// The version of the features; none where there is no such table.
    features: Option<Snapshot>,
    /// Of each part, the rows that need captions, from 0 in the order in which they are read.
    rows: Vec<Vec<usize>>,
}

impl Needed {
    fn count(&self) -> u64 {
        self.rows.iter().map(|of| of.len() as u64).sum()
    }
}

/// An image that needs captions.
struct Wanted {
    image_id: String,
    feature: Vec<f32>,
    digest: Digest,
}

/// Captions the images that need it and publishes their table.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &Caption,
) -> Result<()> {
    let (kept, checkpoint) = match checkpoints::best(&ctx.store, &work.captioner) {
        Err(error) if error.kind() == Kind::MissingInput => {
            let snapshot = ctx.store.snapshot(&stage.table)?;
            checkpoints::leave(ctx, stage, snapshot.as_ref());
            return Ok(());
        }
        other => other?,
    };
    let stage = &made_by(stage, kept.digest);
    let (state, counts, needed) = survey(ctx, ledger, stage, work)?;
    if needed.features.is_some() && counts.iter().all(|(_, rows)| rows == 0) {
        let note = of_nothing(ctx.plan, stage, work)?;
        ctx.report.notes.extend(note);
    }
    // Whose caption is made, and whose goes, hangs on the splits.
    if let Some((_, captions)) = &work.split
        && (needed.count() > 0 || state.unseen() > 0)
    {
        ctx.trust(captions)?;
    }
    state.clean(&ctx.store, stage)?;
    let mut sink = ctx.sink(stage);
    let mut complete = true;
    if needed.count() > 0 {
        let progress = Arc::clone(&ctx.options.progress);
        progress.begin(&stage.table, Some(needed.count()));
        let out = Job::open(ctx, stage, work, &checkpoint, &state)
            .and_then(|job| job.caption(ledger, &needed, &mut sink));
        progress.end(&stage.table);
        complete = out?;
    }
    if complete {
        ledger.complete(&stage.table);
    }
    let made = Made {
        parts: sink.finish()?,
        columns: GENERATED,
        without: &BTreeSet::new(),
        complete,
        counts,
        moved: &BTreeMap::new(),
    };
    publish::publish(ctx, ledger, stage, &state, made)?;
    Ok(())
}

/// Tells that no image is captioned: an error where the command line asked for this part of the
/// data, which would empty the tables of captions and scores for a slip of the pen.
///
/// # Errors
/// [`Kind::BadInput`] then.
pub(super) fn of_nothing(plan: &Plan, stage: &Stage, work: &Caption) -> Result<Option<String>> {
    let Some((split, captions)) = &work.split else { return Ok(None) };
    let what = format!("no image of `{}` is in the split `{}`", work.image_features, split.name());
    let below = format!("stages.{}.", stage.table);
    let asked = |(key, _): &(String, String)| key.starts_with(&below) && key.ends_with(".split");
    if plan.sets.iter().any(asked) {
        return Err(Error::new(Kind::BadInput, format!("{what}: there are no captions to score"))
            .at(&stage.table)
            .help(format!("ask for another split: the column `split` of `{captions}` has them")));
    }
    Ok(Some(format!("{}: {what}, and none is captioned", stage.table)))
}

/// The stage, with the checkpoint among what changes its rows.
pub(super) fn made_by(stage: &Stage, checkpoint: impl Display) -> Stage {
    let mut stage = stage.clone();
    stage.fingerprint = stage.fingerprint.with("weights", checkpoint);
    stage
}

/// Judges every row; gives what needs captions.
fn survey(
    ctx: &Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &Caption,
) -> Result<(State, Counts, Needed)> {
    let mut judge = Judge::new(ctx, stage, work)?;
    let mut needed = Needed::default();
    let Some(features) = ctx.store.snapshot(&work.image_features)? else {
        return Ok((judge.state, judge.counts, needed));
    };
    for part in features.parts() {
        ctx.options.cancel.check()?;
        let (mut of_part, mut first) = (Vec::new(), 0);
        for batch in features.scan_part(part, &["image_id", "input_digest", "fingerprint"])? {
            let batch = batch?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            let inputs = rows::column::<StringArray>(&batch, "input_digest")?;
            let made_by = rows::column::<StringArray>(&batch, "fingerprint")?;
            for at in 0..batch.num_rows() {
                let digest = digest(inputs.value(at), made_by.value(at));
                if judge.image(ctx, ledger, ids.value(at), digest) == Captioned::Anew {
                    of_part.push(first + at);
                }
            }
            first += batch.num_rows();
        }
        if !of_part.is_empty() {
            ctx.trust_parts(&features, [part], &ctx.options.cancel)?;
        }
        needed.rows.push(of_part);
    }
    needed.features = Some(features);
    Ok((judge.state, judge.counts, needed))
}

/// Reads what needs captions again and gives it to `each`, at most `most` images at a time, in the
/// order in which it was found; until `each` says false, or somebody asked to stop: then false.
fn each_window(
    needed: &Needed,
    most: usize,
    cancel: &Cancel,
    each: &mut dyn FnMut(&[Wanted]) -> Result<bool>,
) -> Result<bool> {
    let columns = ["image_id", "embedding", "input_digest", "fingerprint"];
    let mut window = Vec::new();
    let Some(features) = &needed.features else { return Ok(true) };
    let parts = features.parts().iter().zip(&needed.rows);
    for (part, of_part) in parts.filter(|(_, of_part)| !of_part.is_empty()) {
        let (mut left, mut first) = (of_part.iter().copied().peekable(), 0);
        for batch in features.scan_part(part, &columns)? {
            if cancel.is_cancelled() {
                return Ok(false);
            }
            let batch = batch?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            let inputs = rows::column::<StringArray>(&batch, "input_digest")?;
            let made_by = rows::column::<StringArray>(&batch, "fingerprint")?;
            let vectors = rows::column::<ListArray>(&batch, "embedding")?;
            let next = first + batch.num_rows();
            while let Some(row) = left.next_if(|row| *row < next) {
                let at = row - first;
                let vector = vectors.value(at);
                let vector = vector.as_any().downcast_ref::<Float32Array>();
                window.push(Wanted {
                    image_id: ids.value(at).to_owned(),
                    feature: vector.map(|v| v.values().to_vec()).unwrap_or_default(),
                    digest: digest(inputs.value(at), made_by.value(at)),
                });
                if window.len() >= most {
                    if !each(&window)? {
                        return Ok(false);
                    }
                    window.clear();
                }
            }
            first = next;
            if left.peek().is_none() {
                break;
            }
        }
    }
    if window.is_empty() { Ok(true) } else { each(&window) }
}

/// As [`survey`], of the features that there will be once the run that is planned is over: what
/// would be computed counts as replaced. Calls `captioned` for each image that will have captions.
pub(super) fn judged(
    ctx: &Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &Caption,
    captioned: &mut dyn FnMut(&str),
) -> Result<(State, Counts)> {
    let mut judge = Judge::new(ctx, stage, work)?;
    let world = ctx.foresight.as_ref();
    if let Some(features) = world.and_then(|world| world.features.get(&work.image_features)) {
        for (id, input) in &features.rows {
            let input = input.map(|input| input.to_string()).unwrap_or_default();
            let digest = digest(&input, &features.fingerprint);
            let found = judge.image(ctx, ledger, id, digest);
            if found == Captioned::Anew {
                keys(work, id).for_each(|key| judge.state.remake(&key, &digest));
            }
            if found != Captioned::Not {
                captioned(id);
            }
        }
    }
    ledger.complete(&stage.table);
    Ok((judge.state, judge.counts))
}

/// How the caption room is told what the plan says.
#[must_use]
pub fn settings(
    strategy: &Strategy,
    max_tokens: usize,
    batch_rows: usize,
    checkpoint: &Checkpoint,
) -> Settings {
    let strategy = match *strategy {
        Strategy::Greedy => caption::Strategy::Greedy,
        Strategy::Beam { beams, length_penalty } => caption::Strategy::Beams {
            beams,
            length_penalty,
            early_stopping: EarlyStopping::default(),
            captions: 1,
        },
        Strategy::Sample { top_k, top_p, temperature, samples, seed } => {
            caption::Strategy::Sample { temperature, top_k, top_p, captions: samples, seed }
        }
    };
    let ends = vec![checkpoint.state.end];
    let batch_size = batch_rows.max(1);
    Settings { strategy, max_tokens, ends, batch_size, ..Settings::default() }
}

/// What is at hand while images are captioned.
struct Job<'a, 'c> {
    ctx: &'a Context<'c>,
    stage: &'a Stage,
    work: &'a Caption,
    state: &'a State,
    ready: Ready,
    settings: Settings,
    schema: SchemaRef,
    fingerprint: String,
}

impl<'a, 'c> Job<'a, 'c> {
    fn open(
        ctx: &'a Context<'c>,
        stage: &'a Stage,
        work: &'a Caption,
        checkpoint: &Checkpoint,
        state: &'a State,
    ) -> Result<Self> {
        let ready = captioner::open(checkpoint, &work.model, &work.model_digest)?;
        ctx.options.progress.note(&format!(
            "{}: checkpoint of step {} on {}",
            stage.table, checkpoint.state.step, ready.device
        ));
        Ok(Self {
            ctx,
            stage,
            work,
            state,
            ready,
            settings: settings(&work.strategy, work.max_tokens, work.batch_rows, checkpoint),
            schema: arrow_schema(&stage.contract),
            fingerprint: stage.fingerprint.digest().to_string(),
        })
    }

    /// True if all were captioned.
    fn caption(&self, ledger: &mut Ledger, needed: &Needed, sink: &mut Sink) -> Result<bool> {
        let most = self.settings.batch_size.saturating_mul(WINDOW_BATCHES);
        each_window(needed, most, &self.ctx.options.cancel, &mut |window| {
            self.window(ledger, window, sink)
        })
    }

    /// False when it was stopped.
    fn window(&self, ledger: &mut Ledger, window: &[Wanted], sink: &mut Sink) -> Result<bool> {
        let Self { ctx, stage, work, state, ready, settings, schema, fingerprint } = self;
        let features: Vec<&[f32]> = window.iter().map(|one| one.feature.as_slice()).collect();
        let cancel = &ctx.options.cancel;
        let made = ctx.clocks.time(Part::Encode, Spend::Busy, || {
            caption::generate(&ready.captioner, &ready.codec, &features, settings, cancel, &Silent)
        });
        let made = match made {
            Err(error) if error.kind() == Kind::Interrupted => return Ok(false),
            other => other.map_err(|error| match error.place() {
                None => error.at(&stage.table),
                Some(_) => error,
            })?,
        };
        let mut good = Vec::new();
        for (one, captions) in window.iter().zip(made) {
            if captions.iter().all(|caption| caption.score.is_finite()) {
                keys(work, &one.image_id).for_each(|key| state.remake(&key, &one.digest));
                good.push((one, captions));
                continue;
            }
            keys(work, &one.image_id).for_each(|key| state.refuse(&key));
            ledger.refuse(
                &stage.table,
                fingerprint,
                Reject {
                    origin: origin(work, &one.image_id),
                    image_id: Some(one.image_id.clone()),
                    class: RejectClass::NotFinite,
                    message: "the captioner gave NaN or infinity".to_owned(),
                    digest: Some(one.digest),
                },
            );
        }
        if !good.is_empty() {
            let batch = batch(schema, fingerprint, &good)?;
            ctx.clocks.time(Part::Write, Spend::Busy, || sink.push(&batch))?;
        }
        ctx.options.progress.advance(&stage.table, window.len() as u64);
        Ok(true)
    }
}

/// The rows of captions.
fn batch(
    schema: &SchemaRef,
    fingerprint: &str,
    made: &[(&Wanted, Vec<Generated>)],
) -> Result<RecordBatch> {
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let rows: Vec<(&Wanted, i32, &Generated)> = made
        .iter()
        .flat_map(|(one, captions)| {
            captions.iter().enumerate().map(|(n, caption)| (*one, number(n), caption))
        })
        .collect();
    let scores = Float32Array::from_iter_values(rows.iter().map(|(_, _, made)| made.score));
    rows::batch(
        schema,
        &[
            ("image_id", rows::strings(rows.iter().map(|(one, _, _)| &one.image_id))),
            ("caption_index", rows::int32s(rows.iter().map(|(_, n, _)| *n))),
            ("text", rows::strings(rows.iter().map(|(_, _, made)| &made.text))),
            ("score", Arc::new(scores)),
            ("tokens", rows::int32s(rows.iter().map(|(_, _, made)| number(made.tokens)))),
            ("input_digest", rows::strings(rows.iter().map(|(one, _, _)| one.digest.to_string()))),
            ("fingerprint", rows::strings(rows.iter().map(|_| fingerprint))),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;
    use crate::plan::contract::{Column, ColumnType, Contract};
    use crate::table::{Change, PartLabel, Store};

    fn contract() -> Contract {
        let columns = [
            ("image_id", ColumnType::String),
            ("embedding", ColumnType::ListFloat32),
            ("input_digest", ColumnType::String),
            ("fingerprint", ColumnType::String),
        ];
        Contract {
            name: "features".to_owned(),
            description: String::new(),
            key: vec!["image_id".to_owned()],
            columns: columns.map(Column::plain).into(),
            checks: Vec::new(),
        }
    }

    /// A version of two parts: of images 0 to 2999, more than a batch that is read, and of 3000 to
    /// 3002; each with its number as feature.
    fn features(root: &std::path::Path) -> Snapshot {
        let store = Store::create(root, Arc::new(SystemClock)).unwrap();
        let schema = arrow_schema(&contract());
        let part = |numbers: std::ops::Range<u16>| {
            let names = || numbers.clone().map(|n| format!("{n:04}"));
            let data = numbers.clone().map(f32::from).collect();
            let vectors = crate::flow::Vectors { width: 1, data };
            let columns = [
                ("image_id", rows::strings(names())),
                ("embedding", rows::embeddings(&schema, "embedding", &vectors).unwrap()),
                ("input_digest", rows::strings(names())),
                ("fingerprint", rows::strings(names().map(|_| "f"))),
            ];
            let label = PartLabel::default();
            let mut writer = store.part_writer("features", &contract(), label).unwrap();
            writer.write(&rows::batch(&schema, &columns).unwrap()).unwrap();
            writer.finish().unwrap()
        };
        let add = vec![part(0..3000), part(3000..3003)];
        store.publish("features", &contract(), Change { add, ..Change::default() }).unwrap();
        store.snapshot("features").unwrap().unwrap()
    }

    #[test]
    fn what_needs_captions_is_read_again_in_order_and_never_more_than_a_window() {
        let dir = tempfile::tempdir().unwrap();
        let features = features(dir.path());
        let needed = Needed {
            features: Some(features),
            rows: vec![vec![0, 1023, 1024, 2500, 2999], vec![1, 2]],
        };
        assert_eq!(needed.count(), 7);
        let mut windows = Vec::new();
        let whole = each_window(&needed, 3, &Cancel::new(), &mut |window| {
            for one in window {
                let number: f32 = one.image_id.parse().unwrap();
                assert_eq!(one.feature, [number]);
                assert_eq!(one.digest, digest(&one.image_id, "f"));
            }
            windows.push(window.iter().map(|one| one.image_id.clone()).collect::<Vec<_>>());
            Ok(true)
        });
        assert!(whole.unwrap());
        let ids = [&["0000", "1023", "1024"][..], &["2500", "2999", "3001"], &["3002"]];
        assert_eq!(windows, ids);

        let mut seen = 0;
        let stopped = each_window(&needed, 3, &Cancel::new(), &mut |_| {
            seen += 1;
            Ok(false)
        });
        assert!(!stopped.unwrap());
        assert_eq!(seen, 1);
        let cancel = Cancel::new();
        cancel.cancel();
        let stopped = each_window(&needed, 3, &cancel, &mut |_| {
            seen += 1;
            Ok(true)
        });
        assert!(!stopped.unwrap());
        assert_eq!(seen, 1);
    }
}
