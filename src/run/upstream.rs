//! Reads the tables that a stage is made from: as they are stored or, in a plan, as they will be.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use arrow::array::{Array, Int32Array, Int64Array, RecordBatch, StringArray};
use rayon::prelude::*;

use crate::base::{Digest, Result};
use crate::flow::{Origin, Split};
use crate::table::Part;

use super::caption_row::CaptionRow;
use super::context::Context;
use super::foresight::Captions;
use super::key::{Key, Short, ends, stored_digest};
use super::rows;

/// A row of a table of captions.
#[derive(Debug)]
pub(super) struct UpstreamCaption<'a> {
    /// Its place among all rows of the table.
    pub number: u64,
    pub image_id: &'a str,
    pub caption_index: i32,
    /// The column that was asked for; null is the empty text.
    pub text: Cow<'a, str>,
    pub split: Option<&'a str>,
    pub digest: RowDigest<'a>,
    source: &'a str,
    member: &'a str,
    offset: u64,
}

/// The digest of a row, which nobody reads or writes for nothing.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowDigest<'a> {
    Stored(&'a str),
    Foreseen(Digest),
}

impl RowDigest<'_> {
    /// # Errors
    /// When the table has something else in its place.
    pub(super) fn read(self) -> Result<Digest> {
        match self {
            Self::Stored(text) => stored_digest(text),
            Self::Foreseen(digest) => Ok(digest),
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Self::Stored(text) => text.to_owned(),
            Self::Foreseen(digest) => digest.to_string(),
        }
    }
}

impl<'a> UpstreamCaption<'a> {
    /// A row that there will be.
    fn foreseen(number: u64, row: &'a CaptionRow, column: &str, of: &Captions) -> Self {
        Self {
            number,
            image_id: &row.caption.image_id,
            caption_index: row.caption.caption_index,
            text: row.column(column, &of.clean),
            split: row.split.map(Split::name),
            digest: RowDigest::Foreseen(row.digest),
            source: &row.caption.origin.source,
            member: &row.caption.origin.member,
            offset: row.caption.origin.offset,
        }
    }

    pub(super) fn key(&self) -> Key<'_> {
        Key::caption(self.image_id, self.caption_index)
    }

    pub(super) fn origin(&self) -> Origin {
        Origin { source: self.source.into(), member: self.member.into(), offset: self.offset }
    }
}

/// What stands for the keys of a table of images.
///
/// # Errors
/// When the table cannot be read.
pub(super) fn image_keys(ctx: &Context<'_>, table: &str) -> Result<BTreeSet<Short>> {
    let key = |id: &str| Key::image(id).short();
    if let Some(ids) = ctx.foresight.as_ref().and_then(|world| world.images.get(table)) {
        return Ok(ids.iter().map(|id| key(id)).collect());
    }
    let mut keys = BTreeSet::new();
    let Some(snapshot) = ctx.store.snapshot(table)? else { return Ok(keys) };
    for part in snapshot.parts() {
        for batch in snapshot.scan_part(part, &["image_id"])? {
            let batch = batch?;
            let column = rows::column::<StringArray>(&batch, "image_id")?;
            keys.extend(column.iter().flatten().map(key));
        }
    }
    Ok(keys)
}

/// Which rows of a table are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    All,
    /// Those of these numbers, counted from 0 in the order in which all are read; sorted.
    Numbers(&'a [u64]),
    /// At least those of the images from the first to the last.
    Images(&'a str, &'a str),
}

impl Which<'_> {
    /// Whether a part may hold such rows, whose first row is of the number `first`.
    fn meets(self, part: &Part, first: u64) -> bool {
        match self {
            Self::All => true,
            // another program's part may not say how many rows it has
            Self::Numbers(_) if part.rows == 0 => true,
            Self::Numbers(of) => {
                let next = of.partition_point(|number| *number < first);
                of.get(next).is_some_and(|number| *number < first.saturating_add(part.rows))
            }
            Self::Images(from, to) => {
                ends(part).is_none_or(|(first, last)| from <= last && first <= to)
            }
        }
    }

    fn names(self, number: u64) -> bool {
        match self {
            Self::Numbers(of) => of.binary_search(&number).is_ok(),
            _ => true,
        }
    }
}

/// The rows of a table of captions, with its `column`, until `each` has enough. One batch of them
/// is in memory at a time.
///
/// # Errors
/// When the table cannot be read, and those of `each`.
pub(super) fn each_caption(
    ctx: &Context<'_>,
    (table, column): (&str, &str),
    which: Which<'_>,
    each: &mut dyn FnMut(&UpstreamCaption<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    if let Some(of) = foreseen(ctx, table) {
        for (number, row) in (0..).zip(&of.rows).filter(|(number, _)| which.names(*number)) {
            if each(&UpstreamCaption::foreseen(number, row, column, of))?.is_break() {
                break;
            }
        }
        return Ok(());
    }
    stored(ctx, (table, column), which, &mut |batch, first| {
        let rows = (0..batch.rows()).map(|at| (first + at as u64, at));
        for (number, at) in rows.filter(|(number, _)| which.names(*number)) {
            if each(&batch.row(number, at))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// As [`each_caption`], of all rows, many at a time: who judges them does so on all cores.
///
/// # Errors
/// As of [`each_caption`].
pub(super) fn all_captions(
    ctx: &Context<'_>,
    (table, column): (&str, &str),
    some: &mut dyn FnMut(&[UpstreamCaption<'_>]) -> Result<()>,
) -> Result<()> {
    if let Some(of) = foreseen(ctx, table) {
        for (first, rows) in (0..).step_by(AT_ONCE).zip(of.rows.chunks(AT_ONCE)) {
            ctx.options.cancel.check()?;
            let rows = rows.par_iter().enumerate();
            let rows = rows
                .map(|(at, row)| UpstreamCaption::foreseen(first + at as u64, row, column, of))
                .collect::<Vec<_>>();
            some(&rows)?;
        }
        return Ok(());
    }
    stored(ctx, (table, column), Which::All, &mut |batch, first| {
        let rows: Vec<_> = (0..batch.rows()).map(|at| batch.row(first + at as u64, at)).collect();
        some(&rows)?;
        Ok(ControlFlow::Continue(()))
    })
}

/// Rows that there will be and that are judged together.
pub(super) const AT_ONCE: usize = 8192;

fn foreseen<'c>(ctx: &'c Context<'_>, table: &str) -> Option<&'c Captions> {
    ctx.foresight.as_ref()?.captions.get(table)
}

/// The parts of a stored table that [`Which`] means, batch by batch, each with the number of its
/// first row.
fn stored(
    ctx: &Context<'_>,
    (table, column): (&str, &str),
    which: Which<'_>,
    each: &mut dyn FnMut(&StoredRows<'_>, u64) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let Some(snapshot) = ctx.store.snapshot(table)? else { return Ok(()) };
    let mut columns = vec!["image_id", "caption_index", "split", "digest"];
    columns.extend(["source", "member", "offset", column]);
    let mut next = 0;
    for part in snapshot.parts() {
        if !which.meets(part, next) {
            next = next.saturating_add(part.rows);
            continue;
        }
        for batch in snapshot.scan_part(part, &columns)? {
            ctx.options.cancel.check()?;
            let batch = batch?;
            let rows = StoredRows::of(&batch, column)?;
            if each(&rows, next)?.is_break() {
                return Ok(());
            }
            next = next.saturating_add(batch.num_rows() as u64);
        }
    }
    Ok(())
}

/// A batch of a table of captions.
struct StoredRows<'b> {
    ids: &'b StringArray,
    indices: &'b Int32Array,
    texts: &'b StringArray,
    splits: &'b StringArray,
    digests: &'b StringArray,
    sources: &'b StringArray,
    members: &'b StringArray,
    offsets: &'b Int64Array,
}

impl<'b> StoredRows<'b> {
    fn of(batch: &'b RecordBatch, column: &str) -> Result<Self> {
        Ok(Self {
            ids: rows::column(batch, "image_id")?,
            indices: rows::column(batch, "caption_index")?,
            texts: rows::column(batch, column)?,
            splits: rows::column(batch, "split")?,
            digests: rows::column(batch, "digest")?,
            sources: rows::column(batch, "source")?,
            members: rows::column(batch, "member")?,
            offsets: rows::column(batch, "offset")?,
        })
    }

    fn rows(&self) -> usize {
        self.ids.len()
    }

    fn row(&self, number: u64, at: usize) -> UpstreamCaption<'b> {
        UpstreamCaption {
            number,
            image_id: self.ids.value(at),
            caption_index: self.indices.value(at),
            text: if self.texts.is_valid(at) { self.texts.value(at) } else { "" }.into(),
            split: self.splits.is_valid(at).then(|| self.splits.value(at)),
            digest: RowDigest::Stored(self.digests.value(at)),
            source: self.sources.value(at),
            member: self.members.value(at),
            offset: u64::try_from(self.offsets.value(at)).unwrap_or(0),
        }
    }
}
