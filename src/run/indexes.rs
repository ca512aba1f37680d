//! Indexes of archives: what no index tells is found by streaming, and what was learned is kept.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::base::Result;
use crate::sources::{self, Item};

use super::context::Context;
use super::pass::Listed;

/// Streams the archives of which no index is kept, to know what they hold; gives their numbers.
///
/// # Errors
/// When an archive cannot be read, or the run is to stop.
pub(super) fn stream(ctx: &Context<'_>, listed: &mut Listed) -> Result<BTreeSet<usize>> {
    let mut learned = BTreeSet::new();
    for (number, archive) in listed.archives.iter().enumerate() {
        if listed.members.get(number).is_none_or(Option::is_some) {
            continue;
        }
        let (mut members, mut rejects) = (Vec::new(), Vec::new());
        archive.stream(
            &mut |member| {
                members.push(member.clone());
                false
            },
            &mut |item| {
                if let Item::Reject(reject) = item {
                    rejects.push(reject);
                }
                ControlFlow::Continue(())
            },
            &ctx.options.cancel,
        )?;
        if let Some(slot) = listed.members.get_mut(number) {
            *slot = Some(members);
        }
        if let Some(slot) = listed.rejects.get_mut(number) {
            *slot = rejects;
        }
        learned.insert(number);
    }
    if !learned.is_empty() {
        listed.doubles = sources::doubled(listed.members.iter().flatten().flatten());
    }
    Ok(learned)
}

/// Writes what is known of the archives that are listed, so that it is not read again: of those in
/// `learned`, of which more is known than when they were listed, and of those whose kept index does
/// not hold what was listed.
///
/// # Errors
/// The first index that cannot be written; the others are.
pub(super) fn keep(listed: &Listed, learned: &BTreeSet<usize>) -> Result<()> {
    let mut outcome = Ok(());
    let parts = listed.archives.iter().zip(&listed.members).zip(&listed.rejects);
    for (number, ((archive, members), rejects)) in parts.enumerate() {
        let Some(members) = members else { continue };
        if learned.contains(&number) || !archive.index_holds() {
            outcome = outcome.and(archive.keep_index(members, rejects));
        }
    }
    outcome
}
