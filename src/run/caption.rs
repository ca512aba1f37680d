//! Captions that the best checkpoint makes of images: each row once, until its image's feature,
//! the checkpoint or a setting is another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Float32Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use crate::base::digest::Digester;
use crate::base::progress::Silent;
use crate::base::{Digest, Kind, Result};
use crate::caption::{self, EarlyStopping, Generated, Settings};
use crate::flow::{Origin, Reject, RejectClass, Split};
use crate::plan::captioner::{Caption, Strategy};
use crate::plan::{Counts, Reason, Stage};
use crate::table::schema::arrow_schema;
use crate::train::captioner;
use crate::train::checkpoint::Checkpoint;

use super::checkpoints;
use super::clocks::{Part, Spend};
use super::context::Context;
use super::key::{Columns, Key};
use super::ledger::{Ledger, Prints};
use super::lookout::Sight;
use super::publish::{self, Made};
use super::rows;
use super::sink::Sink;
use super::state::State;

/// Columns of tables of made captions.
pub(super) const GENERATED: Columns =
    Columns { has_caption_index: true, digest: "input_digest", place: &[] };

/// Batches after which captions go to the table.
const WINDOW_BATCHES: usize = 8;

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
    let stage = &made_by(stage, &kept.digest);
    let (state, counts, wanted) = survey(ctx, ledger, stage, work)?;
    state.clean(&ctx.store, stage)?;
    let mut sink = ctx.sink(stage);
    let mut complete = true;
    if !wanted.is_empty() {
        ctx.trust(&work.image_features)?;
        let progress = Arc::clone(&ctx.options.progress);
        progress.begin(&stage.table, Some(wanted.len() as u64));
        let out = caption(ctx, ledger, stage, work, &checkpoint, &state, &wanted, &mut sink);
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

/// The stage, with the checkpoint among what changes its rows.
pub(super) fn made_by(stage: &Stage, checkpoint: &Digest) -> Stage {
    let mut stage = stage.clone();
    stage.fingerprint = stage.fingerprint.with("weights", checkpoint);
    stage
}

/// Judges every row; gives the images that need captions.
fn survey(
    ctx: &Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &Caption,
) -> Result<(State, Counts, Vec<Wanted>)> {
    let mut judge = Judge::new(ctx, stage, work)?;
    let mut wanted = Vec::new();
    let Some(features) = ctx.store.snapshot(&work.image_features)? else {
        return Ok((judge.state, judge.counts, wanted));
    };
    let columns = ["image_id", "embedding", "input_digest", "fingerprint"];
    for part in features.parts() {
        for batch in features.scan_part(part, &columns)? {
            let batch = batch?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            let inputs = rows::column::<StringArray>(&batch, "input_digest")?;
            let made_by = rows::column::<StringArray>(&batch, "fingerprint")?;
            let vectors = rows::column::<arrow::array::ListArray>(&batch, "embedding")?;
            for at in 0..batch.num_rows() {
                let id = ids.value(at);
                let digest = digest(inputs.value(at), made_by.value(at));
                if judge.needs(ctx, ledger, id, digest) {
                    let vector = vectors.value(at);
                    let vector = vector.as_any().downcast_ref::<Float32Array>();
                    let feature = vector.map(|v| v.values().to_vec()).unwrap_or_default();
                    wanted.push(Wanted { image_id: id.to_owned(), feature, digest });
                }
            }
        }
    }
    Ok((judge.state, judge.counts, wanted))
}

/// As [`survey`], of the features that there will be once the run that is planned is over: what
/// would be computed counts as replaced.
pub(super) fn judged(
    ctx: &Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &Caption,
) -> Result<(State, Counts)> {
    let mut judge = Judge::new(ctx, stage, work)?;
    let world = ctx.foresight.as_ref();
    if let Some(features) = world.and_then(|world| world.features.get(&work.image_features)) {
        for (id, input) in &features.rows {
            let input = input.map(|input| input.to_string()).unwrap_or_default();
            judge.needs(ctx, ledger, id, digest(&input, &features.fingerprint));
        }
    }
    ledger.complete(&stage.table);
    Ok((judge.state, judge.counts))
}

/// What the captions of an image depend on beside the stage: its content, and what made its feature.
fn digest(input: &str, features: &str) -> Digest {
    Digester::new().field("image", input.as_bytes()).field("features", features.as_bytes()).finish()
}

/// Which images need captions.
struct Judge<'a> {
    stage: &'a Stage,
    work: &'a Caption,
    state: State,
    counts: Counts,
    prints: Prints,
    /// The images of the part of the data that is captioned; none where all are.
    captioned: Option<BTreeSet<String>>,
}

impl<'a> Judge<'a> {
    fn new(ctx: &Context<'_>, stage: &'a Stage, work: &'a Caption) -> Result<Self> {
        Ok(Self {
            stage,
            work,
            state: State::load(&ctx.store, stage, GENERATED)?,
            counts: Counts::default(),
            prints: Prints::plain(&stage.fingerprint.digest().to_string()),
            captioned: of_split(ctx, work)?,
        })
    }

    /// Counts the captions of an image, and says whether they are to be made.
    fn needs(&mut self, ctx: &Context<'_>, ledger: &mut Ledger, id: &str, digest: Digest) -> bool {
        let Self { stage, work, state, counts, .. } = self;
        if self.captioned.as_ref().is_some_and(|known| !known.contains(id)) {
            return false;
        }
        let keys = || {
            (0..work.strategy.captions())
                .map(move |n| Key::caption(id, i32::try_from(n).unwrap_or(i32::MAX)))
        };
        if ledger.before().refused(&stage.table, &digest, &self.prints).is_some() {
            counts.add(Reason::RejectedEarlier);
            keys().for_each(|key| state.replace(&key));
            ctx.watch(id, || {
                Sight::new(stage, Key::caption(id, 0), Reason::RejectedEarlier, state)
                    .of(digest)
                    .at(&origin(work, id))
            });
            ledger.carry_at(&stage.table, &self.prints, &digest, origin(work, id), id);
            return false;
        }
        let reasons: Vec<_> = keys().map(|key| (key, state.judge(&key, &digest, 0))).collect();
        if reasons.iter().any(|(_, reason)| reason.computes()) {
            // All captions of an image are made together.
            for (key, reason) in &reasons {
                let reason = if reason.computes() { *reason } else { Reason::New };
                counts.add(reason);
                state.replace(key);
                ctx.watch(id, || Sight::new(stage, *key, reason, state).of(digest));
            }
            return true;
        }
        for (key, reason) in &reasons {
            counts.add(*reason);
            ctx.watch(id, || Sight::new(stage, *key, *reason, state).of(digest));
            match reason {
                Reason::Resumed => state.take_resumed(key),
                _ => state.keep(key),
            }
        }
        false
    }
}

fn origin(work: &Caption, image_id: &str) -> Origin {
    Origin { source: work.image_features.as_str().into(), member: image_id.into(), offset: 0 }
}

/// The images of the part of the data that is captioned; none where all are.
fn of_split(ctx: &Context<'_>, work: &Caption) -> Result<Option<BTreeSet<String>>> {
    let Some((split, captions)) = &work.split else { return Ok(None) };
    let foreseen = ctx.foresight.as_ref().and_then(|world| world.captions.get(captions));
    if let Some(foreseen) = foreseen {
        let of_split = foreseen.rows.iter().filter(|row| row.split == Some(*split));
        return Ok(Some(of_split.map(|row| row.caption.image_id.clone()).collect()));
    }
    let mut images = BTreeSet::new();
    let Some(snapshot) = ctx.store.snapshot(captions)? else { return Ok(Some(images)) };
    for batch in snapshot.scan(&["image_id", "split"])? {
        let (_, batch) = batch?;
        let ids = rows::column::<StringArray>(&batch, "image_id")?;
        let splits = rows::column::<StringArray>(&batch, "split")?;
        for (id, name) in ids.iter().zip(splits) {
            let of = name.and_then(|name| name.parse::<Split>().ok());
            if let (Some(id), true) = (id, of == Some(*split)) {
                images.insert(id.to_owned());
            }
        }
    }
    Ok(Some(images))
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
    Settings { strategy, max_tokens, ends, batch_size: batch_rows.max(1) }
}

/// True if all were captioned.
#[expect(clippy::too_many_arguments, reason = "what a stage has at hand, and what it judged")]
fn caption(
    ctx: &Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &Caption,
    checkpoint: &Checkpoint,
    state: &State,
    wanted: &[Wanted],
    sink: &mut Sink,
) -> Result<bool> {
    let ready = captioner::open(checkpoint, &work.model)?;
    ctx.options.progress.note(&format!(
        "{}: checkpoint of step {} on {}",
        stage.table, checkpoint.state.step, ready.device
    ));
    let settings = settings(&work.strategy, work.max_tokens, work.batch_rows, checkpoint);
    let schema = arrow_schema(&stage.contract);
    let fingerprint = stage.fingerprint.digest().to_string();
    for window in wanted.chunks(settings.batch_size.saturating_mul(WINDOW_BATCHES)) {
        let features: Vec<&[f32]> = window.iter().map(|one| one.feature.as_slice()).collect();
        let cancel = &ctx.options.cancel;
        let made = ctx.clocks.time(Part::Encode, Spend::Busy, || {
            caption::generate(&ready.captioner, &ready.codec, &features, &settings, cancel, &Silent)
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
                good.push((one, captions));
                continue;
            }
            let keys = 0..work.strategy.captions();
            for n in keys.filter_map(|n| i32::try_from(n).ok()) {
                state.replace(&Key::caption(&one.image_id, n));
            }
            ledger.refuse(
                &stage.table,
                &fingerprint,
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
            let batch = batch(&schema, &fingerprint, &good)?;
            ctx.clocks.time(Part::Write, Spend::Busy, || sink.push(&batch))?;
        }
        ctx.options.progress.advance(&stage.table, window.len() as u64);
    }
    Ok(true)
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
