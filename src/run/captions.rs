//! The table of captions: every line of the files, with its split, cleaned if asked.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use crossbeam_channel::{Sender, bounded};
use rayon::prelude::*;

use crate::base::digest::Digester;
use crate::base::{Cancel, Digest, Error, Result};
use crate::flow::{Caption, Reject, Split};
use crate::plan::source::CaptionSource;
use crate::plan::stage::{ReadCaptions, SplitRule};
use crate::plan::{Counts, Reason, Stage};
use crate::sources;
use crate::table::schema::arrow_schema;

use super::caption_row::CaptionRow;
use super::clocks::{Clocks, Part, Spend};
use super::context::Context;
use super::key::{Columns, Key, Short};
use super::ledger::Ledger;
use super::lookout::Sight;
use super::overlap::joined;
use super::publish::{self, Made};
use super::rows;
use super::state::State;
use super::upstream;

/// Columns of the table of captions. `offset` is where a line began when its row was written.
pub(super) const CAPTIONS: Columns =
    Columns { has_caption_index: true, digest: "digest", place: &["source", "member"] };

/// Captions, some at a time, that wait between the reader and the rows.
const WAITING: usize = 1;
/// Rows that are judged and written together.
const BATCH_ROWS: usize = 8192;

/// What has to be done for the table.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub state: State,
    pub counts: Counts,
    /// All rows of the new version.
    pub rows: Vec<CaptionRow>,
}

/// Reads the captions and judges each row.
pub(super) fn survey(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &ReadCaptions,
) -> Result<Surveyed> {
    let mut rows = Vec::new();
    let (state, counts) = each(ctx, ledger, stage, work, &mut |some, _| {
        rows.extend(some);
        Ok(())
    })?;
    Ok(Surveyed { state, counts, rows })
}

/// Reads the captions and publishes their table.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &ReadCaptions,
) -> Result<()> {
    let fingerprint = stage.fingerprint.digest().to_string();
    let schema = arrow_schema(&stage.contract);
    let mut sink = ctx.sink(stage);
    let mut written = Duration::ZERO;
    let (state, counts) = each(ctx, ledger, stage, work, &mut |rows, reasons| {
        let wanted = rows.iter().zip(reasons).filter(|(_, reason)| is_written(**reason));
        let wanted: Vec<_> = wanted.map(|(row, _)| row).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let batch = batch(&schema, work, &fingerprint, &wanted)?;
        let begun = Instant::now();
        sink.push(&batch)?;
        written += begun.elapsed();
        Ok(())
    })?;
    ctx.clocks.add(Part::Write, Spend::Busy, written);
    state.clean(&ctx.store, stage)?;
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

/// A caption's row is cheap: one of a renamed file is written anew.
fn is_written(reason: Reason) -> bool {
    !matches!(reason, Reason::UpToDate | Reason::Resumed)
}

fn place(caption: &Caption) -> u64 {
    let origin = &caption.origin;
    super::key::place(&origin.source, &origin.member, 0, 0)
}

/// What to do with rows, each with its reason; within a call they are sorted by key, and between
/// calls as far as the files are.
type Make<'m> = dyn FnMut(Vec<CaptionRow>, &[Reason]) -> Result<()> + 'm;

/// Reads the captions on a thread of its own and has a row made of each. Of files in the order of
/// the table, few captions are held at a time; of others all, to be sorted.
fn each(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &ReadCaptions,
    make: &mut Make<'_>,
) -> Result<(State, Counts)> {
    let fingerprint = stage.fingerprint.digest().to_string();
    let mut recipe = Recipe::new(ctx, work)?;
    for reject in std::mem::take(&mut recipe.rejects) {
        ledger.refuse(&stage.table, &fingerprint, reject);
    }
    let progress = Arc::clone(&ctx.options.progress);
    progress.begin(&stage.table, None);
    let (out, captions) = bounded::<Vec<Caption>>(WAITING);
    let (clocks, cancel) = (&ctx.clocks, &ctx.options.cancel);
    let done = std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(&work.source, (clocks, cancel), &out));
        // Moved in, so that the reader ends when this part fails.
        let captions = captions;
        let state = State::load(&ctx.store, stage, CAPTIONS)?;
        let mut judge = Judge { ctx, stage, state, counts: Counts::default(), make };
        let mut order = Order::default();
        for some in &captions {
            cancel.check()?;
            progress.advance(&stage.table, some.len() as u64);
            judge.take(order.take(recipe.rows(some)))?;
        }
        let mut held = order.rest().into_iter().peekable();
        while held.peek().is_some() {
            cancel.check()?;
            judge.take(held.by_ref().take(BATCH_ROWS).collect())?;
        }
        Ok::<_, Error>(((judge.state, judge.counts), joined(reader)?))
    });
    progress.end(&stage.table);
    let (judged, rejects) = done?;
    for reject in rejects {
        ledger.refuse(&stage.table, &fingerprint, reject);
    }
    ledger.complete(&stage.table);
    recipe.tell(&stage.table, &mut ctx.report.notes);
    Ok(judged)
}

/// Reads until all is read, or nobody takes any more.
fn read(
    source: &CaptionSource,
    (clocks, cancel): (&Clocks, &Cancel),
    out: &Sender<Vec<Caption>>,
) -> Result<Vec<Reject>> {
    let (begun, mut waited) = (Instant::now(), Duration::ZERO);
    let rejects = sources::captions::stream(source, cancel, &mut |captions| {
        let ready = Instant::now();
        let taken = out.send(captions);
        waited += ready.elapsed();
        if taken.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    clocks.add(Part::Read, Spend::Blocked, waited);
    clocks.add(Part::Read, Spend::Busy, begun.elapsed().saturating_sub(waited));
    rejects
}

/// Judges rows and hands them on.
struct Judge<'j, 'c> {
    ctx: &'j Context<'c>,
    stage: &'j Stage,
    state: State,
    counts: Counts,
    make: &'j mut Make<'j>,
}

impl Judge<'_, '_> {
    fn take(&mut self, rows: Vec<CaptionRow>) -> Result<()> {
        let state = &self.state;
        let judge = |row: &CaptionRow| state.judge(&row.key(), &row.digest, place(&row.caption));
        let reasons: Vec<Reason> = rows.par_iter().map(judge).collect();
        for (row, reason) in rows.iter().zip(&reasons) {
            let (key, reason) = (row.key(), *reason);
            self.counts.add(reason);
            self.ctx.watch(key.image_id, || {
                Sight::new(self.stage, key, reason, state).of(row.digest).at(&row.caption.origin)
            });
            match reason {
                Reason::UpToDate => state.keep(&key),
                Reason::Resumed => state.take_resumed(&key),
                _ => state.replace(&key),
            }
        }
        (self.make)(rows, &reasons)
    }
}

/// Brings rows into the order of their keys.
#[derive(Default)]
struct Order {
    /// The key of the last row that was given away.
    last: Option<(String, i32)>,
    /// Whether the files were found to be in another order.
    is_other: bool,
    held: Vec<CaptionRow>,
}

impl Order {
    /// The rows that can be made now: none once some were out of order.
    fn take(&mut self, rows: Vec<CaptionRow>) -> Vec<CaptionRow> {
        let last = self.last.as_ref().map(|(id, index)| (id.as_str(), *index));
        let follows = rows.first().is_none_or(|first| last.is_none_or(|last| last < first.order()));
        self.is_other |= !follows || !rows.is_sorted_by(|a, b| a.order() < b.order());
        if self.is_other {
            self.held.extend(rows);
            return Vec::new();
        }
        if let Some((id, index)) = rows.last().map(CaptionRow::order) {
            self.last = Some((id.to_owned(), index));
        }
        rows
    }

    /// The others, in order.
    fn rest(mut self) -> Vec<CaptionRow> {
        self.held.sort_by(|a, b| a.order().cmp(&b.order()));
        self.held
    }
}

/// What makes rows of captions.
struct Recipe<'w> {
    work: &'w ReadCaptions,
    splits: Option<BTreeMap<String, Split>>,
    images: Option<BTreeSet<Short>>,
    /// Captions of images that are not in the table of images.
    orphans: u64,
    /// Images that are in none of the split files.
    unlisted: BTreeSet<String>,
    rejects: Vec<Reject>,
}

impl<'w> Recipe<'w> {
    fn new(ctx: &Context<'_>, work: &'w ReadCaptions) -> Result<Self> {
        let (splits, rejects) = match &work.split {
            SplitRule::Listed(source) => {
                let (splits, rejects) = sources::splits::read(source)?;
                (Some(splits), rejects)
            }
            _ => (None, Vec::new()),
        };
        let images = work.images.as_ref().map(|table| upstream::image_keys(ctx, table));
        let (orphans, unlisted) = (0, BTreeSet::new());
        Ok(Self { work, splits, images: images.transpose()?, orphans, unlisted, rejects })
    }

    fn rows(&mut self, mut captions: Vec<Caption>) -> Vec<CaptionRow> {
        if let Some(images) = &self.images {
            let before = captions.len();
            captions.retain(|caption| images.contains(&Key::image(&caption.image_id).short()));
            self.orphans += (before - captions.len()) as u64;
        }
        let rows: Vec<_> = captions
            .into_par_iter()
            .map(|caption| {
                let split = self.split(&caption);
                let digest = digest(&caption.text, split);
                CaptionRow { caption, split, digest }
            })
            .collect();
        if self.splits.is_some() {
            let of_none = rows.iter().filter(|row| row.split.is_none());
            self.unlisted.extend(of_none.map(|row| row.caption.image_id.clone()));
        }
        rows
    }

    fn split(&self, caption: &Caption) -> Option<Split> {
        match &self.work.split {
            SplitRule::Listed(_) => self.splits.as_ref()?.get(&caption.image_id).copied(),
            SplitRule::Drawn(shares) => Some(draw(caption, shares)),
            SplitRule::OfFile(shares) => {
                Some(caption.split.unwrap_or_else(|| draw(caption, shares)))
            }
        }
    }

    /// What a user should know of captions that are left out, or belong nowhere.
    fn tell(&self, table: &str, notes: &mut Vec<String>) {
        let count = crate::base::units::count;
        if self.orphans > 0 {
            notes.push(format!(
                "{table}: {} captions are of images that are not in `{}`, and were left out",
                count(self.orphans),
                self.work.images.as_deref().unwrap_or_default()
            ));
        }
        if !self.unlisted.is_empty() {
            notes.push(format!(
                "{table}: {} images are in none of the split files; their split is null",
                count(self.unlisted.len() as u64)
            ));
        }
    }
}

fn draw(caption: &Caption, shares: &crate::plan::stage::Shares) -> Split {
    sources::splits::seeded(&caption.image_id, &shares.of, shares.seed)
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
