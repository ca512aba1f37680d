//! The table of captions: every line of the files, with its split, cleaned if asked.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;

use crate::base::digest::Digester;
use crate::base::{Digest, Result};
use crate::flow::{Caption, Reject, RejectClass, Split};
use crate::plan::stage::{ReadCaptions, SplitRule};
use crate::plan::{Counts, Reason, Stage};
use crate::sources;
use crate::table::schema::arrow_schema;

use super::clocks::{Part, Spend};
use super::context::Context;
use super::ledger::Ledger;
use super::publish::{self, Made};
use super::rows;
use super::sink::Sink;
use super::state::{Columns, Key, State};

/// Columns of the table of captions.
pub(super) const CAPTIONS: Columns =
    Columns { has_caption_index: true, digest: "digest", place: &["source", "member", "offset"] };

/// Rows that are built at a time.
const BATCH_ROWS: usize = 8192;

/// A caption with what the run adds.
struct Row {
    caption: Caption,
    split: Option<Split>,
    digest: Digest,
}

/// Reads the captions and publishes their table.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &ReadCaptions,
) -> Result<()> {
    let state = State::load(&ctx.store, stage, CAPTIONS)?;
    state.clean(&ctx.store, stage)?;
    let fingerprint = stage.fingerprint.digest().to_string();
    ctx.options.progress.begin(&stage.table, None);
    let rows = read(ctx, ledger, stage, work, &fingerprint);
    ctx.options.progress.end(&stage.table);
    let rows = rows?;
    ledger.complete(&stage.table);

    let schema = arrow_schema(&stage.contract);
    let mut counts = Counts::default();
    let mut sink = ctx.sink(stage);
    let mut waiting = Vec::new();
    for row in &rows {
        let key = Key::caption(&row.caption.image_id, row.caption.caption_index);
        let here = place(&row.caption);
        let reason = state.judge(&key, &row.digest, here);
        counts.add(reason);
        match reason {
            Reason::UpToDate => state.keep(&key),
            Reason::Resumed => state.take_resumed(&key),
            // A caption's row is cheap: one that only moved is written anew.
            _ => {
                state.replace(&key);
                waiting.push(row);
            }
        }
        if waiting.len() >= BATCH_ROWS {
            flush(ctx, &schema, work, &fingerprint, &mut waiting, &mut sink)?;
        }
    }
    flush(ctx, &schema, work, &fingerprint, &mut waiting, &mut sink)?;
    let made = Made {
        parts: sink.finish()?,
        columns: CAPTIONS,
        without: &BTreeSet::new(),
        complete: true,
        counts,
        moved: &BTreeMap::new(),
    };
    publish::publish(ctx, ledger, stage, &state, made)?;
    Ok(())
}

fn place(caption: &Caption) -> u64 {
    let origin = &caption.origin;
    super::state::place(&origin.source, &origin.member, origin.offset, 0)
}

fn flush(
    ctx: &Context<'_>,
    schema: &SchemaRef,
    work: &ReadCaptions,
    fingerprint: &str,
    waiting: &mut Vec<&Row>,
    sink: &mut Sink,
) -> Result<()> {
    if waiting.is_empty() {
        return Ok(());
    }
    let batch = batch(schema, work, fingerprint, waiting)?;
    waiting.clear();
    ctx.clocks.time(Part::Write, Spend::Busy, || sink.push(&batch))
}

/// All rows of the new version, sorted by key.
fn read(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &ReadCaptions,
    fingerprint: &str,
) -> Result<Vec<Row>> {
    let found = ctx.clocks.time(Part::Read, Spend::Busy, || {
        sources::captions::read(&work.source, &ctx.options.cancel)
    })?;
    ctx.options.progress.advance(&stage.table, found.captions.len() as u64);
    for reject in found.rejects {
        ledger.refuse(&stage.table, fingerprint, reject);
    }
    let splits = match &work.split {
        SplitRule::Listed(source) => {
            let (splits, rejects) = sources::splits::read(source)?;
            for reject in rejects {
                ledger.refuse(&stage.table, fingerprint, reject);
            }
            Some(splits)
        }
        _ => None,
    };
    let images = match &work.images {
        Some(table) => Some(known_images(ctx, table)?),
        None => None,
    };
    let mut orphans = 0_u64;
    let mut unlisted = BTreeSet::new();
    let mut kept: BTreeMap<Key, Row> = BTreeMap::new();
    for caption in found.captions {
        if images.as_ref().is_some_and(|images| !images.contains(caption.image_id.as_str())) {
            orphans += 1;
            continue;
        }
        let split = match &work.split {
            SplitRule::Listed(_) => {
                let split = splits.as_ref().and_then(|s| s.get(&caption.image_id)).copied();
                if split.is_none() {
                    unlisted.insert(caption.image_id.clone());
                }
                split
            }
            SplitRule::Drawn(shares) => Some(draw(&caption, shares)),
            SplitRule::OfFile(shares) => {
                Some(caption.split.unwrap_or_else(|| draw(&caption, shares)))
            }
        };
        let key = Key::caption(&caption.image_id, caption.caption_index);
        if let Some(first) = kept.get(&key) {
            let reject = twice(&caption, &first.caption);
            ledger.refuse(&stage.table, fingerprint, reject);
            continue;
        }
        let digest = digest(&caption.text, split);
        kept.insert(key, Row { caption, split, digest });
    }
    if orphans > 0 {
        ctx.report.notes.push(format!(
            "{}: {} captions are of images that are not in `{}`, and were left out",
            stage.table,
            crate::base::units::count(orphans),
            work.images.as_deref().unwrap_or_default()
        ));
    }
    if !unlisted.is_empty() {
        ctx.report.notes.push(format!(
            "{}: {} images are in none of the split files; their split is null",
            stage.table,
            crate::base::units::count(unlisted.len() as u64)
        ));
    }
    Ok(kept.into_values().collect())
}

fn draw(caption: &Caption, shares: &crate::plan::stage::Shares) -> Split {
    sources::splits::seeded(&caption.image_id, &shares.of, shares.seed)
}

fn twice(caption: &Caption, first: &Caption) -> Reject {
    Reject {
        origin: caption.origin.clone(),
        image_id: Some(caption.image_id.clone()),
        class: RejectClass::DuplicateCaption,
        message: format!(
            "caption {} of `{}` is also at {} byte {}",
            caption.caption_index, caption.image_id, first.origin.member, first.origin.offset
        ),
        digest: None,
    }
}

/// What a caption's row depends on: its text and its split.
fn digest(text: &str, split: Option<Split>) -> Digest {
    Digester::new()
        .field("text", text.as_bytes())
        .field("split", split.map_or("", Split::name).as_bytes())
        .finish()
}

fn known_images(ctx: &Context<'_>, table: &str) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    let Some(snapshot) = ctx.store.snapshot(table)? else { return Ok(ids) };
    for part in snapshot.parts() {
        for batch in snapshot.scan_part(part, &["image_id"])? {
            let batch = batch?;
            let column = rows::column::<arrow::array::StringArray>(&batch, "image_id")?;
            ids.extend(column.iter().flatten().map(str::to_owned));
        }
    }
    Ok(ids)
}

fn batch(
    schema: &SchemaRef,
    work: &ReadCaptions,
    fingerprint: &str,
    of: &[&Row],
) -> Result<arrow::array::RecordBatch> {
    let cleaned: Vec<Option<String>> = of
        .iter()
        .map(|row| {
            (!work.clean.is_empty()).then(|| sources::clean::clean(&row.caption.text, &work.clean))
        })
        .collect();
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let captions = || of.iter().map(|row| &row.caption);
    rows::batch(
        schema,
        &[
            ("image_id", rows::strings(captions().map(|c| &c.image_id))),
            ("caption_index", rows::int32s(captions().map(|c| c.caption_index))),
            ("text", rows::strings(captions().map(|c| &c.text))),
            ("clean_text", rows::optional_strings(cleaned.iter().map(Option::as_deref))),
            ("split", rows::optional_strings(of.iter().map(|row| row.split.map(Split::name)))),
            ("source", rows::strings(captions().map(|c| &c.origin.source))),
            ("member", rows::strings(captions().map(|c| &c.origin.member))),
            ("offset", rows::int64s(captions().map(|c| signed(c.origin.offset)))),
            ("digest", rows::strings(of.iter().map(|row| row.digest.to_string()))),
            ("fingerprint", rows::strings(of.iter().map(|_| fingerprint))),
        ],
    )
}
