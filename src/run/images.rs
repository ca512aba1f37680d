//! One pass over a source of images: the table that lists them, and every table of features
//! made from them.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Digest, Result};
use crate::flow::{Preprocessing, Reject};
use crate::plan::stage::{EmbedImages, IndexImages};
use crate::plan::{Reason, Stage};
use crate::sources::{self, Archive, Listing, Member};

use super::book::Book;
use super::context::Context;
use super::ledger::{Before, Ledger};
use super::overlap;
use super::publish::{self, Made};
use super::state::{Columns, Key, State, place};

/// Columns of the table of images.
pub(super) const IMAGES: Columns = Columns {
    has_caption_index: false,
    digest: "digest",
    place: &["source", "member", "offset", "size_bytes"],
};
/// Columns of tables of image features.
pub(super) const FEATURES: Columns =
    Columns { has_caption_index: false, digest: "input_digest", place: &[] };

/// A table of features that a pass makes.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub stage: &'a Stage,
    pub work: &'a EmbedImages,
    pub fingerprint: String,
    pub preprocessing: Preprocessing,
    pub state: State,
}

/// A pass: what was known when it began. Threads share it; what it decides is in [`Book`].
#[derive(Debug)]
pub(super) struct Pass<'a> {
    pub stage: &'a Stage,
    pub work: &'a IndexImages,
    pub fingerprint: String,
    pub state: State,
    pub targets: Vec<Target<'a>>,
    pub before: std::sync::Arc<Before>,
}

/// What an image's bytes are needed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needs {
    pub index: Reason,
    pub targets: Vec<Reason>,
}

impl Needs {
    /// Whether the bytes have to be looked at.
    pub(super) fn bytes(&self) -> bool {
        self.index.computes() || self.targets.iter().any(|reason| reason.computes())
    }
}

impl<'a> Pass<'a> {
    fn new(
        ctx: &Context<'_>,
        ledger: &Ledger,
        stage: &'a Stage,
        work: &'a IndexImages,
        dependents: Vec<(&'a Stage, &'a EmbedImages)>,
    ) -> Result<Self> {
        let state = State::load(&ctx.store, stage, IMAGES)?;
        let mut targets = Vec::new();
        for (stage, work) in dependents {
            targets.push(Target {
                stage,
                work,
                fingerprint: stage.fingerprint.digest().to_string(),
                preprocessing: crate::embed::describe(&work.model)?.preprocessing,
                state: State::load(&ctx.store, stage, FEATURES)?,
            });
        }
        let fingerprint = stage.fingerprint.digest().to_string();
        Ok(Self { stage, work, fingerprint, state, targets, before: ledger.before() })
    }

    /// What has to be done for a member of this content.
    pub(super) fn needs(&self, member: &Member, digest: &Digest) -> Needs {
        let key = Key::image(&member.image_id);
        if self.before.refused(&self.stage.table, digest, &self.fingerprint).is_some() {
            let targets = vec![Reason::RejectedEarlier; self.targets.len()];
            return Needs { index: Reason::RejectedEarlier, targets };
        }
        let here = place(
            &member.origin.source,
            &member.origin.member,
            member.origin.offset,
            member.size_bytes,
        );
        let index = match self.state.judge(&key, digest) {
            Reason::UpToDate if self.state.place_of(&key) != Some(here) => Reason::Moved,
            other => other,
        };
        let targets = self.targets.iter().map(|target| {
            match self.before.refused(&target.stage.table, digest, &target.fingerprint) {
                Some(_) => Reason::RejectedEarlier,
                None => target.state.judge(&key, digest),
            }
        });
        Needs { index, targets: targets.collect() }
    }

    /// The tables of the pass, in the order of its sinks: the images, then each target.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&'a Stage, &str, &State)> {
        std::iter::once((self.stage, self.fingerprint.as_str(), &self.state))
            .chain(self.targets.iter().map(|t| (t.stage, t.fingerprint.as_str(), &t.state)))
    }
}

/// What the archives of a source hold, as far as it is known before they are read.
#[derive(Debug)]
pub(super) struct Listed {
    pub archives: Vec<Archive>,
    /// Members of archives whose listing is known, by archive; none for streams.
    pub members: Vec<Option<Vec<Member>>>,
    /// By archive, as its index keeps them.
    pub rejects: Vec<Vec<Reject>>,
    /// Ids that two members of known listings have.
    pub doubles: Vec<Reject>,
}

/// Opens and lists a source; members with one id in known listings are refused here.
fn list(ctx: &Context<'_>, work: &IndexImages) -> Result<Listed> {
    let archives = sources::open(&work.source, &ctx.index_folder())?;
    let mut known = Vec::new();
    let mut streamed = BTreeSet::new();
    let mut rejects = Vec::new();
    for (number, archive) in archives.iter().enumerate() {
        ctx.options.cancel.check()?;
        match archive.list(&ctx.options.cancel)? {
            Listing::Known { members, rejects: bad } => {
                known.extend(members);
                rejects.push(bad);
            }
            Listing::Streamed => {
                streamed.insert(number);
                rejects.push(Vec::new());
            }
        }
    }
    let doubles = sources::duplicates(&mut known);
    let mut members: Vec<_> =
        (0..archives.len()).map(|n| (!streamed.contains(&n)).then(Vec::new)).collect();
    for member in known {
        if let Some(Some(of)) = members.get_mut(member.archive) {
            of.push(member);
        }
    }
    Ok(Listed { archives, members, rejects, doubles })
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
    let listed = list(ctx, work)?;
    for reject in listed.rejects.iter().flatten().chain(&listed.doubles) {
        ledger.refuse(&stage.table, &pass.fingerprint, reject.clone());
    }
    let mut book = Book::new(&pass, ledger);
    let done = overlap::drive(ctx, &pass, &mut book, &listed)?;
    ctx.report.images += book.looked_at;
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
        // Features of images that break their contract are not shown beside the old images.
        held = number == 0 && !published;
    }
    Ok(())
}
