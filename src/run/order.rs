//! Which stages a run or a plan goes through, and whether what they read from can be read.

use std::collections::BTreeSet;
use std::path::Path;

use crate::base::{Cancel, Error, Kind, Result};
use crate::plan::stage::{EmbedImages, ReadCaptions, SplitRule};
use crate::plan::{Plan, Stage, Work};
use crate::sources;

/// The tables of features that are made in the pass over the table `images`.
pub(super) fn dependents<'p>(
    plan: &'p Plan,
    images: &str,
    wanted: &BTreeSet<&str>,
) -> Vec<(&'p Stage, &'p EmbedImages)> {
    plan.stages
        .iter()
        .filter(|stage| wanted.contains(stage.table.as_str()))
        .filter_map(|stage| match &stage.work {
            Work::EmbedImages(work) if work.images == images => Some((stage, work)),
            _ => None,
        })
        .collect()
}

/// The tables asked for, and all that they are made from.
///
/// # Errors
/// [`Kind::Usage`] for a table that no stage makes.
pub(super) fn wanted<'p>(plan: &'p Plan, only: &'p [String]) -> Result<BTreeSet<&'p str>> {
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    for table in only {
        if plan.stage(table).is_none() {
            let names: Vec<_> = plan.stages.iter().map(|s| s.table.as_str()).collect();
            return Err(Error::new(Kind::Usage, format!("no stage makes a table `{table}`"))
                .help(format!("the definition makes: {}", names.join(", "))));
        }
        wanted.insert(table);
    }
    if only.is_empty() {
        wanted.extend(plan.stages.iter().map(|stage| stage.table.as_str()));
    }
    for stage in plan.stages.iter().rev() {
        if wanted.contains(stage.table.as_str()) {
            wanted.extend(stage.work.reads());
            let trainer = stage.work.model().and_then(|model| model.trained_by.as_deref());
            wanted.extend(trainer);
        }
    }
    Ok(wanted)
}

/// Looks at the beginning of everything that the stages `wanted` read from, and at all of split files,
/// so that all that cannot be read is told at once, before anything is computed.
///
/// # Errors
/// All of it, in one; [`Kind::Interrupted`].
pub(super) fn readable(
    plan: &Plan,
    wanted: &BTreeSet<&str>,
    index_folder: &Path,
    cancel: &Cancel,
) -> Result<()> {
    let mut errors = Vec::new();
    for stage in plan.stages.iter().filter(|stage| wanted.contains(stage.table.as_str())) {
        let looked = match &stage.work {
            Work::IndexImages(work) => vec![sources::probe(&work.source, index_folder)],
            Work::ReadCaptions(work) => {
                vec![sources::captions::probe(&work.source, cancel), splits(work)]
            }
            _ => Vec::new(),
        };
        for error in looked.into_iter().filter_map(Result::err) {
            cancel.check()?;
            errors.push(error);
        }
    }
    Error::all(errors)
}

fn splits(work: &ReadCaptions) -> Result<()> {
    match &work.split {
        SplitRule::Listed(source) => sources::splits::read(source).map(drop),
        _ => Ok(()),
    }
}
