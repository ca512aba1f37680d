//! Reads the tables that a stage is made from: as they are stored or, in a plan, as they will be.

use std::collections::BTreeSet;

use arrow::array::{Array, Int32Array, Int64Array, StringArray};

use crate::base::Result;
use crate::flow::{Origin, Split};

use super::context::Context;
use super::rows;

/// A row of a table of captions.
#[derive(Debug)]
pub(super) struct UpstreamCaption<'a> {
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
        Origin {
            source: self.source.to_owned(),
            member: self.member.to_owned(),
            offset: self.offset,
        }
    }
}

/// The ids of a table of images.
///
/// # Errors
/// When the table cannot be read.
pub(super) fn image_ids(ctx: &Context<'_>, table: &str) -> Result<BTreeSet<String>> {
    if let Some(ids) = ctx.foresight.as_ref().and_then(|world| world.images.get(table)) {
        return Ok(ids.clone());
    }
    let mut ids = BTreeSet::new();
    let Some(snapshot) = ctx.store.snapshot(table)? else { return Ok(ids) };
    for part in snapshot.parts() {
        for batch in snapshot.scan_part(part, &["image_id"])? {
            let batch = batch?;
            let column = rows::column::<StringArray>(&batch, "image_id")?;
            ids.extend(column.iter().flatten().map(str::to_owned));
        }
    }
    Ok(ids)
}

/// Every row of a table of captions, with its `column`.
///
/// # Errors
/// When the table cannot be read, and those of `each`.
pub(super) fn each_caption(
    ctx: &Context<'_>,
    table: &str,
    column: &str,
    each: &mut dyn FnMut(&UpstreamCaption<'_>) -> Result<()>,
) -> Result<()> {
    if let Some(of) = ctx.foresight.as_ref().and_then(|world| world.captions.get(table)) {
        for row in &of.rows {
            each(&UpstreamCaption {
                image_id: &row.caption.image_id,
                caption_index: row.caption.caption_index,
                text: &row.column(column, &of.clean),
                split: row.split.map(Split::name),
                digest: &row.digest.to_string(),
                source: &row.caption.origin.source,
                member: &row.caption.origin.member,
                offset: row.caption.origin.offset,
            })?;
        }
        return Ok(());
    }
    let Some(snapshot) = ctx.store.snapshot(table)? else { return Ok(()) };
    let mut columns = vec!["image_id", "caption_index", "split", "digest"];
    columns.extend(["source", "member", "offset", column]);
    for part in snapshot.parts() {
        for batch in snapshot.scan_part(part, &columns)? {
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
                each(&UpstreamCaption {
                    image_id: ids.value(at),
                    caption_index: indices.value(at),
                    text: if texts.is_valid(at) { texts.value(at) } else { "" },
                    split: splits.is_valid(at).then(|| splits.value(at)),
                    digest: digests.value(at),
                    source: sources.value(at),
                    member: members.value(at),
                    offset: u64::try_from(offsets.value(at)).unwrap_or(0),
                })?;
            }
        }
    }
    Ok(())
}
