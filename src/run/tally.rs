//! What a new version does to the rows of the old one, as its note says: counted by rows. Why rows
//! were looked at is told by the run's report: some are refused then, or a run that died made them.

use std::collections::BTreeMap;

use crate::plan::{Counts, Reason};
use crate::table::CommitNote;

/// In the note of a version: rows that leave, since what they would be made from is refused.
const REJECTED: &str = "rejected";

/// The rows of the old version, by what becomes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// They stay, or were made again with the content they had.
    pub same: u64,
    /// A row with the key and another content takes their place, by the reason for it.
    pub changed: Counts,
    /// No source names them any more.
    pub gone: u64,
    /// What they would be made from is refused.
    pub refused: u64,
    /// They were in parts that cannot be read, and nobody knows their keys.
    pub lost: u64,
}

impl Tally {
    /// Of a table whose `before` rows were compared with all that there are now, as far as they could
    /// be read.
    pub(super) fn of(counts: &Counts, before: u64) -> Self {
        let (same, gone) = (counts.get(Reason::UpToDate), counts.get(Reason::Removed));
        let mut changed = Counts::default();
        changed.add_many(Reason::ContentChanged, counts.get(Reason::ContentChanged));
        let lost = before.saturating_sub(same + gone + counts.get(Reason::ContentChanged));
        Self { same, changed, gone, refused: 0, lost }
    }

    /// Says it in the note of the new version, which has `rows` rows.
    pub(super) fn tell(&self, rows: u64, note: &mut CommitNote) {
        let changed = self.changed.iter().map(|(_, rows)| rows).sum::<u64>();
        let came = rows.saturating_sub(self.same + changed);
        // As many of them are taken for those that were lost.
        let remade = came.min(self.lost);
        note.added = came - remade;
        note.removed = self.gone + self.refused + (self.lost - remade);
        note.changed = changed + remade;
        let others = [
            (Reason::New.name(), note.added),
            (Reason::PartDamaged.name(), self.lost),
            (Reason::Removed.name(), self.gone),
            (REJECTED, self.refused),
        ];
        let all = self.changed.iter().map(|(reason, rows)| (reason.name(), rows)).chain(others);
        let some = all.filter(|(_, rows)| *rows > 0);
        note.reasons = some.map(|(reason, rows)| (reason.to_owned(), rows)).collect();
    }
}

/// How the rows of a small table differ from those before, by key.
pub(super) fn compare<K: Ord, R: PartialEq>(
    mut before: BTreeMap<K, R>,
    after: impl IntoIterator<Item = (K, R)>,
) -> Counts {
    let mut counts = Counts::default();
    for (key, row) in after {
        counts.add(match before.remove(&key) {
            None => Reason::New,
            Some(old) if old == row => Reason::UpToDate,
            Some(_) => Reason::ContentChanged,
        });
    }
    counts.add_many(Reason::Removed, before.len() as u64);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tally: &Tally, rows: u64) -> (u64, u64, u64, String) {
        let mut note = CommitNote::default();
        tally.tell(rows, &mut note);
        let why: Vec<_> = note.reasons.iter().map(|(why, rows)| format!("{why} {rows}")).collect();
        (note.added, note.removed, note.changed, why.join(", "))
    }

    #[test]
    fn rows_are_counted_once_and_reasons_add_up() {
        let mut tally = Tally { same: 5, gone: 2, refused: 1, ..Tally::default() };
        tally.changed.add_many(Reason::WeightsChanged, 3);
        let why = "new 4, rejected 1, removed 2, weights_changed 3".to_owned();
        assert_eq!(told(&tally, 12), (4, 3, 3, why));
        assert_eq!(told(&Tally::default(), 0), (0, 0, 0, String::new()));
    }

    #[test]
    fn rows_of_a_damaged_part_are_changed_as_far_as_rows_come_for_them() {
        let tally = Tally { same: 5, lost: 3, ..Tally::default() };
        assert_eq!(told(&tally, 10), (2, 0, 3, "new 2, part_damaged 3".to_owned()));
        assert_eq!(told(&tally, 7), (0, 1, 2, "part_damaged 3".to_owned()));
    }

    #[test]
    fn small_tables_are_compared_row_by_row() {
        let before = BTreeMap::from([("a", 1), ("b", 2), ("c", 3)]);
        let counts = compare(before, [("a", 1), ("b", 5), ("d", 4)]);
        // A fourth row could not be read.
        let why = "content_changed 1, part_damaged 1, removed 1".to_owned();
        assert_eq!(told(&Tally::of(&counts, 4), 3), (0, 1, 2, why));
    }
}
