//! The survey of a pass over images: what it would do, member by member.
//!
//! Contents are read only where the answer hangs on them and no kept index tells: an image of
//! which the store knows nothing is new, whatever its bytes.

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::base::{Digest, Result};
use crate::flow::Reject;
use crate::plan::stage::{EmbedImages, IndexImages};
use crate::plan::{Reason, Stage, Work};
use crate::sources::{Archive, Member};

use super::book::Book;
use super::context::Context;
use super::foresight::Features;
use super::images;
use super::indexes;
use super::key::Key;
use super::ledger::Ledger;
use super::lookout::Sight;
use super::overlap::joined;
use super::pass::{Listed, Needs, Pass};
use super::report::Foreseen;
use super::state::FETCHED;

/// Members whose contents are read between two looks at the wish to stop.
const CHUNK: usize = 64;

/// Judges every member of a source for the table of images and those made from it. With
/// `rows_below` there are rows further down that may hang on a content, too.
pub(super) fn survey(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    (stage, work): (&Stage, &IndexImages),
    dependents: Vec<(&Stage, &EmbedImages)>,
    rows_below: bool,
) -> Result<Vec<Foreseen>> {
    // What is stored is read while the sources are listed, which one thread does.
    let shared = &*ctx;
    let (listed, pass) = std::thread::scope(|scope| {
        let listed = scope.spawn(|| images::list(shared, work));
        let pass = Pass::new(shared, ledger, stage, work, dependents);
        (joined(listed), pass)
    });
    let mut listed = listed?;
    let mut learned = indexes::stream(ctx, &mut listed)?;
    let pass = pass?;
    let unreadable = learn(ctx, &pass, rows_below, &mut listed, &mut learned)?;
    keep(ctx, &listed, &learned);
    for reject in listed.rejects.iter().flatten() {
        ledger.refuse(&stage.table, &pass.prints.plain, reject.clone());
    }
    let mut book = Book::new(&pass, ledger, &listed);
    let lost: BTreeSet<_> = unreadable.iter().map(|reject| reject.origin.clone()).collect();
    for reject in unreadable {
        book.lost(reject);
    }
    let mut world = World::of(ctx, &pass);
    for (archive, members) in listed.archives.iter().zip(&listed.members) {
        for some in members.as_deref().unwrap_or_default().chunks(FETCHED) {
            // One thread judges and settles what is in its cache: two would wait for each other's.
            pass.fetch(some);
            for member in some {
                if !book.meet(member) || (!lost.is_empty() && lost.contains(&member.origin)) {
                    continue;
                }
                let digest = member.digest.unwrap_or(Digest::from_bytes([0; 32]));
                let needs = pass.needs(member, &digest);
                book.settle(member, &needs);
                replace_computed(&pass, member, &needs);
                watch(ctx, &pass, archive, member, &needs);
                world.add(member, &needs);
            }
        }
    }
    world.keep(ctx, &pass);
    listed.tell(&mut ctx.report, &work.source, 0);
    book.refuse_doubles(&listed);
    let Book { counts, ledger, .. } = book;
    let mut foreseen = Vec::new();
    for ((stage, _, state), mut counts) in pass.tables().zip(counts) {
        ledger.complete(&stage.table);
        ctx.watch_removed(stage, state);
        counts.add_many(Reason::Removed, state.unseen());
        foreseen.push(Foreseen::of(stage, state, counts));
    }
    Ok(foreseen)
}

/// Rows that would be computed take the place of the stored ones.
fn replace_computed(pass: &Pass<'_>, member: &Member, needs: &Needs) {
    if !needs.bytes() {
        return;
    }
    let key = Key::image(&member.image_id);
    let reasons = std::iter::once(needs.index).chain(needs.targets.iter().copied());
    for (reason, (_, _, state)) in reasons.zip(pass.tables()) {
        if reason.computes() {
            state.replace(&key);
        }
    }
}

/// Reads the contents on which an answer hangs; gives the members that cannot be read.
fn learn(
    ctx: &Context<'_>,
    pass: &Pass<'_>,
    rows_below: bool,
    listed: &mut Listed,
    learned: &mut BTreeSet<usize>,
) -> Result<Vec<Reject>> {
    let mut rejects = Vec::new();
    // Examples are not found by their image alone. Rows of theirs may outlive the features.
    let archives = listed.archives.iter().zip(&mut listed.members).enumerate();
    for (number, (archive, members)) in archives {
        let doubles = &listed.doubles;
        let mut unknown: Vec<&mut Member> = members
            .iter_mut()
            .flatten()
            .filter(|member| member.digest.is_none() && !doubles.contains(&member.image_id))
            .filter(|member| pass.content_matters(member) || rows_below)
            .collect();
        if !unknown.is_empty() {
            learned.insert(number);
        }
        for chunk in unknown.chunks_mut(CHUNK) {
            ctx.options.cancel.check()?;
            let read: Vec<_> = chunk.par_iter_mut().map(|m| content(archive, m)).collect();
            rejects.extend(read.into_iter().flatten());
        }
    }
    Ok(rejects)
}

/// Takes the digest of a member's content.
fn content(archive: &Archive, member: &mut Member) -> Option<Reject> {
    match archive.read(member) {
        Ok(bytes) => {
            member.digest = Some(Digest::of(&bytes));
            None
        }
        Err(reject) => Some(reject),
    }
}

/// Keeps what was learned, so that it is not read again. An index is a cache: one that cannot
/// be written costs time and no more. Where there is no store yet none is begun.
fn keep(ctx: &Context<'_>, listed: &Listed, learned: &BTreeSet<usize>) {
    if !ctx.store.is_there() {
        return;
    }
    if let Err(error) = indexes::keep(listed, learned) {
        tracing::debug!(%error, "no index was kept");
    }
}

fn watch(ctx: &Context<'_>, pass: &Pass<'_>, archive: &Archive, member: &Member, needs: &Needs) {
    let reasons = std::iter::once(needs.index).chain(needs.targets.iter().copied());
    for (reason, (stage, _, state)) in reasons.zip(pass.tables()) {
        ctx.watch(&member.image_id, || {
            let key = Key::image(&member.image_id);
            let mut sight = Sight::new(stage, key, reason, state)
                .at(&member.origin)
                .sized(member.size_bytes)
                .inside(archive.path());
            sight.digest = member.digest;
            sight
        });
    }
}

/// What tables further down will find.
struct World {
    images: Option<BTreeSet<String>>,
    features: Vec<Option<Features>>,
}

impl World {
    fn of(ctx: &Context<'_>, pass: &Pass<'_>) -> Self {
        let read = |table: &str| {
            ctx.plan.stages.iter().any(|stage| {
                !matches!(stage.work, Work::EmbedImages(_)) && stage.work.reads().contains(&table)
            })
        };
        let features = pass.targets.iter().map(|target| {
            let fingerprint = target.prints.plain.clone();
            read(&target.stage.table).then(|| Features { fingerprint, rows: Vec::new() })
        });
        Self { images: read(&pass.stage.table).then(BTreeSet::new), features: features.collect() }
    }

    fn add(&mut self, member: &Member, needs: &Needs) {
        let id = &member.image_id;
        if let Some(images) =
            self.images.as_mut().filter(|_| needs.index != Reason::RejectedEarlier)
        {
            images.insert(id.clone());
        }
        for (features, reason) in self.features.iter_mut().zip(&needs.targets) {
            if let Some(features) = features.as_mut().filter(|_| *reason != Reason::RejectedEarlier)
            {
                features.rows.push((id.clone(), member.digest));
            }
        }
    }

    fn keep(self, ctx: &mut Context<'_>, pass: &Pass<'_>) {
        let Some(foresight) = &mut ctx.foresight else { return };
        if let Some(images) = self.images {
            foresight.images.insert(pass.stage.table.clone(), images);
        }
        for (target, features) in pass.targets.iter().zip(self.features) {
            if let Some(features) = features {
                foresight.features.insert(target.stage.table.clone(), features);
            }
        }
    }
}
