//! What a table holds now, and what a run decides about each of its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::base::{Digest, Kind, Result};
use crate::plan::{Fingerprint, Reason, Stage};
use crate::table::{Snapshot, StagedPart, Store, total_rows};

use super::key::{Columns, Key, Keys, Places, Short, ends};
use super::stored::{Fate, Row, Stored};
use super::tally::Tally;

/// Keys whose rows are fetched together: what is fetched of them stays in a core's first cache.
pub(super) const FETCHED: usize = 64;

/// The rows of a table's newest version, by key.
#[derive(Debug)]
pub(super) struct State {
    pub snapshot: Option<Snapshot>,
    stored: Stored,
    /// What made the newest version, and what would make the next.
    pub before: Fingerprint,
    pub facts: Fingerprint,
    /// How rows of each fingerprint differ from those made now.
    stale: Vec<Option<Reason>>,
    damaged: BTreeSet<u32>,
    /// Whether the newest version was checked against another contract than the stage has now.
    pub contract_changed: bool,
    now: String,
    /// Parts of earlier runs that no version names yet, and their rows.
    pub staged: Vec<StagedPart>,
    /// Parts that no version will ever name: of another fingerprint, or unreadable.
    spoilt: Vec<StagedPart>,
    resumed: BTreeMap<Short, Resumed>,
    /// What the units of this very run are called: their rows were computed, not resumed.
    handed_out: Option<String>,
}

/// A row that an earlier run computed and did not publish.
#[derive(Debug)]
struct Resumed {
    part: usize,
    digest: Digest,
    /// Where the content stood; 0 in tables that are made from tables.
    place: u64,
    taken: AtomicBool,
}

impl State {
    /// Reads the keys and digests of the newest version of `table`.
    ///
    /// # Errors
    /// When the table cannot be opened or read.
    pub(super) fn load(store: &Store, stage: &Stage, columns: Columns) -> Result<Self> {
        let fingerprint = &stage.fingerprint;
        let now = fingerprint.digest().to_string();
        let snapshot = store.snapshot(&stage.table)?;
        let mut state = Self {
            snapshot: None,
            stored: Stored::default(),
            before: Fingerprint::default(),
            facts: fingerprint.clone(),
            stale: Vec::new(),
            damaged: BTreeSet::new(),
            contract_changed: false,
            now,
            staged: Vec::new(),
            spoilt: Vec::new(),
            resumed: BTreeMap::new(),
            handed_out: None,
        };
        state.read_staged(store, stage, columns)?;
        let Some(snapshot) = snapshot else { return Ok(state) };
        // What another program committed since, such as a compaction, says nothing of its rows.
        if let Some(commit) = snapshot.noted_commit()? {
            let contract = stage.contract.digest();
            state.contract_changed = commit.contract.is_some_and(|kept| kept != contract);
            let facts = commit.note.map(|note| note.fingerprint_parts);
            state.before =
                facts.and_then(|facts| serde_json::from_value(facts).ok()).unwrap_or_default();
        }
        state.read(&snapshot, columns)?;
        state.snapshot = Some(snapshot);
        Ok(state)
    }

    fn read(&mut self, snapshot: &Snapshot, columns: Columns) -> Result<()> {
        let damaged: BTreeSet<_> = snapshot.damaged().into_iter().map(|d| d.path).collect();
        let mut whole = Vec::new();
        for (number, part) in snapshot.parts().iter().enumerate() {
            let number = part_number(number)?;
            if damaged.contains(&part.path) {
                self.damaged.insert(number);
            } else {
                whole.push(number);
            }
        }
        let (stored, unreadable) = Stored::read(snapshot, &whole, columns)?;
        self.damaged.extend(unreadable);
        let why = |fingerprint: &String| {
            (*fingerprint != self.now).then(|| self.before.stale_because(&self.facts))
        };
        self.stale = stored.fingerprints.iter().map(why).collect();
        self.stored = stored;
        Ok(())
    }

    /// Looks at parts that are durable and in no version: those made under the present
    /// fingerprint are taken over row by row, others are set aside.
    fn read_staged(&mut self, store: &Store, stage: &Stage, columns: Columns) -> Result<()> {
        for staged in store.staged(&stage.table)? {
            if staged.label.fingerprint != self.now {
                self.spoilt.push(staged);
                continue;
            }
            match self.rows_of(store, stage, columns, &staged) {
                Ok(rows) => {
                    self.resumed.extend(rows);
                    self.staged.push(staged);
                }
                // Its rows are computed again, as if it had never been written.
                Err(error) if error.kind() == Kind::Store => {
                    tracing::warn!(%error, "a staged part is left out");
                    self.spoilt.push(staged);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn rows_of(
        &self,
        store: &Store,
        stage: &Stage,
        columns: Columns,
        staged: &StagedPart,
    ) -> Result<Vec<(Short, Resumed)>> {
        let names = columns.names();
        let part = self.staged.len();
        let mut rows = Vec::new();
        for batch in store.scan_staged(&stage.table, &stage.contract, staged, &names)? {
            let batch = batch?;
            let keys = Keys::of(&batch, columns)?;
            let places = if columns.place.is_empty() { None } else { Some(Places::of(&batch)?) };
            for at in 0..batch.num_rows() {
                let place = places.as_ref().map_or(0, |places| places.value(at));
                let digest = keys.digest(at)?;
                let row = Resumed { part, digest, place, taken: AtomicBool::new(false) };
                rows.push((keys.key(at).short(), row));
            }
        }
        Ok(rows)
    }

    /// Throws away parts that no version will ever name. The store's lock is held.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub(super) fn clean(&self, store: &Store, stage: &Stage) -> Result<()> {
        store.discard_staged(&stage.table, &self.spoilt)
    }

    /// What has to happen to the row `key`, made from an input of `digest`, which stands at
    /// `place` (0 in tables made from tables).
    pub(super) fn judge(&self, key: &Key<'_>, digest: &Digest, place: u64) -> Reason {
        let reason = self.judge_stored(key, digest, place);
        // A row that says where its content stood before helps nobody once it stands elsewhere.
        let same = |row: &Resumed| row.digest == *digest && row.place == place;
        let resumed = || self.resumed.get(&key.short()).is_some_and(same);
        if reason.computes() && !self.resumed.is_empty() && resumed() {
            Reason::Resumed
        } else {
            reason
        }
    }

    /// Judges rows on all cores, each with what is stored of its key at hand; in their order.
    pub(super) fn judge_all<'t, T: Sync, J: Send>(
        &self,
        rows: &'t [T],
        key: impl Fn(&'t T) -> Key<'t> + Sync,
        judge: impl Fn(&'t T, Key<'t>) -> J + Sync,
    ) -> Vec<J> {
        let (key, judge) = (&key, &judge);
        let some = rows.par_chunks(FETCHED).flat_map_iter(|some| {
            let keys: Vec<_> = some.iter().map(key).collect();
            self.fetch(&keys);
            some.iter().zip(keys).map(move |(row, key)| judge(row, key))
        });
        some.collect()
    }

    /// Has the rows of these keys at hand before each is judged: [`FETCHED`] or so at a time.
    pub(super) fn fetch(&self, keys: &[Key<'_>]) {
        self.stored.fetch(keys);
    }

    /// Rows of units with such names count as computed by this run.
    pub(super) fn with_units(mut self, handed_out: Option<&str>) -> Self {
        self.handed_out = handed_out.map(str::to_owned);
        self
    }

    fn is_of_this_run(&self, row: &Resumed) -> bool {
        let part = self.staged.get(row.part);
        let ours = self.handed_out.as_deref().zip(part);
        ours.is_some_and(|(units, part)| part.label.unit.starts_with(units))
    }

    /// The reason to book for a row that was judged so: a row that another process of this run
    /// computed was not resumed, but new, or changed; and a stored one that is refused now goes.
    pub(super) fn booked(&self, reason: Reason, key: &Key<'_>, digest: &Digest) -> Reason {
        if reason == Reason::RejectedEarlier && self.stored.get(key).is_some() {
            return Reason::Removed;
        }
        let row = || self.resumed.get(&key.short());
        if reason == Reason::Resumed && row().is_some_and(|row| self.is_of_this_run(row)) {
            return match self.judge_stored(key, digest, 0) {
                // The place is of no account to a row that is computed.
                Reason::Moved => Reason::New,
                reason => reason,
            };
        }
        reason
    }

    /// Rows that other processes of this run computed and that were taken over.
    pub(super) fn taken_of_this_run(&self) -> u64 {
        let taken = |row: &&Resumed| row.taken.load(Ordering::Relaxed) && self.is_of_this_run(row);
        self.resumed.values().filter(taken).count() as u64
    }

    fn judge_stored(&self, key: &Key<'_>, digest: &Digest, place: u64) -> Reason {
        let Some(row) = self.stored.get(key) else {
            return if self.in_damaged(key) { Reason::PartDamaged } else { Reason::New };
        };
        if let Some(Some(stale)) = self.stale.get(usize::from(row.fingerprint)) {
            return *stale;
        }
        if row.digest != *digest {
            Reason::ContentChanged
        } else if row.place == place {
            Reason::UpToDate
        } else {
            Reason::Moved
        }
    }

    /// Whether anything about the row `key` hangs on its content.
    pub(super) fn knows(&self, key: &Key<'_>) -> bool {
        self.stored.get(key).is_some() || self.resumed.contains_key(&key.short())
    }

    /// Whether there are rows at all, stored or resumed.
    pub(super) fn has_rows(&self) -> bool {
        self.stored.iter().next().is_some() || !self.resumed.is_empty()
    }

    /// Input, fingerprint and part of the stored row `key`.
    pub(super) fn stored(&self, key: &Key<'_>) -> Option<(Digest, &str, &str)> {
        let row = self.stored.get(key)?;
        let fingerprint = self.stored.fingerprints.get(usize::from(row.fingerprint))?;
        let part = self.snapshot.as_ref()?.parts().get(row.part as usize)?;
        Some((row.digest, fingerprint, &part.path))
    }

    /// Whether a part that cannot be read may have held this row.
    fn in_damaged(&self, key: &Key<'_>) -> bool {
        let Some(snapshot) = &self.snapshot else { return false };
        self.damaged.iter().filter_map(|part| snapshot.parts().get(*part as usize)).any(|part| {
            ends(part).is_none_or(|(first, last)| (first..=last).contains(&key.image_id))
        })
    }

    /// Takes over the row that an earlier run computed.
    pub(super) fn take_resumed(&self, key: &Key<'_>) {
        if let Some(row) = self.resumed.get(&key.short()) {
            row.taken.store(true, Ordering::Relaxed);
        }
        self.replace(key);
    }

    /// Whether any row of an earlier run was taken over.
    pub(super) fn any_taken(&self) -> bool {
        self.resumed.values().any(|row| row.taken.load(Ordering::Relaxed))
    }

    /// The rows of each staged part of an earlier run that were taken over.
    pub(super) fn taken(&self) -> Vec<BTreeSet<Short>> {
        let mut taken = vec![BTreeSet::new(); self.staged.len()];
        for (key, row) in &self.resumed {
            if row.taken.load(Ordering::Relaxed)
                && let Some(of) = taken.get_mut(row.part)
            {
                of.insert(*key);
            }
        }
        taken
    }

    /// Settles what becomes of a stored row that was judged so, once a new one is sure to take the
    /// place of a row that is computed. A key is in one row, so that it changes no other's reason.
    pub(super) fn settle(&self, key: &Key<'_>, reason: Reason) {
        match reason {
            Reason::UpToDate => self.keep(key),
            Reason::Resumed => self.take_resumed(key),
            Reason::Moved => self.decide(key, Fate::Move),
            Reason::RejectedEarlier => self.refuse(key),
            _ => self.replace(key),
        }
    }

    /// The row stays.
    pub(super) fn keep(&self, key: &Key<'_>) {
        self.decide(key, Fate::Keep);
    }

    /// The row goes: a new one with another content takes its place.
    pub(super) fn replace(&self, key: &Key<'_>) {
        self.decide(key, Fate::Replace);
    }

    /// As [`Self::replace`], by a row that is made from an input of `digest` beside others, whether or
    /// not it had to be.
    pub(super) fn remake(&self, key: &Key<'_>, digest: &Digest) {
        let same = self.judge_stored(key, digest, 0) == Reason::UpToDate;
        self.decide(key, if same { Fate::Renew } else { Fate::Replace });
    }

    /// The row goes, and none takes its place: what it would be made from is refused.
    pub(super) fn refuse(&self, key: &Key<'_>) {
        self.decide(key, Fate::Refuse);
        self.leave_resumed(key);
    }

    /// The row was named, and turned out not to be its own: as if no source had named it.
    pub(super) fn forget(&self, key: &Key<'_>) {
        self.decide(key, Fate::Unseen);
        self.leave_resumed(key);
    }

    fn decide(&self, key: &Key<'_>, fate: Fate) {
        if let Some(row) = self.stored.get(key) {
            row.decide(fate);
        }
    }

    fn leave_resumed(&self, key: &Key<'_>) {
        if let Some(row) = self.resumed.get(&key.short()) {
            row.taken.store(false, Ordering::Relaxed);
        }
    }

    /// Rows that no source named: removed upstream, if the sources were read to their ends.
    pub(super) fn unseen(&self) -> u64 {
        self.stored.iter().filter(|row| row.fate() == Fate::Unseen).count() as u64
    }

    /// Whether the row `key` is stored and no source named it.
    pub(super) fn is_unseen(&self, key: &Key<'_>) -> bool {
        self.stored.get(key).is_some_and(|row| row.fate() == Fate::Unseen)
    }

    /// Whether a version has to be made although no row changes: there is none yet, a part of it
    /// is damaged, or its rows were never held against the contract of now.
    pub(super) fn needs_version(&self) -> bool {
        self.snapshot.is_none() || !self.damaged.is_empty() || self.contract_changed
    }

    /// The keys that stay, by the part that holds them; parts that lose nothing are left out.
    pub(super) fn rewrites(&self) -> Rewrites {
        let parts = self.snapshot.as_ref().map_or(0, |s| s.parts().len());
        let mut kept = vec![0_u64; parts];
        let mut lost = vec![0_u64; parts];
        let mut rewrites = Rewrites::default();
        for row in self.stored.iter() {
            let fate = row.fate();
            let side = if fate.stays() { &mut kept } else { &mut lost };
            if let Some(count) = side.get_mut(row.part as usize) {
                *count += 1;
            }
            let tally = &mut rewrites.tally;
            match fate {
                Fate::Unseen => tally.gone += 1,
                Fate::Keep | Fate::Renew => tally.same += 1,
                Fate::Replace => tally.changed.add(self.differs(row)),
                Fate::Move => tally.changed.add(Reason::Moved),
                Fate::Refuse => tally.refused += 1,
            }
        }
        let of_damaged = self
            .damaged
            .iter()
            .filter_map(|part| Some(self.snapshot.as_ref()?.parts().get(*part as usize)?.rows));
        rewrites.tally.lost = total_rows(of_damaged);
        for (part, (kept, lost)) in kept.into_iter().zip(lost).enumerate() {
            if self.is_damaged(part) || kept == 0 {
                rewrites.remove.push(part);
            } else if lost > 0 {
                rewrites.remove.push(part);
                rewrites.copy.push(part);
            } else {
                rewrites.whole.push((part, kept));
            }
        }
        rewrites
    }

    /// Whether the part of this number cannot be read.
    pub(super) fn is_damaged(&self, part: usize) -> bool {
        u32::try_from(part).is_ok_and(|part| self.damaged.contains(&part))
    }

    /// Whether the row `key` stays.
    pub(super) fn stays(&self, key: &Key<'_>) -> bool {
        self.stored.get(key).is_some_and(|row| row.fate().stays())
    }

    /// How a stored row differs from the one of another content that takes its place.
    fn differs(&self, row: &Row) -> Reason {
        let stale = self.stale.get(usize::from(row.fingerprint)).copied().flatten();
        stale.unwrap_or(Reason::ContentChanged)
    }
}

/// What a new version does with the parts of the old one, by their number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rewrites {
    /// Parts that leave the table.
    pub remove: Vec<usize>,
    /// Those of them with rows that stay, and are copied.
    pub copy: Vec<usize>,
    /// Parts that stay as they are, with their rows.
    pub whole: Vec<(usize, u64)>,
    /// What becomes of every row.
    pub tally: Tally,
}

fn part_number(part: usize) -> Result<u32> {
    u32::try_from(part)
        .map_err(|cause| crate::base::Error::new(Kind::Store, "too many parts").caused_by(cause))
}
