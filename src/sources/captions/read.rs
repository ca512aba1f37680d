//! Reading all captions of a source.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;

use super::coco::settle;
use super::collector::{Collector, Splits, Take};
use super::shards::Shard;
use super::texts::{Each, Opener, Pick, Text};
use super::{coco, flickr, karpathy, shards, table};
use crate::base::{Cancel, Error, Kind, Result};
use crate::flow::{Caption, Reject, Split};
use crate::plan::source::{CaptionFormat, CaptionSource};
use crate::sources::names::{self, Globs};

/// What a source of captions holds.
#[derive(Debug, Clone)]
pub struct CaptionsRead {
    /// In the order of the files.
    pub captions: Vec<Caption>,
    /// Lines and members that are no captions.
    pub rejects: Vec<Reject>,
}

/// Reads every caption of a source, straight out of its archives. A broken line costs a
/// reject and nothing else; of two captions with one number the first stays.
///
/// As [`stream`] with the files' own splits, for those who want all at once.
///
/// # Errors
/// When a file is not there, is packed in a way that is not read, is not laid out as its
/// format says at all, or an archive does not hold the member.
pub fn read(source: &CaptionSource, cancel: &Cancel) -> Result<CaptionsRead> {
    let mut captions = Vec::new();
    let rejects = stream(source, true, cancel, &mut |some| {
        captions.extend(some);
        ControlFlow::Continue(())
    })?;
    Ok(CaptionsRead { captions, rejects })
}

/// Hands the captions of a source to `take`, some at a time, in the order of the files; gives the
/// lines and members that are no captions. What is held of a caption that was taken is its number;
/// of COCO, whose captions may stand before the images that they name, a file is held.
///
/// With `own_splits` all captions of an image are in the split that the first of them names, those that
/// name none too, and one that names another is a reject. Without, each has what stands beside it.
///
/// # Errors
/// As [`read`]; some captions may have been handed on before.
pub fn stream<'s>(
    source: &'s CaptionSource,
    own_splits: bool,
    cancel: &Cancel,
    take: &'s mut Take<'s>,
) -> Result<Vec<Reject>> {
    let splits =
        if own_splits { Splits::Kept(late_splits(source, cancel)?) } else { Splits::Elsewhere };
    let mut out =
        each(source, splits, cancel, take, &mut |mut text, out| read_text(source, &mut text, out))?;
    out.hand_on();
    Ok(out.rejects)
}

/// The splits that captions name only behind others of their image. Where a split stands beside each
/// caption, or files with and without may be about one image, they are read for it beforehand.
fn late_splits(source: &CaptionSource, cancel: &Cancel) -> Result<HashMap<String, Split>> {
    let several = source.paths.len() > 1 || source.member.is_some();
    let may_be_late = match &source.format {
        CaptionFormat::Csv { split, .. } => split.is_some(),
        CaptionFormat::Coco => several && only_some_name_a_split(source, cancel)?,
        CaptionFormat::Karpathy => true,
        _ => false,
    };
    if !may_be_late {
        return Ok(HashMap::new());
    }
    let mut nobody = |_| {
        if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let out = each(source, Splits::Sought, cancel, &mut nobody, &mut |mut text, out| {
        read_text(source, &mut text, out)
    })?;
    cancel.check()?;
    Ok(out.late_splits())
}

/// Whether some files of COCO are of a split by their names, and others of none.
fn only_some_name_a_split(source: &CaptionSource, cancel: &Cancel) -> Result<bool> {
    let (mut some, mut others) = (false, false);
    let mut nobody = |_| ControlFlow::Break(());
    each(source, Splits::Elsewhere, cancel, &mut nobody, &mut |text, _| {
        let named = coco::split_of(&text.member).is_some();
        (some, others) = (some || named, others || !named);
        Ok(Ok(()))
    })?;
    Ok(some && others)
}

/// Reads one text as its format says. An inner error is the text's, an outer one the source's.
fn read_text(
    source: &CaptionSource,
    text: &mut Text<'_>,
    out: &mut Collector<'_>,
) -> Result<io::Result<()>> {
    let cap = source.caps.line_bytes;
    let member = text.member.as_str();
    let shard = Shard { name: &text.name, member, offset: text.offset };
    match &source.format {
        CaptionFormat::Flickr => Ok(flickr::read(text.reader, member, cap, out)),
        format @ CaptionFormat::Csv { .. } => table::read(text.reader, member, cap, format, out),
        CaptionFormat::Coco => settle(coco::read(text.reader, member, cap, out), member, out),
        CaptionFormat::Karpathy => {
            settle(karpathy::read(text.reader, member, cap, out), member, out)
        }
        CaptionFormat::WebDatasetText => Ok(shards::read(text.reader, &shard, cap, None, out)),
        CaptionFormat::WebDatasetJson { field } => {
            Ok(shards::read(text.reader, &shard, cap, Some(field), out))
        }
    }
}

/// Looks whether a source can be read at all, before hours are spent on what comes first: that
/// its members are in their archives, and a table has the columns that were named. Shards are
/// left alone: they lie among the images.
///
/// # Errors
/// As [`read`].
pub fn probe(source: &CaptionSource, cancel: &Cancel) -> Result<()> {
    if in_shards(&source.format) {
        return Ok(());
    }
    let cap = source.caps.line_bytes;
    let mut nobody = |_| ControlFlow::Break(());
    let splits = Splits::Elsewhere;
    each(source, splits, cancel, &mut nobody, &mut |text, out| match &source.format {
        format @ CaptionFormat::Csv { .. } => {
            table::probe(text.reader, text.member.as_str(), cap, format, out)
        }
        _ => Ok(Ok(())),
    })?;
    Ok(())
}

fn in_shards(format: &CaptionFormat) -> bool {
    matches!(format, CaptionFormat::WebDatasetText | CaptionFormat::WebDatasetJson { .. })
}

/// Has every text of the source read.
fn each<'s>(
    source: &'s CaptionSource,
    splits: Splits,
    cancel: &Cancel,
    take: &'s mut Take<'s>,
    visit: &mut Each<'_, 's>,
) -> Result<Collector<'s>> {
    let place = |error: Error| error.at(format!("sources.{}: member", source.name));
    let usual: Vec<String> = usual_names(&source.format).iter().map(ToString::to_string).collect();
    let patterns = source.member.clone().map_or(usual, |member| vec![member]);
    let pick = Pick {
        globs: Globs::new(&patterns).map_err(place)?,
        shards: in_shards(&source.format),
        named: source.member.is_some(),
        patterns,
    };
    let mut out = Collector::new(&source.name, &source.id, splits, take);
    let labels = names::labels(&source.paths);
    let (mut any, mut lacking) = (false, None);
    for (path, label) in source.paths.iter().zip(&labels) {
        let label = (labels.len() > 1).then_some(label.as_str());
        let opener = Opener { path, label, caps: &source.caps, pick: &pick, cancel };
        let lacks = opener.each(&mut out, &mut |text, out| {
            cancel.check()?;
            if out.is_closed() {
                // who took them failed, and says why
                return Err(Error::new(Kind::Internal, "nobody takes captions any more"));
            }
            visit(text, out)
        })?;
        match lacks {
            None => any = true,
            // a broken shard is no reason to lose the others
            Some(error) if pick.shards => {
                lacking.get_or_insert(error);
            }
            Some(error) => return Err(error),
        }
    }
    match lacking {
        Some(error) if !any => Err(error),
        _ => Ok(out),
    }
}

/// What a format's file is usually called inside an archive.
fn usual_names(format: &CaptionFormat) -> &'static [&'static str] {
    match format {
        CaptionFormat::Flickr => &["*.token", "*.token.txt", "*.caption.txt"],
        CaptionFormat::Csv { .. } => &["*.csv", "*.tsv"],
        CaptionFormat::Coco => &["captions_*.json"],
        CaptionFormat::Karpathy => &["dataset*.json"],
        CaptionFormat::WebDatasetText => &["*.txt"],
        CaptionFormat::WebDatasetJson { .. } => &["*.json"],
    }
}
