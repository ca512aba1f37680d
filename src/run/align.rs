//! Examples: each caption beside the features of its image. Some parts of the features are joined
//! at a time, with the captions of their images: those of some thousand images, or of a sixteenth of
//! a table of more than 65,536.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use arrow::array::{ListArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;

use crate::base::digest::Digester;
use crate::base::{Digest, Error, Kind, Result};
use crate::flow::Split;
use crate::plan::stage::Align;
use crate::plan::{Counts, Reason, Stage};
use crate::table::schema::arrow_schema;
use crate::table::{Part as TablePart, Snapshot};

use super::clocks::{Part, Spend};
use super::context::Context;
use super::key::{Columns, Key, stored_digest};
use super::ledger::Ledger;
use super::lookout::Sight;
use super::publish::{self, Made};
use super::rows;
use super::state::State;
use super::upstream::{self, Which};

/// Columns of tables of examples.
pub(super) const EXAMPLES: Columns =
    Columns { has_caption_index: true, digest: "input_digest", place: &[] };

/// Images whose captions are held together, at least where there are so many.
const IMAGES_AT_ONCE: u64 = 4096;
/// Captions that lie in another order than the images are read about so many times at most.
const MOST_PASSES: u64 = 16;

/// A caption that waits for its image.
struct Waiting {
    caption_index: i32,
    split: Option<Split>,
    digest: Digest,
    /// Empty while planning.
    text: Box<str>,
}

/// By image; none where its captions are not wanted, or joined.
type ByImage = BTreeMap<String, Vec<Waiting>>;

/// Joins captions and features, and publishes the table.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &Align,
) -> Result<()> {
    let state = State::load(&ctx.store, stage, EXAMPLES)?;
    state.clean(&ctx.store, stage)?;
    let fingerprint = stage.fingerprint.digest().to_string();
    let schema = arrow_schema(&stage.contract);
    let mut sink = ctx.sink(stage);
    let total = ctx.store.snapshot(&work.captions)?.map_or(0, |captions| captions.rows());
    let mut counts = Counts::default();
    let progress = std::sync::Arc::clone(&ctx.options.progress);
    progress.begin(&stage.table, Some(total));
    if let Some(features) = ctx.store.snapshot(&work.image_features)? {
        let columns = ["image_id", "embedding", "input_digest", "fingerprint"];
        for parts in groups(&features) {
            let mut captions = ids(ctx, &features, parts)?;
            read_captions(ctx, work, &mut captions)?;
            for part in parts {
                for batch in features.scan_part(part, &columns)? {
                    ctx.options.cancel.check()?;
                    let batch = batch?;
                    let made =
                        join(&schema, &fingerprint, &batch, &mut captions, &state, &mut counts)?;
                    let rows = made.as_ref().map_or(0, |batch| batch.num_rows() as u64);
                    progress.advance(&stage.table, rows);
                    if let Some(made) = made {
                        ctx.trust(&work.captions)?;
                        ctx.trust_parts(&features, [part], &ctx.options.cancel)?;
                        ctx.clocks.time(Part::Write, Spend::Busy, || sink.push(&made))?;
                    }
                }
            }
        }
    }
    progress.end(&stage.table);
    let left = total.saturating_sub(counts.iter().map(|(_, rows)| rows).sum());
    if left > 0 {
        ctx.report.notes.push(format!(
            "{}: {} captions have no features in `{}`, and make no example",
            stage.table,
            crate::base::units::count(left),
            work.image_features
        ));
    }
    let made = Made {
        parts: sink.finish()?,
        columns: EXAMPLES,
        without: &BTreeSet::new(),
        complete: true,
        counts,
        moved: &BTreeMap::new(),
    };
    publish::publish(ctx, ledger, stage, &state, made)?;
    Ok(())
}

/// Judges every row without joining it.
pub(super) fn survey(
    ctx: &Context<'_>,
    stage: &Stage,
    work: &Align,
    state: &State,
) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut captions = all_captions(ctx, work)?;
    let features = ctx.foresight.as_ref().and_then(|f| f.features.get(&work.image_features));
    let Some(features) = features else { return Ok(counts) };
    for (id, input) in &features.rows {
        let input = input.map(|digest| digest.to_string()).unwrap_or_default();
        for one in captions.remove(id).into_iter().flatten() {
            let judged = Judged::of(id, &one, &input, &features.fingerprint, state);
            counts.add(judged.reason);
            judged.settle(id, &one, state);
            let key = Key::caption(id, one.caption_index);
            ctx.watch(id, || Sight::new(stage, key, judged.reason, state).of(judged.digest));
        }
    }
    Ok(counts)
}

/// Parts of the features that are joined together.
fn groups(features: &Snapshot) -> Vec<&[TablePart]> {
    let at_once = (features.rows() / MOST_PASSES).max(IMAGES_AT_ONCE);
    let (mut groups, mut left) = (Vec::new(), features.parts());
    while !left.is_empty() {
        let mut rows = 0;
        let whole = left.iter().take_while(|part| {
            rows = part.rows.saturating_add(rows);
            rows <= at_once
        });
        let (group, rest) = left.split_at(whole.count().max(1));
        groups.push(group);
        left = rest;
    }
    groups
}

/// The images of some parts of the features, without their captions.
fn ids(ctx: &Context<'_>, features: &Snapshot, parts: &[TablePart]) -> Result<ByImage> {
    let mut by_image = ByImage::new();
    for part in parts {
        for batch in features.scan_part(part, &["image_id"])? {
            ctx.options.cancel.check()?;
            let batch = batch?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            by_image.extend(ids.iter().flatten().map(|id| (id.to_owned(), Vec::new())));
        }
    }
    Ok(by_image)
}

/// Adds the captions of images that are there.
fn read_captions(ctx: &Context<'_>, work: &Align, by_image: &mut ByImage) -> Result<()> {
    let first = by_image.first_key_value().map(|(id, _)| id.clone());
    let last = by_image.last_key_value().map(|(id, _)| id.clone());
    let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
    let from = (work.captions.as_str(), work.column.as_str());
    upstream::each_caption(ctx, from, Which::Images(&first, &last), &mut |row| {
        if let Some(of) = by_image.get_mut(row.image_id) {
            let split = row.split.map(str::parse).transpose();
            of.push(Waiting {
                caption_index: row.caption_index,
                split: split.map_err(|what: String| {
                    Error::new(Kind::Store, format!("a split of `{}`: {what}", row.image_id))
                        .at(format!("table {}", work.captions))
                        .help("another program wrote it; `clipmill restore` brings an earlier version back")
                })?,
                digest: stored_digest(row.digest)?,
                text: row.text.into(),
            });
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// All captions, without their texts.
fn all_captions(ctx: &Context<'_>, work: &Align) -> Result<ByImage> {
    let mut by_image = ByImage::new();
    let from = (work.captions.as_str(), work.column.as_str());
    upstream::each_caption(ctx, from, Which::All, &mut |row| {
        let waiting = Waiting {
            caption_index: row.caption_index,
            split: None,
            digest: stored_digest(row.digest)?,
            text: Box::default(),
        };
        match by_image.get_mut(row.image_id) {
            Some(of) => of.push(waiting),
            None => {
                by_image.insert(row.image_id.to_owned(), vec![waiting]);
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(by_image)
}

/// What has to happen to an example, and the digest of what it is made from.
struct Judged {
    reason: Reason,
    digest: Digest,
}

impl Judged {
    fn of(id: &str, one: &Waiting, image: &str, features: &str, state: &State) -> Self {
        let digest = Digester::new()
            .field("caption", one.digest.to_string().as_bytes())
            .field("image", image.as_bytes())
            .field("features", features.as_bytes())
            .finish();
        let reason = state.judge(&Key::caption(id, one.caption_index), &digest, 0);
        Self { reason, digest }
    }

    /// Marks the stored row; true if a new one is to be made.
    fn settle(&self, id: &str, one: &Waiting, state: &State) -> bool {
        let key = Key::caption(id, one.caption_index);
        match self.reason {
            Reason::UpToDate => state.keep(&key),
            Reason::Resumed => state.take_resumed(&key),
            _ => state.replace(&key),
        }
        !matches!(self.reason, Reason::UpToDate | Reason::Resumed)
    }
}

/// The examples of a batch of features that have to be made.
fn join(
    schema: &SchemaRef,
    fingerprint: &str,
    features: &RecordBatch,
    captions: &mut ByImage,
    state: &State,
    counts: &mut Counts,
) -> Result<Option<RecordBatch>> {
    let ids = rows::column::<StringArray>(features, "image_id")?;
    let inputs = rows::column::<StringArray>(features, "input_digest")?;
    let made_by = rows::column::<StringArray>(features, "fingerprint")?;
    let embeddings = rows::column::<ListArray>(features, "embedding")?;
    let mut from = Vec::new();
    let mut made: Vec<(&str, Waiting, Digest)> = Vec::new();
    for at in 0..features.num_rows() {
        let id = ids.value(at);
        let Some(mut waiting) = captions.remove(id) else { continue };
        waiting.sort_by_key(|w| w.caption_index);
        for one in waiting {
            let judged = Judged::of(id, &one, inputs.value(at), made_by.value(at), state);
            counts.add(judged.reason);
            if judged.settle(id, &one, state) {
                from.push(u32::try_from(at).unwrap_or(u32::MAX));
                made.push((id, one, judged.digest));
            }
        }
    }
    if made.is_empty() {
        return Ok(None);
    }
    let vectors = take(embeddings, &UInt32Array::from(from), None)
        .map_err(|cause| Error::new(Kind::Internal, "cannot gather features").caused_by(cause))?;
    let columns = [
        ("image_id", rows::strings(made.iter().map(|(id, _, _)| *id))),
        ("caption_index", rows::int32s(made.iter().map(|(_, w, _)| w.caption_index))),
        ("text", rows::strings(made.iter().map(|(_, w, _)| &w.text))),
        ("split", rows::optional_strings(made.iter().map(|(_, w, _)| w.split.map(Split::name)))),
        ("embedding", rows::retyped(schema, "embedding", &vectors)?),
        ("input_digest", rows::strings(made.iter().map(|(_, _, d)| d.to_string()))),
        ("fingerprint", rows::strings(made.iter().map(|_| fingerprint))),
    ];
    rows::batch(schema, &columns).map(Some)
}
