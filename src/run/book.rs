//! What a pass over images decides, member by member, in their order.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Digest;
use crate::embed::ImageEncoder;
use crate::flow::{Fidelity, Origin, Reject};
use crate::plan::{Counts, Reason};
use crate::sources::{self, Member};

use super::key::Key;
use super::ledger::Ledger;
use super::pass::{Listed, Needs, Pass};
use super::recipe::refusal;

/// The decisions of a pass so far.
#[derive(Debug)]
pub(super) struct Book<'p, 'l> {
    pass: &'p Pass<'p>,
    pub ledger: &'l mut Ledger,
    /// Of the images, then of each target.
    pub counts: Vec<Counts>,
    /// Where each image of the source is, and what was booked for it; finds ids that streams name
    /// twice. None where every listing is known.
    seen: Option<BTreeMap<String, Seen>>,
    /// Ids that two members have: neither is taken.
    pub doubled: BTreeSet<String>,
    /// Rows whose content is known but stands elsewhere now.
    pub moved: BTreeMap<String, Member>,
    /// Images whose bytes were looked at.
    pub looked_at: u64,
    /// Digests that were learned of members of known listings: archive, number, digest.
    pub learned: Vec<(usize, u32, Digest)>,
    /// Members of streams, with their digests, by archive.
    pub streamed: BTreeMap<usize, Vec<Member>>,
    /// What streams could not make a member of, by archive.
    pub unread: BTreeMap<usize, Vec<Reject>>,
    /// Models that were loaded, by target.
    pub encoders: Vec<Option<ImageEncoder>>,
    /// How near the rows of each target are to those in f32, where that was measured.
    pub fidelity: Vec<Option<Fidelity>>,
}

/// A member that was met.
#[derive(Debug)]
struct Seen {
    origin: Origin,
    booked: Vec<Reason>,
}

impl<'p, 'l> Book<'p, 'l> {
    pub(super) fn new(pass: &'p Pass<'p>, ledger: &'l mut Ledger, listed: &Listed) -> Self {
        let streams = listed.members.iter().any(Option::is_none);
        Self {
            pass,
            ledger,
            counts: vec![Counts::default(); pass.targets.len() + 1],
            seen: streams.then(BTreeMap::new),
            doubled: listed.doubles.clone(),
            moved: BTreeMap::new(),
            looked_at: 0,
            learned: Vec::new(),
            streamed: BTreeMap::new(),
            unread: BTreeMap::new(),
            encoders: Vec::new(),
            fidelity: Vec::new(),
        }
    }

    /// The bytes of a member were read; what was learned is for the archive's index.
    pub(super) fn looked(&mut self, member: &Member, number: Option<u32>) {
        self.looked_at += 1;
        match (number, member.digest) {
            (Some(number), Some(digest)) => self.learned.push((member.archive, number, digest)),
            _ => self.streamed.entry(member.archive).or_default().push(member.clone()),
        }
    }

    /// How many members and rejects streams gave.
    pub(super) fn met_in_streams(&self) -> usize {
        let members: usize = self.streamed.values().map(Vec::len).sum();
        members + self.unread.values().map(Vec::len).sum::<usize>()
    }

    /// Gives the members of known listings the digests that were learned; says of which archives.
    pub(super) fn learn(&mut self, listed: &mut Listed) -> BTreeSet<usize> {
        let mut archives = BTreeSet::new();
        for (archive, number, digest) in std::mem::take(&mut self.learned) {
            let members = listed.members.get_mut(archive).and_then(Option::as_mut);
            if let Some(member) = members.and_then(|of| of.get_mut(number as usize)) {
                member.digest = Some(digest);
                archives.insert(archive);
            }
        }
        archives
    }

    /// Notes where an id was found. A second place refuses both: false.
    pub(super) fn meet(&mut self, member: &Member) -> bool {
        let id = &member.image_id;
        if self.doubled.contains(id) {
            return false;
        }
        let Some(seen) = &mut self.seen else { return true };
        let Some(first) = seen.get(id) else {
            let now = Seen { origin: member.origin.clone(), booked: Vec::new() };
            seen.insert(id.clone(), now);
            return true;
        };
        if first.origin == member.origin {
            return true;
        }
        for (counts, reason) in self.counts.iter_mut().zip(&first.booked) {
            counts.take_back(*reason);
        }
        self.doubled.insert(id.clone());
        self.moved.remove(id);
        for (_, _, state) in self.pass.tables() {
            state.forget(&Key::image(id));
        }
        false
    }

    /// Refuses every member whose id another one has, in the words in which the next run will find
    /// them in the kept indexes.
    pub(super) fn refuse_doubles(&mut self, listed: &Listed) {
        if self.doubled.is_empty() {
            return;
        }
        let mut same = Vec::new();
        for (number, known) in listed.members.iter().enumerate() {
            let members = known.as_ref().or_else(|| self.streamed.get(&number));
            let members = members.into_iter().flatten();
            same.extend(members.filter(|m| self.doubled.contains(&m.image_id)).cloned());
        }
        for reject in sources::duplicates(&mut same) {
            self.ledger.refuse(&self.pass.stage.table, &self.pass.prints.plain, reject);
        }
    }

    /// Books why each table does, or does not, make a row of this member; settles what needs no
    /// bytes.
    pub(super) fn settle(&mut self, member: &Member, needs: &Needs) {
        let key = Key::image(&member.image_id);
        let reasons = std::iter::once(needs.index).chain(needs.targets.iter().copied());
        let digest = member.digest.unwrap_or_else(|| Digest::of(&[]));
        let booked: Vec<_> = reasons
            .clone()
            .zip(self.pass.tables())
            .map(|(reason, (_, _, state))| state.booked(reason, &key, &digest))
            .collect();
        for (counts, reason) in self.counts.iter_mut().zip(&booked) {
            counts.add(*reason);
        }
        if let Some(seen) = self.seen.as_mut().and_then(|seen| seen.get_mut(&member.image_id)) {
            seen.booked = booked;
        }
        if let Some(fault) = self.pass.oversized.get(&digest) {
            self.refused(0, refusal(member, digest, fault.clone()));
            return;
        }
        for (reason, (stage, prints, state)) in reasons.zip(self.pass.tables()) {
            // A row that is computed takes the old one's place when it is there.
            if !reason.computes() {
                state.settle(&key, reason);
            }
            match reason {
                Reason::Moved => {
                    self.moved.insert(member.image_id.clone(), member.clone());
                }
                Reason::RejectedEarlier => self.ledger.carry(&stage.table, prints, member),
                _ => {}
            }
        }
    }

    /// A new row of the table `number` is on its way.
    pub(super) fn made(&mut self, number: usize, image_id: &str) {
        if self.doubled.contains(image_id) {
            return;
        }
        if let Some((_, _, state)) = self.pass.tables().nth(number) {
            state.replace(&Key::image(image_id));
        }
    }

    /// A member has no content: its rows go with those that no source names.
    pub(super) fn lost(&mut self, reject: Reject) {
        if reject.image_id.as_ref().is_none_or(|id| !self.doubled.contains(id)) {
            let Pass { stage, prints, .. } = self.pass;
            self.ledger.refuse(&stage.table, prints.of(reject.class), reject);
        }
    }

    /// The table `number` refused this member; its old row goes.
    pub(super) fn refused(&mut self, number: usize, reject: Reject) {
        if reject.image_id.as_ref().is_some_and(|id| self.doubled.contains(id)) {
            return;
        }
        if let Some((stage, prints, state)) = self.pass.tables().nth(number) {
            if let Some(id) = &reject.image_id {
                state.refuse(&Key::image(id));
                if number == 0 {
                    for target in &self.pass.targets {
                        target.state.refuse(&Key::image(id));
                    }
                }
            }
            self.ledger.refuse(&stage.table, prints.of(reject.class), reject);
        }
    }
}
