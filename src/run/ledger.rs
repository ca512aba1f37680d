//! The table `rejects` while a run goes on: what was refused before, and what is refused now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::TimestampMicrosecondArray;
use arrow::array::{Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use crate::base::digest::Digester;
use crate::base::{Cancel, Digest, Kind, Result};
use crate::flow::{Origin, Reject, RejectClass};
use crate::plan::{Counts, Fingerprint, Reason};
use crate::sources::Member;
use crate::table::{Part, Snapshot};

use super::context::Context;
use super::report::NewRejects;
use super::rows;

/// The table of what could not become a row.
pub const REJECTS: &str = "rejects";

/// Where a reject is filed: its place, and the table it was refused for.
type Slot = (Origin, String);

/// Under which fingerprints a table refuses: what was refused under another is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prints {
    /// The stage's, as its rows have it.
    pub plain: String,
    /// Of what decoding hangs on: other weights do not mend a broken image.
    decoded: String,
    /// With the limits of decoding: what is too large for one limit is not for another.
    limited: String,
}

impl Prints {
    /// Of a table for which nothing is decoded.
    pub(super) fn plain(fingerprint: &str) -> Self {
        let print = || fingerprint.to_owned();
        Self { plain: print(), decoded: print(), limited: print() }
    }

    /// Of a table that is made of images within `limits`.
    pub(super) fn decoding(fingerprint: &Fingerprint, limits: [u64; 2]) -> Self {
        let decoded = fingerprint.of_decoding().digest().to_string();
        let mut digester = Digester::new();
        digester.field("fingerprint", decoded.as_bytes());
        for limit in limits {
            digester.field("limit", &limit.to_le_bytes());
        }
        let limited = digester.finish().to_string();
        Self { plain: fingerprint.digest().to_string(), decoded, limited }
    }

    pub(super) fn of(&self, class: RejectClass) -> &str {
        match class {
            RejectClass::NotFinite => &self.plain,
            RejectClass::ImageTooLarge => &self.limited,
            _ => &self.decoded,
        }
    }
}

/// One row of `rejects`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub reject: Reject,
    pub fingerprint: String,
    pub first_seen_us: i64,
    pub attempts: i32,
}

/// Refusals of earlier runs; other threads look bytes up in it.
#[derive(Debug, Default)]
pub(super) struct Before {
    entries: BTreeMap<Slot, Entry>,
    by_digest: BTreeMap<(String, Digest), Slot>,
    /// Whether a part could not be read, so that a version has to be made.
    damaged: bool,
    retry: bool,
    /// Tables of which this very run has tried all again already.
    tried: BTreeSet<String>,
}

/// Refusals of earlier runs, and of this one.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    before: Arc<Before>,
    now: BTreeMap<Slot, Entry>,
    /// Tables whose rejects of this run are all there are.
    complete: BTreeSet<String>,
    /// Tables that another definition of the same store made, or this one before it was edited.
    foreign: BTreeSet<String>,
    at_us: i64,
}

impl Before {
    fn read_part(&mut self, snapshot: &Snapshot, part: &Part) -> Result<()> {
        for batch in snapshot.scan_part(part, COLUMNS)? {
            self.read(&batch?)?;
        }
        Ok(())
    }

    fn read(&mut self, batch: &RecordBatch) -> Result<()> {
        let text = |name| rows::column::<StringArray>(batch, name);
        let (source, member, id) = (text("source")?, text("member")?, text("image_id")?);
        let (stage, class, message) = (text("stage")?, text("class")?, text("message")?);
        let (digest, fingerprint) = (text("digest")?, text("fingerprint")?);
        let offset = rows::column::<Int64Array>(batch, "offset")?;
        let seen = rows::column::<TimestampMicrosecondArray>(batch, "first_seen")?;
        let attempts = rows::column::<Int32Array>(batch, "attempts")?;
        let optional =
            |array: &StringArray, at: usize| array.is_valid(at).then(|| array.value(at).to_owned());
        for at in 0..batch.num_rows() {
            let origin = Origin {
                source: source.value(at).into(),
                member: member.value(at).into(),
                offset: u64::try_from(offset.value(at)).unwrap_or(0),
            };
            let Ok(class) = class.value(at).parse::<RejectClass>() else {
                // A class of a newer version: the row is simply tried again.
                continue;
            };
            let reject = Reject {
                origin: origin.clone(),
                image_id: optional(id, at),
                class,
                message: message.value(at).to_owned(),
                digest: optional(digest, at).and_then(|d| d.parse().ok()),
            };
            let entry = Entry {
                reject,
                fingerprint: fingerprint.value(at).to_owned(),
                first_seen_us: seen.value(at),
                attempts: attempts.value(at),
            };
            self.file((origin, stage.value(at).to_owned()), entry);
        }
        Ok(())
    }

    fn file(&mut self, slot: Slot, entry: Entry) {
        if let Some(digest) = entry.reject.digest {
            self.by_digest.insert((slot.1.clone(), digest), slot.clone());
        }
        self.entries.insert(slot, entry);
    }

    /// Whether these bytes were refused for `stage` by this very operator, wherever they stood,
    /// and are not to be tried again.
    pub(super) fn refused(&self, stage: &str, digest: &Digest, prints: &Prints) -> Option<&Entry> {
        if self.by_digest.is_empty() || self.retries(stage) {
            return None;
        }
        let slot = self.by_digest.get(&(stage.to_owned(), *digest))?;
        self.entries.get(slot).filter(|e| prints.of(e.reject.class) == e.fingerprint)
    }
}

impl Before {
    fn retries(&self, stage: &str) -> bool {
        self.retry && !self.tried.contains(stage)
    }

    /// Whether any bytes were refused for `stage` that are not to be tried again.
    pub(super) fn refused_any(&self, stage: &str) -> bool {
        let first = (stage.to_owned(), Digest::from_bytes([0; 32]));
        let mut of = self.by_digest.range(first..);
        !self.retries(stage) && of.next().is_some_and(|((of, _), _)| of == stage)
    }
}

impl Ledger {
    /// Reads what earlier runs refused. `retry` tries all of it again, but for the tables `tried`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(super) fn load(
        before: Option<&Snapshot>,
        (retry, tried): (bool, &BTreeSet<String>),
        at_us: i64,
    ) -> Result<Self> {
        let mut earlier = Before { retry, tried: tried.clone(), ..Before::default() };
        if let Some(snapshot) = before {
            let (sound, damaged) = snapshot.sort_out(&Cancel::new())?;
            for part in damaged {
                tracing::warn!(part = %part.path, "rejects are lost and found anew");
                earlier.damaged = true;
            }
            for part in sound {
                // A damaged part: its rows are found again, or tried again.
                if let Err(error) = earlier.read_part(snapshot, part) {
                    if error.kind() != Kind::Store {
                        return Err(error);
                    }
                    tracing::warn!(%error, "rejects are lost and found anew");
                    earlier.damaged = true;
                }
            }
        }
        Ok(Self { before: Arc::new(earlier), at_us, ..Self::default() })
    }

    /// As [`Self::divide`], by the whole definition. Where a part of it is carried out no rejects of
    /// other tables go.
    pub(super) fn divide_whole(&mut self, ctx: &Context<'_>) {
        let whole = ctx.options.only.is_empty() && ctx.plan.only().is_empty();
        let folder = |table: &str| ctx.store.table_folder(table);
        let is_there = |table: &str| folder(table).is_ok_and(|folder| folder.is_dir());
        self.divide(|table| ctx.plan.makes(table), |table| !whole || is_there(table));
    }

    /// Tells rejects of the definition's tables from others. Those of a table that another
    /// definition made stay as long as that table does, and are not counted; those of a table that
    /// is not there any more go.
    fn divide(&mut self, is_made: impl Fn(&str) -> bool, is_there: impl Fn(&str) -> bool) {
        let stages = self.before.entries.keys().map(|(_, stage)| stage.as_str());
        for stage in stages.filter(|stage| !is_made(stage)).collect::<BTreeSet<_>>() {
            let kind = if is_there(stage) { &mut self.foreign } else { &mut self.complete };
            kind.insert(stage.to_owned());
        }
    }

    /// What earlier runs refused, for threads that only look.
    pub(super) fn before(&self) -> Arc<Before> {
        Arc::clone(&self.before)
    }

    /// Files a refusal of this run.
    pub(super) fn refuse(&mut self, stage: &str, fingerprint: &str, reject: Reject) {
        let slot = (reject.origin.clone(), stage.to_owned());
        let entry = match self.before.entries.get(&slot) {
            // Found again without being tried: nothing new to tell.
            Some(old)
                if old.reject == reject
                    && (reject.digest.is_none() || old.fingerprint == fingerprint)
                    && !self.before.retries(stage) =>
            {
                old.clone()
            }
            Some(old) => Entry {
                reject,
                fingerprint: fingerprint.to_owned(),
                first_seen_us: old.first_seen_us,
                attempts: old.attempts.saturating_add(1),
            },
            None => Entry {
                reject,
                fingerprint: fingerprint.to_owned(),
                first_seen_us: self.at_us,
                attempts: 1,
            },
        };
        self.now.insert(slot, entry);
    }

    /// Keeps a refusal of an earlier run that was not tried again, at the place where its bytes
    /// stand now.
    pub(super) fn carry(&mut self, stage: &str, prints: &Prints, member: &Member) {
        if let Some(digest) = member.digest {
            let origin = member.origin.clone();
            self.carry_at(stage, prints, &digest, origin, &member.image_id);
        }
    }

    /// As [`Self::carry`], for what is no member of an archive.
    pub(super) fn carry_at(
        &mut self,
        stage: &str,
        prints: &Prints,
        digest: &Digest,
        origin: Origin,
        image_id: &str,
    ) {
        let Some(entry) = self.before.refused(stage, digest, prints) else { return };
        let mut entry = entry.clone();
        entry.reject.origin = origin.clone();
        entry.reject.image_id = Some(image_id.to_owned());
        self.now.insert((origin, stage.to_owned()), entry);
    }

    /// All rejects of `stage` are known now; those of before that were not found again go.
    pub(super) fn complete(&mut self, stage: &str) {
        self.complete.insert(stage.to_owned());
    }

    /// The rows of the new version, sorted; none where nothing changed.
    pub(super) fn changed(&self) -> Option<Vec<(&str, &Entry)>> {
        let after = self.after();
        let same = !self.before.damaged
            && after.len() == self.before.entries.len()
            && after.iter().all(|(slot, entry)| self.before.entries.get(*slot) == Some(*entry));
        (!same).then(|| after.into_iter().map(|((_, stage), e)| (stage.as_str(), e)).collect())
    }

    /// Whether a part of the old version is lost.
    pub(super) fn is_damaged(&self) -> bool {
        self.before.damaged
    }

    /// How the new version differs from the old one.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let after = self.after();
        for (slot, entry) in &after {
            counts.add(match self.before.entries.get(*slot) {
                None => Reason::New,
                Some(old) if old == *entry => Reason::UpToDate,
                Some(_) => Reason::ContentChanged,
            });
        }
        let gone = self.before.entries.keys().filter(|slot| !after.contains_key(slot)).count();
        counts.add_many(Reason::Removed, gone as u64);
        counts
    }

    /// Contents that `stage` refuses, and will not try again.
    pub(super) fn refused_contents(&self, stage: &str) -> u64 {
        let of = |(slot, entry): &(&Slot, &Entry)| slot.1 == stage && entry.reject.digest.is_some();
        self.after().into_iter().filter(of).count() as u64
    }

    /// What is refused of one image, by table; what is tried again counts as it was refused.
    pub(super) fn of_image(&self, image_id: &str) -> Vec<(&str, &Entry)> {
        let of = |entry: &Entry| entry.reject.image_id.as_deref() == Some(image_id);
        let mut all: BTreeMap<&Slot, &Entry> = self.before.entries.iter().collect();
        all.extend(self.now.iter());
        let of_it = all.into_iter().filter(|(_, entry)| of(entry));
        of_it.map(|((_, stage), entry)| (stage.as_str(), entry)).collect()
    }

    fn after(&self) -> BTreeMap<&Slot, &Entry> {
        let old =
            self.before.entries.iter().filter(|((_, stage), _)| !self.complete.contains(stage));
        old.chain(self.now.iter()).collect()
    }

    /// Rejects of the definition's tables by class, as the new version holds them.
    pub(super) fn by_class(&self) -> BTreeMap<RejectClass, u64> {
        let mut counts = BTreeMap::new();
        for ((_, stage), entry) in self.after() {
            if !self.foreign.contains(stage) {
                *counts.entry(entry.reject.class).or_default() += 1;
            }
        }
        counts
    }

    /// Rejects of the definition's tables whose like was not there before.
    pub(super) fn new_rejects(&self) -> NewRejects {
        let before: BTreeSet<_> =
            self.before.entries.iter().map(|(slot, entry)| like(&slot.1, entry)).collect();
        let mut found = NewRejects::default();
        for (slot, entry) in &self.now {
            if !before.contains(&like(&slot.1, entry)) && !self.foreign.contains(&slot.1) {
                found.add(&slot.1, &entry.reject);
            }
        }
        found
    }

    /// Rejects of one table, by class.
    pub(super) fn of_stage(&self, stage: &str) -> BTreeMap<RejectClass, u64> {
        let mut counts = BTreeMap::new();
        for ((_, of), entry) in self.after() {
            if of == stage {
                *counts.entry(entry.reject.class).or_default() += 1;
            }
        }
        counts
    }
}

/// What a reject is known by, wherever it stands now: its bytes; where there are none, its image or name.
fn like<'e>(stage: &'e str, entry: &'e Entry) -> (&'e str, RejectClass, Option<Digest>, &'e str) {
    let Reject { origin, image_id, class, digest, .. } = &entry.reject;
    let name = image_id.as_deref().unwrap_or(&origin.member);
    (stage, *class, *digest, if digest.is_some() { "" } else { name })
}

const COLUMNS: &[&str] = &[
    "source",
    "member",
    "offset",
    "image_id",
    "stage",
    "class",
    "message",
    "digest",
    "fingerprint",
    "first_seen",
    "attempts",
];

/// The rows of `rejects` as a batch.
///
/// # Errors
/// When a user's contract demands a column that is not made.
pub(super) fn batch(schema: &SchemaRef, entries: &[(&str, &Entry)]) -> Result<RecordBatch> {
    let origin = |e: &Entry| e.reject.origin.clone();
    let seen =
        TimestampMicrosecondArray::from_iter_values(entries.iter().map(|(_, e)| e.first_seen_us))
            .with_timezone("UTC");
    let digests: Vec<_> =
        entries.iter().map(|(_, e)| e.reject.digest.map(|d| d.to_string())).collect();
    rows::batch(
        schema,
        &[
            ("source", rows::strings(entries.iter().map(|(_, e)| origin(e).source))),
            ("member", rows::strings(entries.iter().map(|(_, e)| origin(e).member))),
            (
                "offset",
                rows::int64s(
                    entries
                        .iter()
                        .map(|(_, e)| i64::try_from(e.reject.origin.offset).unwrap_or(-1)),
                ),
            ),
            (
                "image_id",
                rows::optional_strings(entries.iter().map(|(_, e)| e.reject.image_id.as_deref())),
            ),
            ("stage", rows::strings(entries.iter().map(|(stage, _)| *stage))),
            ("class", rows::strings(entries.iter().map(|(_, e)| e.reject.class.name()))),
            ("message", rows::strings(entries.iter().map(|(_, e)| &e.reject.message))),
            ("digest", rows::optional_strings(digests.iter().map(Option::as_deref))),
            ("fingerprint", rows::strings(entries.iter().map(|(_, e)| &e.fingerprint))),
            ("first_seen", Arc::new(seen)),
            ("attempts", rows::int32s(entries.iter().map(|(_, e)| e.attempts))),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(member: &str, digest: Option<Digest>) -> Reject {
        Reject {
            origin: Origin { source: "s".into(), member: member.into(), offset: 7 },
            image_id: Some("1".into()),
            class: RejectClass::CorruptImage,
            message: "bad".into(),
            digest,
        }
    }

    fn after(first: &Ledger, retry: bool) -> Ledger {
        let mut before = Before { retry, ..Before::default() };
        for (slot, entry) in &first.now {
            before.file(slot.clone(), entry.clone());
        }
        Ledger { before: Arc::new(before), at_us: 9, ..Ledger::default() }
    }

    #[test]
    fn a_reject_is_not_tried_twice_and_leaves_when_it_is_gone() {
        let digest = Digest::of(b"x");
        let mut first = Ledger { at_us: 5, ..Ledger::default() };
        first.refuse("images", "f", reject("a", Some(digest)));
        first.refuse("images", "f", reject("b", None));
        first.complete("images");
        assert_eq!(first.changed().unwrap().len(), 2);

        let mut second = after(&first, false);
        assert!(second.before.refused("images", &digest, &Prints::plain("g")).is_none());
        assert!(second.before.refused("images", &digest, &Prints::plain("f")).is_some());
        let member = Member {
            image_id: "1".into(),
            origin: reject("a", None).origin,
            archive: 0,
            size_bytes: 1,
            stamp: digest,
            digest: Some(digest),
            layout: crate::sources::Layout::Whole,
        };
        second.carry("images", &Prints::plain("f"), &member);
        second.refuse("images", "f", reject("b", None));
        second.complete("images");
        assert!(second.changed().is_none(), "nothing was tried, so nothing changes");

        let mut third = after(&first, true);
        assert!(third.before.refused("images", &digest, &Prints::plain("f")).is_none());
        third.refuse("images", "f", reject("a", Some(digest)));
        third.complete("images");
        let rows = third.changed().unwrap();
        assert_eq!((rows.len(), rows[0].1.attempts, rows[0].1.first_seen_us), (1, 2, 5));
    }

    #[test]
    fn what_cannot_be_decoded_hangs_on_no_weights() {
        let of = |weights, limit| {
            let stage = Fingerprint::new("embed_images", 2).with("weights", weights);
            Prints::decoding(&stage, [limit, 1])
        };
        let (old, new) = (of("a", 1), of("b", 1));
        for class in RejectClass::ALL.iter().copied() {
            assert_eq!(old.of(class) != new.of(class), class == RejectClass::NotFinite);
            let other = of("a", 2);
            assert_eq!(old.of(class) != other.of(class), class == RejectClass::ImageTooLarge);
        }

        // Of a clipmill that filed everything under the stage's fingerprint: tried once more.
        let digest = Digest::of(b"x");
        let mut first = Ledger { at_us: 5, ..Ledger::default() };
        first.refuse("features", &old.plain, reject("a", Some(digest)));
        let mut second = after(&first, false);
        assert!(second.before.refused("features", &digest, &old).is_none());
        second.refuse("features", old.of(RejectClass::CorruptImage), reject("a", Some(digest)));
        let third = after(&second, false);
        assert_eq!(third.before.refused("features", &digest, &new).unwrap().attempts, 2);
    }

    #[test]
    fn what_is_refused_for_the_first_time_is_told_and_what_only_moved_is_not() {
        let told = |ledger: &Ledger| {
            let NewRejects { rows, first } = ledger.new_rejects();
            let members = first.iter().map(|one| one.reject.origin.member.to_string());
            (rows, members.collect::<Vec<_>>())
        };
        let named =
            |name: &str, digest| Reject { image_id: Some(name.to_owned()), ..reject(name, digest) };
        let digest = Digest::of(b"x");
        let mut first = Ledger { at_us: 5, ..Ledger::default() };
        first.refuse("images", "f", named("a", Some(digest)));
        first.refuse("images", "f", named("b", None));
        let other = Reject { class: RejectClass::BrokenMember, ..named("c", None) };
        first.refuse("images", "f", other);
        assert_eq!(told(&first), (3, vec!["a".into(), "c".into()]), "the first of each class");

        let mut second = after(&first, false);
        let elsewhere = |mut reject: Reject| {
            reject.origin.offset += 100;
            reject.origin.member = "z".into();
            reject
        };
        // Carried, refused anew, and under another fingerprint.
        let moved = elsewhere(named("a", Some(digest)));
        second.carry_at("images", &Prints::plain("f"), &digest, moved.origin.clone(), "1");
        second.refuse("images", "g", moved);
        second.refuse("images", "f", elsewhere(named("b", None)));
        assert_eq!(told(&second), (0, vec![]));
        second.refuse("images", "f", named("d", None));
        second.refuse("captions", "f", named("b", None));
        assert_eq!(told(&second), (2, vec!["b".into()]), "another image, another table");

        let mut again = after(&first, true);
        again.refuse("images", "f", named("a", Some(digest)));
        assert_eq!(told(&again), (0, vec![]), "tried once more");
    }

    #[test]
    fn rejects_of_other_definitions_stay_uncounted_as_long_as_their_tables() {
        let mut first = Ledger { at_us: 5, ..Ledger::default() };
        for stage in ["images", "others", "vanished"] {
            first.refuse(stage, "f", reject("a", None));
        }
        let mut second = after(&first, false);
        second.divide(|stage| stage == "images", |stage| stage == "others");
        assert_eq!(second.by_class().values().sum::<u64>(), 1);
        let rows = second.changed().unwrap();
        let stages: Vec<&str> = rows.iter().map(|(stage, _)| *stage).collect();
        assert_eq!(stages, ["images", "others"]);
        assert_eq!(second.counts().get(Reason::Removed), 1);
    }
}
