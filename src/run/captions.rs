//! The table of captions: every line of the files, with its split, cleaned if asked.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;
use rayon::prelude::*;

use crate::base::digest::Digester;
use crate::base::{Digest, Result};
use crate::flow::{Caption, Reject, RejectClass, Split};
use crate::plan::stage::{ReadCaptions, SplitRule};
use crate::plan::{Counts, Reason, Stage};
use crate::sources;
use crate::table::schema::arrow_schema;

use super::caption_row::CaptionRow;
use super::clocks::{Part, Spend};
use super::context::Context;
use super::key::Columns;
use super::ledger::Ledger;
use super::lookout::Sight;
use super::publish::{self, Made};
use super::rows;
use super::state::State;
use super::upstream;

/// Columns of the table of captions. `offset` is where a line began when its row was written.
pub(super) const CAPTIONS: Columns =
    Columns { has_caption_index: true, digest: "digest", place: &["source", "member"] };

/// Rows that are built at a time.
const BATCH_ROWS: usize = 8192;
/// Captions that become rows together.
const ROWS_AT_ONCE: usize = 1 << 16;

/// What has to be done for the table.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub state: State,
    pub counts: Counts,
    /// All rows of the new version, sorted by key.
    pub rows: Vec<CaptionRow>,
    /// Those that are written anew, by their number.
    wanted: Vec<usize>,
}

/// Reads the captions and judges each row.
pub(super) fn survey(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &ReadCaptions,
) -> Result<Surveyed> {
    let fingerprint = stage.fingerprint.digest().to_string();
    let store = ctx.store.clone();
    ctx.options.progress.begin(&stage.table, None);
    let (state, rows) = rayon::join(
        || State::load(&store, stage, CAPTIONS),
        || read(ctx, ledger, stage, work, &fingerprint),
    );
    ctx.options.progress.end(&stage.table);
    let (state, rows) = (state?, rows?);
    ledger.complete(&stage.table);
    let judge = |row: &CaptionRow| state.judge(&row.key(), &row.digest, place(&row.caption));
    let reasons: Vec<Reason> = rows.par_iter().map(judge).collect();
    let (mut counts, mut wanted) = (Counts::default(), Vec::new());
    for (number, (row, reason)) in rows.iter().zip(reasons).enumerate() {
        let key = row.key();
        counts.add(reason);
        ctx.watch(key.image_id, || {
            Sight::new(stage, key, reason, &state).of(row.digest).at(&row.caption.origin)
        });
        match reason {
            Reason::UpToDate => state.keep(&key),
            Reason::Resumed => state.take_resumed(&key),
            // A caption's row is cheap: one of a renamed file is written anew.
            _ => {
                state.replace(&key);
                wanted.push(number);
            }
        }
    }
    Ok(Surveyed { state, counts, rows, wanted })
}

/// Reads the captions and publishes their table.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &ReadCaptions,
) -> Result<()> {
    let Surveyed { state, counts, rows, wanted } = survey(ctx, ledger, stage, work)?;
    state.clean(&ctx.store, stage)?;
    let fingerprint = stage.fingerprint.digest().to_string();
    let schema = arrow_schema(&stage.contract);
    let mut sink = ctx.sink(stage);
    for some in wanted.chunks(BATCH_ROWS) {
        let some: Vec<_> = some.iter().filter_map(|number| rows.get(*number)).collect();
        let batch = batch(&schema, work, &fingerprint, &some)?;
        ctx.clocks.time(Part::Write, Spend::Busy, || sink.push(&batch))?;
    }
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
    super::key::place(&origin.source, &origin.member, 0, 0)
}

/// All rows of the new version, sorted by key.
fn read(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &ReadCaptions,
    fingerprint: &str,
) -> Result<Vec<CaptionRow>> {
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
        Some(table) => Some(upstream::image_ids(ctx, table)?),
        None => None,
    };
    let mut orphans = 0_u64;
    let mut unlisted = BTreeSet::new();
    let split = |caption: &Caption| match &work.split {
        SplitRule::Listed(_) => splits.as_ref().and_then(|s| s.get(&caption.image_id)).copied(),
        SplitRule::Drawn(shares) => Some(draw(caption, shares)),
        SplitRule::OfFile(shares) => Some(caption.split.unwrap_or_else(|| draw(caption, shares))),
    };
    let mut left = found.captions;
    let mut kept: Vec<CaptionRow> = Vec::with_capacity(left.len());
    // From the end, so that the room of what became rows is given back on the way.
    while !left.is_empty() {
        let mut some = left.split_off(left.len().saturating_sub(ROWS_AT_ONCE));
        left.shrink_to_fit();
        if let Some(images) = &images {
            let before = some.len();
            some.retain(|caption| images.contains(caption.image_id.as_str()));
            orphans += (before - some.len()) as u64;
        }
        let rows: Vec<_> = some
            .into_par_iter()
            .map(|caption| {
                let split = split(&caption);
                let digest = digest(&caption.text, split);
                CaptionRow { caption, split, digest }
            })
            .collect();
        if splits.is_some() {
            let of_none = rows.iter().filter(|row| row.split.is_none());
            unlisted.extend(of_none.map(|row| row.caption.image_id.clone()));
        }
        kept.extend(rows.into_iter().rev());
    }
    kept.reverse();
    // Of two captions with one number the first of the files stays: the order is a stable one.
    if !kept.is_sorted_by(|a, b| a.order() <= b.order()) {
        kept.sort_by(|a, b| a.order().cmp(&b.order()));
    }
    kept.dedup_by(|second, first| {
        let same = second.order() == first.order();
        if same {
            ledger.refuse(&stage.table, fingerprint, twice(&second.caption, &first.caption));
        }
        same
    });
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
    Ok(kept)
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

fn batch(
    schema: &SchemaRef,
    work: &ReadCaptions,
    fingerprint: &str,
    of: &[&CaptionRow],
) -> Result<arrow::array::RecordBatch> {
    let cleaned: Vec<_> = of.iter().map(|row| row.clean_text(&work.clean)).collect();
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
