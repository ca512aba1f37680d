//! What a pass over a source of images knows when it begins.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::units::count;
use crate::base::{Digest, Result};
use crate::decode::Fault;
use crate::flow::{Preprocessing, Reject};
use crate::plan::source::ImageSource;
use crate::plan::stage::{EmbedImages, IndexImages};
use crate::plan::{Reason, Stage};
use crate::sources::{Archive, Member};

use super::context::Context;
use super::key::{Columns, Key, place};
use super::ledger::{Before, Ledger, Prints};
use super::oversized::oversized;
use super::report::RunReport;
use super::state::State;

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
    pub prints: Prints,
    pub preprocessing: Preprocessing,
    pub state: State,
}

/// A pass: what was known when it began. Threads share it; what it decides is in [`super::book::Book`].
#[derive(Debug)]
pub(super) struct Pass<'a> {
    pub stage: &'a Stage,
    pub work: &'a IndexImages,
    pub prints: Prints,
    pub state: State,
    pub targets: Vec<Target<'a>>,
    pub before: std::sync::Arc<Before>,
    /// Contents of stored images that have more pixels than may be now.
    pub oversized: BTreeMap<Digest, Fault>,
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
    pub(super) fn new(
        ctx: &Context<'_>,
        ledger: &Ledger,
        stage: &'a Stage,
        work: &'a IndexImages,
        dependents: Vec<(&'a Stage, &'a EmbedImages)>,
    ) -> Result<Self> {
        let limits = [work.max_pixels, work.max_memory_bytes];
        let prints = |stage: &Stage| Prints::decoding(&stage.fingerprint, limits);
        let units = ctx.handed_out.as_deref();
        let state = State::load(&ctx.store, stage, IMAGES)?.with_units(units);
        let mut targets = Vec::new();
        for (stage, work) in dependents {
            ctx.options.cancel.check()?;
            targets.push(Target {
                stage,
                work,
                prints: prints(stage),
                preprocessing: crate::embed::describe(&work.model)?.preprocessing,
                state: State::load(&ctx.store, stage, FEATURES)?.with_units(units),
            });
        }
        let prints = prints(stage);
        let oversized = oversized(&ctx.store, stage, &state, work.max_pixels)?;
        Ok(Self { stage, work, prints, state, targets, before: ledger.before(), oversized })
    }

    /// Whether what has to be done for a member hangs on its content: it does not where nothing
    /// is stored of its id, and nothing was refused.
    pub(super) fn content_matters(&self, member: &Member) -> bool {
        let key = Key::image(&member.image_id);
        !self.oversized.is_empty()
            || self
                .tables()
                .any(|(stage, _, state)| state.knows(&key) || self.before.refused_any(&stage.table))
    }

    /// Has the stored rows of a few members at hand, [`FETCHED`](super::state::FETCHED) or so, before
    /// each is judged and settled by this thread.
    pub(super) fn fetch(&self, of: &[Member]) {
        let keys: Vec<_> = of.iter().map(|member| Key::image(&member.image_id)).collect();
        self.tables().for_each(|(_, _, state)| state.fetch(&keys));
    }

    /// What has to be done for a member of this content.
    pub(super) fn needs(&self, member: &Member, digest: &Digest) -> Needs {
        let key = &Key::image(&member.image_id);
        if self.before.refused(&self.stage.table, digest, &self.prints).is_some()
            || self.oversized.contains_key(digest)
        {
            let targets = vec![Reason::RejectedEarlier; self.targets.len()];
            return Needs { index: Reason::RejectedEarlier, targets };
        }
        let here = place(
            &member.origin.source,
            &member.origin.member,
            member.origin.offset,
            member.size_bytes,
        );
        let index = self.state.judge(key, digest, here);
        let targets = self.targets.iter().map(|target| {
            match self.before.refused(&target.stage.table, digest, &target.prints) {
                Some(_) => Reason::RejectedEarlier,
                None => target.state.judge(key, digest, 0),
            }
        });
        Needs { index, targets: targets.collect() }
    }

    /// The tables of the pass, in the order of its sinks: the images, then each target.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&'a Stage, &Prints, &State)> {
        std::iter::once((self.stage, &self.prints, &self.state))
            .chain(self.targets.iter().map(|t| (t.stage, &t.prints, &t.state)))
    }
}

/// What the archives of a source hold, as far as it is known before they are read.
#[derive(Debug)]
pub(super) struct Listed {
    pub archives: Vec<Archive>,
    /// Members of archives whose listing is known, by archive; none for streams. Those with one
    /// id are all there, as an index keeps them.
    pub members: Vec<Option<Vec<Member>>>,
    /// By archive, as its index keeps them.
    pub rejects: Vec<Vec<Reject>>,
    /// Ids that two members of known listings have.
    pub doubles: BTreeSet<String>,
}

impl Listed {
    /// Members that were passed over.
    fn ignored(&self) -> u64 {
        self.archives.iter().map(Archive::ignored).sum()
    }

    /// Tells how many members were passed over, and of a source that holds no image. `others` were met
    /// beside what is listed.
    pub(super) fn tell(&self, report: &mut RunReport, source: &ImageSource, others: usize) {
        let (ignored, name) = (self.ignored(), &source.name);
        report.ignored += ignored;
        let members: usize = self.members.iter().flatten().map(Vec::len).sum();
        let rejects: usize = self.rejects.iter().map(Vec::len).sum();
        if members + rejects + others > 0 {
            return;
        }
        report.notes.push(if source.include.is_empty() || ignored == 0 {
            format!("{name}: it holds no image")
        } else {
            let globs = source.include.join("`, `");
            format!(
                "{name}: it holds no image that `include` (`{globs}`) names; members left out: {}",
                count(ignored)
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Cancel, files};
    use crate::plan::source::{Caps, IdRule, ImageSourceKind};
    use crate::sources::{Listing, open};

    #[test]
    fn a_source_without_images_is_told_of_and_so_is_an_include_that_names_none() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("photos");
        for name in ["a.jpg", "b.jpg", "c.txt"] {
            files::write_atomic(&root.join(name), |_| Ok(())).unwrap();
        }
        let told = |root: &std::path::Path, include: &[&str]| {
            let source = ImageSource {
                name: "photos".into(),
                kind: ImageSourceKind::Folder,
                paths: vec![root.to_owned()],
                id: IdRule::Stem,
                include: include.iter().map(|glob| (*glob).to_owned()).collect(),
                caps: Caps::default(),
            };
            let archives = open(&source, dir.path()).unwrap();
            let Listing::Known { members, rejects } = archives[0].list(&Cancel::new()).unwrap()
            else {
                panic!("a folder is listed")
            };
            let listed = Listed {
                archives,
                members: vec![Some(members)],
                rejects: vec![rejects],
                doubles: BTreeSet::new(),
            };
            let mut report = RunReport::default();
            listed.tell(&mut report, &source, 0);
            (report.ignored, report.notes)
        };
        let none = |more: &str| format!("photos: it holds no image{more}");
        assert_eq!(told(&root, &[]), (1, vec![]));
        assert_eq!(told(&root, &["*.tif", "a.*"]), (2, vec![]));
        let left_out = " that `include` (`*.tif`, `x.*`) names; members left out: 3";
        assert_eq!(told(&root, &["*.tif", "x.*"]), (3, vec![none(left_out)]));
        let empty = dir.path().join("empty");
        files::make_folder(&empty).unwrap();
        assert_eq!(told(&empty, &[]), (0, vec![none("")]));
    }
}
