//! Reads the tables that a stage is made from: as they are stored or, in a plan, as they will be.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use arrow::array::{Array, Int32Array, Int64Array, StringArray};

use crate::base::Result;
use crate::flow::{Origin, Split};
use crate::table::Part;

use super::context::Context;
use super::key::{Key, Short, ends};
use super::rows;

/// A row of a table of captions.
#[derive(Debug)]
pub(super) struct UpstreamCaption<'a> {
    /// Its place among all rows of the table.
    pub number: u64,
    pub image_id: &'a str,
    pub caption_index: i32,
    /// The column that was asked for; null is the empty text.
    pub text: &'a str,
    pub split: Option<&'a str>,
    pub digest: &'a str,
    source: &'a str,
    member: &'a str,
    offset: u64,
}

impl UpstreamCaption<'_> {
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
    if let Some(of) = ctx.foresight.as_ref().and_then(|world| world.captions.get(table)) {
        for (number, row) in (0..).zip(&of.rows) {
            if !which.names(number) {
                continue;
            }
            let flow = each(&UpstreamCaption {
                number,
                image_id: &row.caption.image_id,
                caption_index: row.caption.caption_index,
                text: &row.column(column, &of.clean),
                split: row.split.map(Split::name),
                digest: &row.digest.to_string(),
                source: &row.caption.origin.source,
                member: &row.caption.origin.member,
                offset: row.caption.origin.offset,
            })?;
            if flow.is_break() {
                break;
            }
        }
        return Ok(());
    }
    let Some(snapshot) = ctx.store.snapshot(table)? else { return Ok(()) };
    let mut columns = vec!["image_id", "caption_index", "split", "digest"];
    columns.extend(["source", "member", "offset", column]);
    let mut next = 0;
    for part in snapshot.parts() {
        if !which.meets(part, next) {
            next = next.saturating_add(part.rows);
            continue;
        }
        let mut number = next;
        for batch in snapshot.scan_part(part, &columns)? {
            ctx.options.cancel.check()?;
            let batch = batch?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            let indices = rows::column::<Int32Array>(&batch, "caption_index")?;
            let texts = rows::column::<StringArray>(&batch, column)?;
            let splits = rows::column::<StringArray>(&batch, "split")?;
            let digests = rows::column::<StringArray>(&batch, "digest")?;
            let sources = rows::column::<StringArray>(&batch, "source")?;
            let members = rows::column::<StringArray>(&batch, "member")?;
            let offsets = rows::column::<Int64Array>(&batch, "offset")?;
            for at in 0..batch.num_rows() {
                number += 1;
                if !which.names(number - 1) {
                    continue;
                }
                let flow = each(&UpstreamCaption {
                    number: number - 1,
                    image_id: ids.value(at),
                    caption_index: indices.value(at),
                    text: if texts.is_valid(at) { texts.value(at) } else { "" },
                    split: splits.is_valid(at).then(|| splits.value(at)),
                    digest: digests.value(at),
                    source: sources.value(at),
                    member: members.value(at),
                    offset: u64::try_from(offsets.value(at)).unwrap_or(0),
                })?;
                if flow.is_break() {
                    return Ok(());
                }
            }
        }
        next = number;
    }
    Ok(())
}
