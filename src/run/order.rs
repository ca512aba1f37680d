//! Which stages a run or a plan goes through.

use std::collections::BTreeSet;

use crate::base::{Error, Kind, Result};
use crate::plan::stage::EmbedImages;
use crate::plan::{Plan, Stage, Work};

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
