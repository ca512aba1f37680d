//! One pass over a source of images: the table that lists them, and every table of features
//! made from them.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Result;
use crate::plan::Stage;
use crate::plan::stage::{EmbedImages, IndexImages};
use crate::sources::{self, Listing};

use super::book::Book;
use super::context::Context;
use super::ledger::Ledger;
use super::overlap;
use super::pass::{FEATURES, IMAGES, Listed, Pass};
use super::publish::{self, Made};

/// Opens and lists a source, as far as that can be done without streaming.
pub(super) fn list(ctx: &Context<'_>, work: &IndexImages) -> Result<Listed> {
    let archives = sources::open(&work.source, &ctx.index_folder())?;
    let mut listed = Listed {
        archives: Vec::new(),
        members: Vec::new(),
        rejects: Vec::new(),
        doubles: BTreeSet::new(),
    };
    for archive in &archives {
        ctx.options.cancel.check()?;
        match archive.list(&ctx.options.cancel)? {
            Listing::Known { members, rejects } => {
                listed.members.push(Some(members));
                listed.rejects.push(rejects);
            }
            Listing::Streamed => {
                listed.members.push(None);
                listed.rejects.push(Vec::new());
            }
        }
    }
    listed.archives = archives;
    listed.doubles = sources::doubled(listed.members.iter().flatten().flatten());
    Ok(listed)
}

/// Runs the pass and publishes its tables: the images first, then what is made from them.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &IndexImages,
    dependents: Vec<(&Stage, &EmbedImages)>,
) -> Result<()> {
    let pass = Pass::new(ctx, ledger, stage, work, dependents)?;
    for (stage, _, state) in pass.tables() {
        state.clean(&ctx.store, stage)?;
    }
    let mut listed = list(ctx, work)?;
    for reject in listed.rejects.iter().flatten() {
        ledger.refuse(&stage.table, &pass.prints.plain, reject.clone());
    }
    let mut book = Book::new(&pass, ledger, &listed);
    let done = overlap::drive(ctx, &pass, &mut book, &mut listed)?;
    ctx.report.images += book.looked_at;
    // of a stream that was left nothing is known to be lacking
    let others = book.met_in_streams() + usize::from(!done.complete);
    listed.tell(&mut ctx.report, &work.source, others);
    let Book { counts, doubled, moved, ledger, .. } = book;
    let mut held = false;
    let nothing = BTreeMap::new();
    for (number, ((stage, _, state), parts)) in pass.tables().zip(done.parts).enumerate() {
        if done.complete {
            ledger.complete(&stage.table);
        }
        if held {
            ctx.hold_back(stage);
            continue;
        }
        let made = Made {
            parts,
            columns: if number == 0 { IMAGES } else { FEATURES },
            without: &doubled,
            complete: done.complete,
            counts: counts.get(number).copied().unwrap_or_default(),
            moved: if number == 0 { &moved } else { &nothing },
        };
        let published = publish::publish(ctx, ledger, stage, state, made)?;
        // Features of images that break their contract are not shown beside the old images; a run
        // that was stopped shows none anyway.
        held = number == 0 && !published && done.complete;
    }
    Ok(())
}
