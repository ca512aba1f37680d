//! Features of captions: texts of like length go through the model together, each distinct
//! text once, as far as [`Repeats`] has room. Of the captions that need a vector a run holds the
//! numbers; their texts are read again, window after window.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::base::{Digest, Kind, Result};
use crate::embed::{SAMPLE_ROWS, TextEncoder};
use crate::flow::{Fidelity, Origin, Reject, RejectClass, Vectors};
use crate::plan::stage::EmbedCaptions;
use crate::plan::{Counts, Reason, Stage};
use crate::table::schema::arrow_schema;

use super::clocks::{Part, Spend};
use super::compare;
use super::context::Context;
use super::key::{Columns, Key};
use super::ledger::{Ledger, Prints};
use super::lookout::Sight;
use super::publish::{self, Made};
use super::repeats::{Mark, Repeats};
use super::rows;
use super::sink::Sink;
use super::state::State;
use super::upstream::{self, UpstreamCaption, Which};

/// Columns of tables of caption features.
pub(super) const CAPTION_FEATURES: Columns =
    Columns { has_caption_index: true, digest: "input_digest", place: &[] };

/// Captions that are looked at together; within so many, texts are sorted by length.
const WINDOW: usize = 4096;

/// A caption on its way to a vector.
#[derive(Debug)]
struct Wanted {
    image_id: String,
    caption_index: i32,
    digest: Digest,
    text: String,
}

impl Wanted {
    fn of(row: &UpstreamCaption<'_>) -> Self {
        Self {
            image_id: row.image_id.to_owned(),
            caption_index: row.caption_index,
            digest: Digest::of(row.text.as_bytes()),
            text: row.text.to_string(),
        }
    }

    fn key(&self) -> Key<'_> {
        Key::caption(&self.image_id, self.caption_index)
    }
}

/// Embeds the captions that need it and publishes their table.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &EmbedCaptions,
) -> Result<()> {
    let (mut wanted, mut marks) = (Vec::new(), Vec::new());
    let (state, counts) = survey(ctx, ledger, stage, work, &mut |row, _| {
        wanted.push(row.number);
        marks.push(Mark::of(&row.text));
    })?;
    state.clean(&ctx.store, stage)?;
    let mut sink = ctx.sink(stage);
    let mut complete = true;
    if !wanted.is_empty() {
        let progress = std::sync::Arc::clone(&ctx.options.progress);
        progress.begin(&stage.table, Some(wanted.len() as u64));
        let out = load(ctx, stage, work).and_then(|encoder| {
            sink.know(compare(ctx, work, &encoder, &wanted)?);
            let job = Job { ctx, stage, work, state: &state, encoder: &encoder };
            let repeats = Repeats::among(marks);
            let complete = job.embed(ledger, (&wanted, repeats), &mut sink)?;
            ctx.report.note_smaller(&stage.table, encoder.rows_at_once());
            Ok(complete)
        });
        progress.end(&stage.table);
        complete = out?;
    }
    if complete {
        ledger.complete(&stage.table);
    }
    let made = Made {
        parts: sink.finish()?,
        columns: CAPTION_FEATURES,
        without: &BTreeSet::new(),
        complete,
        counts,
        moved: &BTreeMap::new(),
    };
    publish::publish(ctx, ledger, stage, &state, made)?;
    Ok(())
}

/// A caption that needs a vector.
#[derive(Debug)]
pub(super) struct Wish<'k> {
    /// Its place among the rows of the table of captions.
    pub number: u64,
    pub key: Key<'k>,
    /// The digest of its text.
    pub text: Digest,
}

/// Judges every row; tells `wanted` which need a vector, in order.
pub(super) fn survey(
    ctx: &Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &EmbedCaptions,
    wanted: &mut dyn FnMut(&Wish<'_>, &State),
) -> Result<(State, Counts)> {
    let state = State::load(&ctx.store, stage, CAPTION_FEATURES)?;
    let state = state.with_units(ctx.handed_out.as_deref());
    let mut counts = Counts::default();
    let before = ledger.before();
    let prints = Prints::plain(&stage.fingerprint.digest().to_string());
    let mut any = false;
    upstream::all_captions(ctx, (&work.captions, &work.column), &mut |rows| {
        let judged = state.judge_all(rows, UpstreamCaption::key, |row, key| {
            let digest = Digest::of(row.text.as_bytes());
            let reason = match before.refused(&stage.table, &digest, &prints) {
                Some(_) => Reason::RejectedEarlier,
                None => state.judge(&key, &digest, 0),
            };
            // One that is computed may yet be refused, and its old row stays until then.
            if !reason.computes() {
                state.settle(&key, reason);
            }
            (digest, reason)
        });
        for (row, (digest, reason)) in rows.iter().zip(judged) {
            ctx.watch(row.image_id, || {
                Sight::new(stage, row.key(), reason, &state).of(digest).at(&row.origin())
            });
            if reason == Reason::UpToDate {
                counts.add(reason);
                continue;
            }
            let key = row.key();
            counts.add(state.booked(reason, &key, &digest));
            if reason == Reason::RejectedEarlier {
                let origin = origin(work, &key);
                ledger.carry_at(&stage.table, &prints, &digest, origin, row.image_id);
            } else if reason.computes() {
                any = true;
                wanted(&Wish { number: row.number, key, text: digest }, &state);
            }
        }
        Ok(())
    })?;
    if any {
        ctx.trust(&work.captions)?;
    }
    Ok((state, counts))
}

/// Where a caption without features is filed: under its row. The place in its file would not do,
/// since rows keep the one at which they were written.
fn origin(work: &EmbedCaptions, key: &Key<'_>) -> Origin {
    let number = key.caption_index.unwrap_or(0);
    let member = format!("{}#{number}", key.image_id).into();
    Origin { source: work.captions.as_str().into(), member, offset: 0 }
}

/// Loads the stage's model.
///
/// # Errors
/// When its files or the device are not as they were asked for.
pub(super) fn load(ctx: &Context<'_>, stage: &Stage, work: &EmbedCaptions) -> Result<TextEncoder> {
    let encoder = TextEncoder::load(&work.model)?;
    let on = (encoder.device(), encoder.batch_rows(work.batch_rows));
    ctx.options.tell_model(&stage.table, &work.model, on);
    Ok(encoder)
}

/// How near the features of the first of these captions, by their number, are to those in f32.
///
/// # Errors
/// When the model cannot be loaded in f32, or fails.
pub(super) fn compare(
    ctx: &Context<'_>,
    work: &EmbedCaptions,
    encoder: &TextEncoder,
    wanted: &[u64],
) -> Result<Option<Fidelity>> {
    if !compare::is_reduced(&work.model) {
        return Ok(None);
    }
    let (mut seen, mut texts) = (BTreeSet::new(), Vec::new());
    let from = (work.captions.as_str(), work.column.as_str());
    upstream::each_caption(ctx, from, Which::Numbers(wanted), &mut |row| {
        if seen.insert(row.text.to_string()) {
            texts.push(row.text.to_string());
        }
        let enough = texts.len() >= SAMPLE_ROWS;
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let texts = texts.iter().map(String::as_str);
    ctx.clocks.time(Part::Encode, Spend::Busy, || {
        compare::texts(&work.model, work.batch_rows, encoder, texts, &ctx.options.cancel)
    })
}

/// What is at hand while captions are embedded.
pub(super) struct Job<'a, 'c> {
    pub ctx: &'a Context<'c>,
    pub stage: &'a Stage,
    pub work: &'a EmbedCaptions,
    pub state: &'a State,
    pub encoder: &'a TextEncoder,
}

impl Job<'_, '_> {
    /// Embeds the captions of these numbers, among which texts come again; true if all were
    /// embedded.
    ///
    /// # Errors
    /// When the model fails or a part cannot be written.
    pub(super) fn embed(
        &self,
        ledger: &mut Ledger,
        (wanted, repeats): (&[u64], Repeats),
        sink: &mut Sink,
    ) -> Result<bool> {
        let Self { ctx, stage, work, state, encoder } = *self;
        let mut embedding = Embedding { ctx, ledger, stage, work, state, encoder, repeats, sink };
        // A window is a part, so that parts hold neighbouring keys.
        let part_rows = usize::try_from(ctx.plan.parts.rows).unwrap_or(WINDOW);
        let window_rows = part_rows.clamp(1, WINDOW);
        let mut window = Vec::with_capacity(window_rows.min(wanted.len()));
        let mut whole = true;
        let from = (work.captions.as_str(), work.column.as_str());
        let read = upstream::each_caption(ctx, from, Which::Numbers(wanted), &mut |row| {
            window.push(Wanted::of(row));
            if window.len() >= window_rows {
                whole = embedding.window(&window)?;
                window.clear();
            }
            Ok(if whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        });
        match read {
            // What is in the sink is kept.
            Err(error) if error.kind() == Kind::Interrupted => return Ok(false),
            other => other?,
        }
        if whole && !window.is_empty() {
            whole = embedding.window(&window)?;
        }
        Ok(whole)
    }
}

/// Captions on their way through the model.
struct Embedding<'a, 'c> {
    ctx: &'a Context<'c>,
    ledger: &'a mut Ledger,
    stage: &'a Stage,
    work: &'a EmbedCaptions,
    state: &'a State,
    encoder: &'a TextEncoder,
    repeats: Repeats,
    sink: &'a mut Sink,
}

impl Embedding<'_, '_> {
    /// Embeds a window, each distinct text once, batch after batch; false when it was stopped.
    fn window(&mut self, window: &[Wanted]) -> Result<bool> {
        let mut captions: BTreeMap<(&str, Digest), Vec<&Wanted>> = BTreeMap::new();
        for one in window {
            captions.entry((&one.text, one.digest)).or_default().push(one);
        }
        let (mut fresh, mut known) = (Vec::new(), Vec::new());
        for ((text, digest), of) in captions {
            match self.repeats.take(&digest) {
                Some(vector) => known.push((of, vector)),
                None => fresh.push((text, of)),
            }
        }
        if !known.is_empty() {
            let known = known.iter().map(|(of, row)| (of.as_slice(), row.as_slice()));
            self.keep(&known.collect::<Vec<_>>())?;
        }
        let texts: Vec<&str> = fresh.iter().map(|(text, _)| *text).collect();
        let clocks = &self.ctx.clocks;
        let ids = clocks.time(Part::Encode, Spend::Busy, || self.encoder.token_ids(&texts))?;
        // Shortest first: a batch is as long as its longest text.
        let mut fresh: Vec<_> = ids.into_iter().zip(fresh.into_iter().map(|(_, of)| of)).collect();
        fresh.sort_by_key(|(ids, _)| ids.len());
        let (ids, of): (Vec<_>, Vec<_>) = fresh.into_iter().unzip();
        let rows = self.encoder.batch_rows(self.work.batch_rows);
        for (ids, of) in ids.chunks(rows).zip(of.chunks(rows)) {
            if self.ctx.options.cancel.is_cancelled() {
                return Ok(false);
            }
            let clocks = &self.ctx.clocks;
            let mut made =
                clocks.time(Part::Encode, Spend::Busy, || self.encoder.encode_ids(ids))?;
            tracing::debug!(table = %self.stage.table, texts = ids.len(), "through the model");
            if let Some(rows) = self.encoder.shrunk() {
                self.ctx.options.tell_smaller(&self.stage.table, rows);
            }
            if self.work.normalize {
                made.normalise();
            }
            self.keep(&of.iter().map(Vec::as_slice).zip(made.iter()).collect::<Vec<_>>())?;
        }
        Ok(true)
    }

    /// Hands the rows of texts, of each its captions and its vector, to the writer.
    fn keep(&mut self, texts: &[(&[&Wanted], &[f32])]) -> Result<()> {
        for (of, vector) in texts {
            if let Some(one) = of.first() {
                self.repeats.done(one.digest, of.len(), vector);
            }
        }
        let rows = texts.iter().flat_map(|(of, row)| of.iter().map(|one| (*one, *row)));
        let rows: Vec<_> = rows.collect();
        let table = &self.stage.table;
        tracing::debug!(%table, rows = rows.len(), "computed");
        let fingerprint = self.stage.fingerprint.digest().to_string();
        let mut good = Vec::new();
        let mut kept = Vectors { width: self.encoder.width(), data: Vec::new() };
        for (one, vector) in &rows {
            if vector.iter().all(|x| x.is_finite()) {
                self.state.replace(&one.key());
                kept.data.extend_from_slice(vector);
                good.push(*one);
                continue;
            }
            self.state.refuse(&one.key());
            self.ledger.refuse(
                table,
                &fingerprint,
                Reject {
                    origin: origin(self.work, &one.key()),
                    image_id: Some(one.image_id.clone()),
                    class: RejectClass::NotFinite,
                    message: format!("model `{}` gave NaN or infinity", self.work.model.name),
                    digest: Some(one.digest),
                },
            );
        }
        if !good.is_empty() {
            let schema = arrow_schema(&self.stage.contract);
            let batch = batch(&schema, &fingerprint, &good, &kept)?;
            self.ctx.clocks.time(Part::Write, Spend::Busy, || self.sink.push(&batch))?;
        }
        self.ctx.options.progress.advance(table, rows.len() as u64);
        Ok(())
    }
}

/// The rows of captions and their vectors.
fn batch(
    schema: &SchemaRef,
    fingerprint: &str,
    of: &[&Wanted],
    vectors: &Vectors,
) -> Result<RecordBatch> {
    rows::batch(
        schema,
        &[
            ("image_id", rows::strings(of.iter().map(|w| &w.image_id))),
            ("caption_index", rows::int32s(of.iter().map(|w| w.caption_index))),
            ("embedding", rows::embeddings(schema, "embedding", vectors)?),
            ("input_digest", rows::strings(of.iter().map(|w| w.digest.to_string()))),
            ("fingerprint", rows::strings(of.iter().map(|_| fingerprint))),
        ],
    )
}
