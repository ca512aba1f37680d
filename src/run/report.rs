//! What a run did.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::base::Digest;
use crate::base::text::visible;
use crate::flow::{Fidelity, Reject, RejectClass};
use crate::plan::{Counts, Stage};
use crate::table::Snapshot;

use super::clocks::{Part, Spent};
use super::queues::{Depth, Queue};
use super::state::State;

/// What happened to one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// Name of the table.
    pub table: String,
    /// Version that readers see now; none where nothing was ever published.
    pub version: Option<i64>,
    /// Rows of that version.
    pub rows: u64,
    /// Rows by reason.
    pub counts: Counts,
    /// Rows that were computed in this run.
    pub computed: u64,
    /// Rows whose computed parts of an earlier, unfinished run were taken over.
    pub resumed: u64,
    /// Whether this run published a version.
    pub published: bool,
}

/// What a run would do to one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// Name of the table.
    pub table: String,
    /// Version that readers see now; none where nothing was ever published.
    pub version: Option<i64>,
    /// Rows of that version.
    pub rows: u64,
    /// Rows by reason.
    pub counts: Counts,
    /// Whether a run would publish a version: rows change, a part is damaged, the contract
    /// changed, or there is no version yet.
    pub pending: bool,
    /// Whether a run would hold all rows against a contract that is not the one they passed.
    pub contract_changed: bool,
}

impl Foreseen {
    pub(super) fn of(stage: &Stage, state: &State, counts: Counts) -> Self {
        Self {
            table: stage.table.clone(),
            version: state.snapshot.as_ref().map(Snapshot::version),
            rows: state.snapshot.as_ref().map_or(0, Snapshot::rows),
            counts,
            pending: counts.has_changes() || state.needs_version(),
            contract_changed: state.contract_changed,
        }
    }

    pub(super) fn of_rejects(table: &str, now: Option<&Snapshot>, counts: Counts) -> Self {
        Self {
            table: table.to_owned(),
            version: now.map(Snapshot::version),
            rows: now.map_or(0, Snapshot::rows),
            counts,
            pending: counts.has_changes() || now.is_none(),
            contract_changed: false,
        }
    }
}

/// What is refused now and was not before, wherever it stood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRejects {
    /// How many.
    pub rows: u64,
    /// The first of each class.
    pub first: Vec<NewReject>,
}

/// A reject, and the table that it is none of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReject {
    /// The table.
    pub stage: String,
    /// What, where and why.
    pub reject: Reject,
}

impl NewRejects {
    /// Adds one more.
    pub(super) fn add(&mut self, stage: &str, reject: &Reject) {
        self.rows += 1;
        self.show(NewReject { stage: stage.to_owned(), reject: reject.clone() });
    }

    fn show(&mut self, one: NewReject) {
        if self.first.iter().all(|shown| shown.reject.class != one.reject.class) {
            self.first.push(one);
        }
    }

    fn take_over(&mut self, earlier: Self) {
        self.rows += earlier.rows;
        earlier.first.into_iter().for_each(|one| self.show(one));
    }
}

/// In one line: names in archives may hold anything.
impl fmt::Display for NewReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reject { origin, class, message, .. } = &self.reject;
        let place = match origin.offset {
            0 => String::new(),
            offset => format!(" at byte {offset}"),
        };
        let (source, member) = (&origin.source, &origin.member);
        let text = format!("{}: {source}/{member}{place}: {class}: {message}", self.stage);
        f.write_str(&visible(&text))
    }
}

/// What a run would do, table by table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Name of the pipeline.
    pub pipeline: String,
    /// In the order they would be made, `rejects` last.
    pub tables: Vec<Foreseen>,
    /// Contracts that do not hold though no row of their table changes: too much was refused.
    pub broken: Vec<Broken>,
    /// Lines for the user: captions that are left out.
    pub notes: Vec<String>,
    /// What would be refused and was not before.
    pub new_rejects: NewRejects,
    /// Members of archives and folders that are no images: folders, files of other kinds.
    pub ignored: u64,
    /// Wall time.
    pub elapsed: Duration,
}

impl Survey {
    /// Whether a run would change anything, or find a contract broken.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.broken.is_empty() || self.tables.iter().any(|table| table.pending)
    }
}

/// A contract that does not hold, so that nothing is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The table.
    pub table: String,
    /// Every check that fails, with offending rows.
    pub breaches: Vec<crate::table::Breach>,
}

/// A table that would hold, or holds, something else than the lock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The table.
    pub table: String,
    /// The digest in the lock; none where it does not name the table.
    pub expected: Option<Digest>,
    /// The digest of what the table would hold, or holds.
    pub found: Digest,
    /// Whether a new version was kept back; false where the run had nothing to change, and the
    /// table holds something else already.
    pub kept_back: bool,
}

/// How long a stage took, from its first look at what is there to the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageTime {
    /// Its table, and the tables of features that are made in the same pass over images.
    pub tables: Vec<String>,
    /// Wall time: one stage runs after the other.
    pub took: Duration,
    /// Whether it is a pass over images.
    pub images: bool,
}

/// What a run did, table by table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunReport {
    /// Name of the pipeline.
    pub pipeline: String,
    /// In the order they were made.
    pub tables: Vec<TableReport>,
    /// Rows of `rejects`, by class.
    pub rejects: BTreeMap<RejectClass, u64>,
    /// Those of them that were not there before.
    pub new_rejects: NewRejects,
    /// Members of image sources that were passed over without a word: folders, junk of archivers,
    /// files that are no images. Also what `include` leaves out.
    pub ignored: u64,
    /// Lines for the user: captions left out, the device that `auto` took.
    pub notes: Vec<String>,
    /// Scores of all captions of a table of scores together, by its name and the score's.
    pub scores: BTreeMap<String, BTreeMap<String, f64>>,
    /// How near the new rows of a table in a reduced numeric type are to those in `f32`, by table.
    pub fidelity: BTreeMap<String, Fidelity>,
    /// Rows of a table that were computed at once in the end, where the device had no memory for
    /// the batch size that was asked for.
    pub smaller_batches: BTreeMap<String, usize>,
    /// Contracts that broke.
    pub broken: Vec<Broken>,
    /// Tables that were not made because one before them broke its contract.
    pub held_back: Vec<String>,
    /// Tables that a lock did not let be what they would have been.
    pub refused: Vec<Refused>,
    /// Whether it was stopped on request before its end.
    pub interrupted: bool,
    /// Wall time.
    pub elapsed: Duration,
    /// Images read and found good or bad.
    pub images: u64,
    /// Time by stage, in the order they ran.
    pub stages: Vec<StageTime>,
    /// Time by part of the work.
    pub spent: Vec<(&'static str, Spent)>,
    /// How full the queues between the parts were; those that something went through.
    pub queues: Vec<(&'static str, Depth)>,
    /// The part that took longest.
    pub bottleneck: Option<&'static str>,
}

impl RunReport {
    /// Images a second of the passes over them: reading, decoding, encoding and writing, and nothing
    /// of captions or training.
    #[must_use]
    pub fn images_per_second(&self) -> f64 {
        let passes = self.stages.iter().filter(|stage| stage.images);
        let seconds = passes.map(|stage| stage.took).sum::<Duration>().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let images = self.images as f64;
        if seconds > 0.0 { images / seconds } else { 0.0 }
    }

    /// The stage that took longest.
    #[must_use]
    pub fn slowest(&self) -> Option<&StageTime> {
        self.stages.iter().max_by_key(|stage| stage.took)
    }

    /// Whether nothing had to be done.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        !self.interrupted
            && self.broken.is_empty()
            && self.refused.is_empty()
            && self.tables.iter().all(|t| !t.published)
    }

    /// Adds what an earlier part of the same run did: it made the tables that this one found up to
    /// date.
    pub(super) fn take_over(&mut self, earlier: Self) {
        for made in earlier.tables {
            let same = self.tables.iter_mut().find(|now| now.table == made.table);
            if let Some(now) = same.filter(|now| !now.published) {
                now.counts = made.counts;
                now.computed = made.computed;
                now.resumed = made.resumed;
                now.published = made.published;
            }
        }
        let notes = earlier.notes.into_iter().filter(|note| !self.notes.contains(note));
        let notes: Vec<String> = notes.collect();
        self.notes.splice(0..0, notes);
        self.new_rejects.take_over(earlier.new_rejects);
        for (table, found) in earlier.fidelity {
            self.fidelity.entry(table).or_insert(found);
        }
        for (table, rows) in earlier.smaller_batches {
            self.smaller_batches.entry(table).or_insert(rows);
        }
        for before in earlier.stages {
            let first = before.tables.first();
            match self.stages.iter_mut().find(|now| now.tables.first() == first) {
                Some(now) => now.took += before.took,
                None => self.stages.push(before),
            }
        }
        for (part, before) in earlier.spent {
            match self.spent.iter_mut().find(|(name, _)| *name == part) {
                Some((_, now)) => *now = now.and(before),
                None => self.spent.push((part, before)),
            }
        }
        let busy = self.spent.iter().filter(|(_, spent)| !spent.busy.is_zero());
        self.bottleneck = busy.max_by_key(|(_, spent)| spent.busy).map(|(part, _)| *part);
        if self.queues.is_empty() {
            self.queues = earlier.queues;
        }
        self.elapsed += earlier.elapsed;
        self.images = self.images.max(earlier.images);
    }

    /// Notes that a table's rows were computed so many at once in the end, if they were.
    pub(super) fn note_smaller(&mut self, table: &str, rows: Option<usize>) {
        if let Some(rows) = rows {
            let least = self.smaller_batches.entry(table.to_owned()).or_insert(rows);
            *least = rows.min(*least);
        }
    }

    pub(super) fn book(&mut self, clocks: &super::clocks::Clocks) {
        self.spent = Part::ALL.into_iter().map(|p| (p.name(), clocks.spent(p))).collect();
        let depth = |queue: Queue| Some((queue.name(), clocks.depth(queue)?));
        self.queues = Queue::ALL.into_iter().filter_map(depth).collect();
        self.bottleneck = clocks.bottleneck().map(Part::name);
    }
}
