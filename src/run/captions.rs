//! The table of captions: every line of the files, with its split, cleaned if asked.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;

use crate::base::Result;
use crate::flow::{Caption, Reject, Split};
use crate::plan::stage::ReadCaptions;
use crate::plan::{Counts, Reason, Stage};
use crate::table::schema::arrow_schema;

use super::caption_reading::Reading;
use super::caption_row::CaptionRow;
use super::clocks::{Part, Spend};
use super::context::Context;
use super::key::Columns;
use super::ledger::Ledger;
use super::lookout::Sight;
use super::publish::{self, Made};
use super::rows;
use super::state::State;

/// Columns of the table of captions. `offset` is where a line began when its row was written.
pub(super) const CAPTIONS: Columns =
    Columns { has_caption_index: true, digest: "digest", place: &["source", "member"] };

/// What has to be done for the table.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub state: State,
    pub counts: Counts,
    /// All rows of the new version, where they were asked for.
    pub rows: Vec<CaptionRow>,
}

/// Reads the captions and judges each row. They are held where tables that are planned, too, are made
/// from them (`is_read`): a million are 200 MB.
pub(super) fn survey(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &ReadCaptions,
    is_read: bool,
) -> Result<Surveyed> {
    let reading = Reading::begin(ctx, stage, work)?;
    // Who looks out for an image sees its captions by number.
    let ordered = is_read || ctx.lookout.is_some();
    let mut reading = if ordered { reading } else { reading.in_any_order() };
    let state = State::load(&ctx.store, stage, CAPTIONS)?;
    let mut judge = Judge { ctx, stage, state, counts: Counts::default() };
    let mut rows = Vec::new();
    reading.each(&mut |some| {
        judge.reasons(&some);
        if is_read {
            rows.extend(some);
        }
        Ok(())
    })?;
    let Judge { state, counts, .. } = judge;
    let told = reading.end();
    file(ctx, ledger, stage, told);
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
    let mut reading = Reading::begin(ctx, stage, work)?;
    let state = State::load(&ctx.store, stage, CAPTIONS)?;
    state.clean(&ctx.store, stage)?;
    let mut judge = Judge { ctx, stage, state, counts: Counts::default() };
    reading.each(&mut |rows| {
        let reasons = judge.reasons(&rows);
        let wanted = rows.iter().zip(reasons).filter(|(_, reason)| is_written(*reason));
        let wanted: Vec<_> = wanted.map(|(row, _)| row).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let batch = batch(&schema, work, &fingerprint, &wanted)?;
        ctx.clocks.time(Part::Write, Spend::Busy, || sink.push(&batch))
    })?;
    let Judge { state, counts, .. } = judge;
    let told = reading.end();
    file(ctx, ledger, stage, told);
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

/// Judges rows.
struct Judge<'j, 'c> {
    ctx: &'j Context<'c>,
    stage: &'j Stage,
    state: State,
    counts: Counts,
}

impl Judge<'_, '_> {
    /// The reason of each row, which is booked.
    fn reasons(&mut self, rows: &[CaptionRow]) -> Vec<Reason> {
        let state = &self.state;
        let reasons = state.judge_all(rows, CaptionRow::key, |row, key| {
            let reason = state.judge(&key, &row.digest, place(&row.caption));
            state.settle(&key, reason);
            reason
        });
        for (row, reason) in rows.iter().zip(&reasons) {
            self.counts.add(*reason);
            self.ctx.watch(&row.caption.image_id, || {
                let sight = Sight::new(self.stage, row.key(), *reason, state);
                sight.of(row.digest).at(&row.caption.origin)
            });
        }
        reasons
    }
}

/// What a reading refused is filed, and its notes are told.
fn file(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    (rejects, notes): (Vec<Reject>, Vec<String>),
) {
    let fingerprint = stage.fingerprint.digest().to_string();
    for reject in rejects {
        ledger.refuse(&stage.table, &fingerprint, reject);
    }
    ledger.complete(&stage.table);
    ctx.report.notes.extend(notes);
}

fn batch(
    schema: &SchemaRef,
    work: &ReadCaptions,
    fingerprint: &str,
    of: &[&CaptionRow],
) -> Result<arrow::array::RecordBatch> {
    let cleaned: Vec<_> = of.iter().map(|row| row.clean_text(&work.clean)).collect();
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
            ("offset", rows::int64s(captions().map(|c| rows::signed(c.origin.offset)))),
            ("digest", rows::strings(of.iter().map(|row| row.digest.to_string()))),
            ("fingerprint", rows::strings(of.iter().map(|_| fingerprint))),
        ],
    )
}
