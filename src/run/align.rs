//! Examples: each caption beside the features of its image. Some parts of the features are joined
//! at a time, with the captions of their images: those of some thousand images, or of more where
//! captions lie in another order than the images, as many as [`ROOM`] says and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use arrow::array::{ListArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use rayon::prelude::*;

use crate::base::digest::Digester;
use crate::base::{Digest, Error, Kind, Result};
use crate::flow::Split;
use crate::plan::stage::Align;
use crate::plan::{Counts, Reason, Stage};
use crate::table::schema::arrow_schema;
use crate::table::{Part as TablePart, Snapshot};

use super::clocks::{Part, Spend};
use super::context::Context;
use super::key::{Columns, Key, ends};
use super::ledger::Ledger;
use super::lookout::Sight;
use super::publish::{self, Made};
use super::rows;
use super::state::State;
use super::upstream::{self, AT_ONCE, Which};

/// Columns of tables of examples.
pub(super) const EXAMPLES: Columns =
    Columns { has_caption_index: true, digest: "input_digest", place: &[] };

/// What is held at once.
#[derive(Clone, Copy)]
struct Room {
    /// Images whose captions are held together, at least where there are so many.
    images: u64,
    /// Captions that are held together, about, however many images there are: more only where so
    /// few images have them.
    captions: u64,
    /// Where there is room, more images are held together rather than all captions read so often.
    passes: u64,
}

/// Some 60 MB of usual captions.
const ROOM: Room = Room { images: 4096, captions: 1 << 18, passes: 16 };

/// A caption that waits for its image.
struct Waiting {
    caption_index: i32,
    split: Option<Split>,
    digest: Digest,
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
    let captions = ctx.store.snapshot(&work.captions)?;
    let total = captions.as_ref().map_or(0, Snapshot::rows);
    let lying = captions.as_ref().map_or(&[][..], Snapshot::parts);
    let mut counts = Counts::default();
    let progress = std::sync::Arc::clone(&ctx.options.progress);
    progress.begin(&stage.table, Some(total));
    if let Some(features) = ctx.store.snapshot(&work.image_features)? {
        let columns = ["image_id", "embedding", "input_digest", "fingerprint"];
        for group in groups(&spans(features.parts()), &spans(lying), ROOM) {
            let parts = features.parts().get(group).unwrap_or_default();
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

/// Judges every row that there will be, without joining it.
pub(super) fn survey(
    ctx: &Context<'_>,
    stage: &Stage,
    work: &Align,
    state: &State,
) -> Result<Counts> {
    let mut counts = Counts::default();
    let Some(world) = &ctx.foresight else { return Ok(counts) };
    let captions = world.captions.get(&work.captions);
    let features = world.features.get(&work.image_features);
    let (Some(captions), Some(features)) = (captions, features) else { return Ok(counts) };
    let mut images: Vec<_> = features.rows.iter().map(|(id, input)| (id.as_str(), input)).collect();
    if !images.is_sorted_by_key(|(id, _)| *id) {
        images.par_sort_unstable_by_key(|(id, _)| *id);
    }
    for rows in captions.rows.chunks(AT_ONCE) {
        ctx.options.cancel.check()?;
        let joined = rows.par_iter().filter_map(|row| {
            let id = row.caption.image_id.as_str();
            let (_, input) = images.get(images.binary_search_by_key(&id, |(id, _)| *id).ok()?)?;
            Some((row.key(), row.digest, *input))
        });
        let joined: Vec<_> = joined.collect();
        let judged = state.judge_all(
            &joined,
            |(key, ..)| *key,
            |(_, caption, input), key| {
                let input = input.map(|input| input.to_string()).unwrap_or_default();
                let judged = Judged::of(key, caption, &input, &features.fingerprint, state);
                state.settle(&key, judged.reason);
                (key, judged)
            },
        );
        for (key, judged) in judged {
            counts.add(judged.reason);
            ctx.watch(key.image_id, || {
                Sight::new(stage, key, judged.reason, state).of(judged.digest)
            });
        }
    }
    Ok(counts)
}

/// What is known of a part without reading it.
struct Span<'p> {
    rows: u64,
    /// Its first and last image, where they are known.
    ends: Option<(&'p str, &'p str)>,
}

fn spans(parts: &[TablePart]) -> Vec<Span<'_>> {
    parts.iter().map(|part| Span { rows: part.rows, ends: ends(part) }).collect()
}

/// Parts of the features that are joined together: of few images, so long as that does not have the
/// captions read again and again, and never of many more than there is room for.
fn groups(features: &[Span<'_>], captions: &[Span<'_>], room: Room) -> Vec<Range<usize>> {
    let total = rows_of(captions);
    let held = room.captions.saturating_mul(rows_of(features)).checked_div(total);
    let most = held.unwrap_or(u64::MAX).max(room.images);
    let mut at_once = room.images;
    loop {
        let groups = cut(features, at_once);
        let read = groups.iter().fold(0_u64, |rows, group| {
            let group = features.get(group.clone()).unwrap_or_default();
            rows.saturating_add(read_for(group, captions))
        });
        if at_once >= most || read <= total.saturating_mul(room.passes) {
            return groups;
        }
        at_once = at_once.saturating_mul(2).min(most);
    }
}

/// Parts one after another, of at most so many rows together where a part is not larger.
fn cut(parts: &[Span<'_>], at_once: u64) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut rows = 0_u64;
    for (number, part) in parts.iter().enumerate() {
        rows = rows.saturating_add(part.rows);
        match groups.last_mut().filter(|_| rows <= at_once) {
            Some(group) => group.end = number + 1,
            None => {
                rows = part.rows;
                groups.push(number..number + 1);
            }
        }
    }
    groups
}

/// Captions in the parts that are read for some parts of the features.
fn read_for(features: &[Span<'_>], captions: &[Span<'_>]) -> u64 {
    let all: Option<Vec<_>> = features.iter().map(|part| part.ends).collect();
    let first = all.iter().flatten().map(|(first, _)| *first).min();
    let last = all.iter().flatten().map(|(_, last)| *last).max();
    let meets = |part: &&Span<'_>| match (first, last, part.ends) {
        (Some(from), Some(to), Some((first, last))) => from <= last && first <= to,
        _ => true,
    };
    captions.iter().filter(meets).fold(0, |rows, part| rows.saturating_add(part.rows))
}

fn rows_of(parts: &[Span<'_>]) -> u64 {
    parts.iter().fold(0, |rows, part| rows.saturating_add(part.rows))
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
                digest: row.digest.read()?,
                text: (*row.text).into(),
            });
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// What has to happen to an example, and the digest of what it is made from.
struct Judged {
    reason: Reason,
    digest: Digest,
}

impl Judged {
    fn of(key: Key<'_>, caption: &Digest, image: &str, features: &str, state: &State) -> Self {
        let digest = Digester::new()
            .field("caption", caption.to_string().as_bytes())
            .field("image", image.as_bytes())
            .field("features", features.as_bytes())
            .finish();
        let reason = state.judge(&key, &digest, 0);
        Self { reason, digest }
    }

    /// Whether a new row is to be made.
    fn is_made(&self) -> bool {
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
            let key = Key::caption(id, one.caption_index);
            let judged = Judged::of(key, &one.digest, inputs.value(at), made_by.value(at), state);
            counts.add(judged.reason);
            state.settle(&key, judged.reason);
            if judged.is_made() {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Room = Room { images: 10, captions: 200, passes: 4 };

    fn lying(ends: &[(String, String)], rows: u64) -> Vec<Span<'_>> {
        ends.iter()
            .map(|(from, to)| Span { rows, ends: Some((from.as_str(), to.as_str())) })
            .collect()
    }

    /// The most images of a group, where there are `parts` of ten images with five captions each.
    fn held(parts: usize, in_order: bool) -> u64 {
        let name = |n: usize| format!("{n:06}");
        let ends = |n: usize| match in_order {
            true => (name(10 * n), name(10 * n + 9)),
            false => (name(n), name(10 * parts - n)),
        };
        let ends: Vec<_> = (0..parts).map(ends).collect();
        let (features, captions) = (lying(&ends, 10), lying(&ends, 50));
        let groups = groups(&features, &captions, SMALL);
        let covered: Vec<usize> = groups.iter().cloned().flatten().collect();
        assert_eq!(covered, (0..parts).collect::<Vec<_>>(), "each part once, in order");
        groups.iter().map(|group| 10 * group.len() as u64).max().unwrap()
    }

    #[test]
    fn what_is_joined_together_does_not_grow_with_the_data() {
        for parts in [1, 3, 4, 100, 1000] {
            assert_eq!(held(parts, true), 10, "{parts}");
        }
        // All captions are read for each group: there are few, as long as there is room.
        for (parts, images) in [(4, 10), (8, 20), (16, 40), (17, 40), (100, 40), (1000, 40)] {
            assert_eq!(held(parts, false), images, "{parts}");
        }
    }

    #[test]
    fn parts_that_do_not_say_what_they_hold_are_joined_too() {
        let unknown =
            |rows| -> Vec<Span<'_>> { (0..9).map(|_| Span { rows, ends: None }).collect() };
        assert_eq!(groups(&unknown(10), &unknown(50), SMALL), [0..4, 4..8, 8..9]);
        assert_eq!(groups(&unknown(0), &unknown(0), SMALL).len(), 1);
        assert_eq!(groups(&unknown(500), &[], SMALL).len(), 9);
        assert!(groups(&[], &unknown(50), SMALL).is_empty());
    }
}
