//! Features of captions: texts of like length go through the model together, each distinct
//! text once.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use crate::base::{Digest, Result};
use crate::embed::TextEncoder;
use crate::flow::{Origin, Reject, RejectClass, Vectors};
use crate::plan::stage::EmbedCaptions;
use crate::plan::{Counts, Reason, Stage};
use crate::table::schema::arrow_schema;

use super::clocks::{Part, Spend};
use super::context::Context;
use super::ledger::Ledger;
use super::publish::{self, Made};
use super::rows;
use super::sink::Sink;
use super::state::{Columns, Key, State};

/// Columns of tables of caption features.
pub(super) const CAPTION_FEATURES: Columns =
    Columns { has_caption_index: true, digest: "input_digest", place: &[] };

/// Captions that are looked at together; within so many, texts are sorted by length.
const WINDOW: usize = 4096;

/// A caption that needs a vector.
struct Wanted {
    key: Key,
    digest: Digest,
    text: String,
    origin: Origin,
}

/// Embeds the captions that need it and publishes their table.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &EmbedCaptions,
) -> Result<()> {
    let state = State::load(&ctx.store, stage, CAPTION_FEATURES)?;
    let mut counts = Counts::default();
    let wanted = select(ctx, ledger, stage, work, &state, &mut counts)?;
    let fingerprint = stage.fingerprint.digest().to_string();
    let mut sink = Sink::new(&ctx.store, &stage.table, &stage.contract, &fingerprint);
    let mut complete = true;
    if !wanted.is_empty() {
        let progress = std::sync::Arc::clone(&ctx.options.progress);
        progress.begin(&stage.table, Some(wanted.len() as u64));
        let out = embed(ctx, ledger, stage, work, &state, &wanted, &mut sink);
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

/// Which captions need a vector.
fn select(
    ctx: &Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &EmbedCaptions,
    state: &State,
    counts: &mut Counts,
) -> Result<Vec<Wanted>> {
    let mut wanted = Vec::new();
    let before = ledger.before();
    let fingerprint = stage.fingerprint.digest().to_string();
    let Some(snapshot) = ctx.store.snapshot(&work.captions)? else { return Ok(wanted) };
    let columns = ["image_id", "caption_index", work.column.as_str(), "source", "member", "offset"];
    for part in snapshot.parts() {
        for batch in snapshot.scan_part(part, &columns)? {
            let batch = batch?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            let indices = rows::column::<arrow::array::Int32Array>(&batch, "caption_index")?;
            let texts = rows::column::<StringArray>(&batch, &work.column)?;
            let sources = rows::column::<StringArray>(&batch, "source")?;
            let members = rows::column::<StringArray>(&batch, "member")?;
            let offsets = rows::column::<arrow::array::Int64Array>(&batch, "offset")?;
            for at in 0..batch.num_rows() {
                let key = Key::caption(ids.value(at), indices.value(at));
                let text = if texts.is_valid(at) { texts.value(at) } else { "" };
                let digest = Digest::of(text.as_bytes());
                let reason = match before.refused(&stage.table, &digest, &fingerprint) {
                    Some(_) => Reason::RejectedEarlier,
                    None => state.judge(&key, &digest),
                };
                counts.add(reason);
                let origin = || Origin {
                    source: sources.value(at).to_owned(),
                    member: members.value(at).to_owned(),
                    offset: u64::try_from(offsets.value(at)).unwrap_or(0),
                };
                match reason {
                    Reason::UpToDate => state.keep(&key),
                    Reason::Resumed => state.take_resumed(&key),
                    Reason::RejectedEarlier => {
                        state.replace(&key);
                        ledger.carry_at(
                            &stage.table,
                            &fingerprint,
                            &digest,
                            origin(),
                            &key.image_id,
                        );
                    }
                    _ => {
                        let text = text.to_owned();
                        wanted.push(Wanted { key, digest, text, origin: origin() });
                    }
                }
            }
        }
    }
    Ok(wanted)
}

/// True if all were embedded.
fn embed(
    ctx: &Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &EmbedCaptions,
    state: &State,
    wanted: &[Wanted],
    sink: &mut Sink,
) -> Result<bool> {
    let encoder = TextEncoder::load(&work.model)?;
    ctx.options.progress.note(&format!(
        "{}: model `{}` on {}",
        stage.table,
        work.model.name,
        encoder.device()
    ));
    let schema = arrow_schema(&stage.contract);
    let fingerprint = stage.fingerprint.digest().to_string();
    for window in wanted.chunks(WINDOW) {
        if ctx.options.cancel.is_cancelled() {
            return Ok(false);
        }
        let vectors = window_vectors(ctx, stage, work, &encoder, window)?;
        let mut stopped = false;
        let mut good = Vec::new();
        let mut kept = Vectors { width: encoder.width(), data: Vec::new() };
        for one in window {
            let Some(vector) = vectors.get(one.text.as_str()) else {
                stopped = true;
                continue;
            };
            state.replace(&one.key);
            if vector.iter().all(|x| x.is_finite()) {
                kept.data.extend_from_slice(vector);
                good.push(one);
                continue;
            }
            ledger.refuse(
                &stage.table,
                &fingerprint,
                Reject {
                    origin: one.origin.clone(),
                    image_id: Some(one.key.image_id.to_string()),
                    class: RejectClass::NotFinite,
                    message: format!("model `{}` gave NaN or infinity", work.model.name),
                    digest: Some(one.digest),
                },
            );
        }
        if !good.is_empty() {
            let batch = batch(&schema, &fingerprint, &good, &kept)?;
            ctx.clocks.time(Part::Write, Spend::Busy, || sink.push(&batch))?;
        }
        if stopped {
            return Ok(false);
        }
    }
    Ok(true)
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
            ("image_id", rows::strings(of.iter().map(|w| &w.key.image_id))),
            ("caption_index", rows::int32s(of.iter().map(|w| w.key.caption_index.unwrap_or(0)))),
            ("embedding", rows::embeddings(schema, "embedding", vectors)?),
            ("input_digest", rows::strings(of.iter().map(|w| w.digest.to_string()))),
            ("fingerprint", rows::strings(of.iter().map(|_| fingerprint))),
        ],
    )
}

/// The vector of each text of a window; of some only, when it was stopped.
fn window_vectors<'a>(
    ctx: &Context<'_>,
    stage: &Stage,
    work: &EmbedCaptions,
    encoder: &TextEncoder,
    window: &'a [Wanted],
) -> Result<BTreeMap<&'a str, Vec<f32>>> {
    // Distinct texts, shortest first: a batch is as long as its longest text.
    let mut captions: BTreeMap<&str, u64> = BTreeMap::new();
    for one in window {
        *captions.entry(&one.text).or_default() += 1;
    }
    let mut texts: Vec<_> =
        captions.keys().map(|text| (encoder.token_count(text), *text)).collect();
    texts.sort_unstable();
    let mut vectors = BTreeMap::new();
    for batch in texts.chunks(work.batch_rows.max(1)) {
        if ctx.options.cancel.is_cancelled() {
            break;
        }
        let batch: Vec<&str> = batch.iter().map(|(_, text)| *text).collect();
        let mut made = ctx.clocks.time(Part::Encode, Spend::Busy, || encoder.encode(&batch))?;
        if work.normalize {
            made.normalise();
        }
        for (text, row) in batch.iter().zip(made.iter()) {
            vectors.insert(*text, row.to_vec());
        }
        let done = batch.iter().filter_map(|text| captions.get(text)).sum();
        ctx.options.progress.advance(&stage.table, done);
    }
    Ok(vectors)
}
