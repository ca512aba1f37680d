//! Why a row is, or is not, computed.

use std::fmt;

/// Why a row of a table is computed, dropped or left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No row with this key yet.
    New,
    /// The source's bytes, or the row it is made from, changed.
    ContentChanged,
    /// Weights, their config or their tokenizer changed.
    WeightsChanged,
    /// A setting that changes numbers changed.
    SettingsChanged,
    /// A newer version of the operator computes other numbers.
    OperatorChanged,
    /// The stored part is missing or damaged.
    PartDamaged,
    /// The same content, found at another place: the row is rewritten, nothing is computed.
    Moved,
    /// Computed by an earlier run that did not publish; its part is taken over.
    Resumed,
    /// No longer in the source, or refused now.
    Removed,
    /// Refused before, with the same bytes by the same operator.
    RejectedEarlier,
    /// Nothing to do.
    UpToDate,
}

impl Reason {
    /// All reasons, in the order they are shown.
    pub const ALL: [Self; 11] = [
        Self::New,
        Self::ContentChanged,
        Self::WeightsChanged,
        Self::SettingsChanged,
        Self::OperatorChanged,
        Self::PartDamaged,
        Self::Moved,
        Self::Resumed,
        Self::Removed,
        Self::RejectedEarlier,
        Self::UpToDate,
    ];

    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::ContentChanged => "content_changed",
            Self::WeightsChanged => "weights_changed",
            Self::SettingsChanged => "settings_changed",
            Self::OperatorChanged => "operator_changed",
            Self::PartDamaged => "part_damaged",
            Self::Moved => "moved",
            Self::Resumed => "resumed",
            Self::Removed => "removed",
            Self::RejectedEarlier => "rejected_earlier",
            Self::UpToDate => "up_to_date",
        }
    }

    /// Whether a row with this reason is computed.
    #[must_use]
    pub fn computes(self) -> bool {
        matches!(
            self,
            Self::New
                | Self::ContentChanged
                | Self::WeightsChanged
                | Self::SettingsChanged
                | Self::OperatorChanged
                | Self::PartDamaged
        )
    }

    fn slot(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().replace('_', " "))
    }
}

/// How many rows there are for each reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; Reason::ALL.len()]);

impl Counts {
    /// Counts one more row.
    pub fn add(&mut self, reason: Reason) {
        self.add_many(reason, 1);
    }

    /// Counts `n` more rows.
    pub fn add_many(&mut self, reason: Reason, n: u64) {
        if let Some(slot) = self.0.get_mut(reason.slot()) {
            *slot += n;
        }
    }

    /// Takes back one row that was counted.
    pub fn take_back(&mut self, reason: Reason) {
        if let Some(slot) = self.0.get_mut(reason.slot()) {
            *slot = slot.saturating_sub(1);
        }
    }

    /// The rows with this reason.
    #[must_use]
    pub fn get(&self, reason: Reason) -> u64 {
        self.0.get(reason.slot()).copied().unwrap_or(0)
    }

    /// Rows that are computed.
    #[must_use]
    pub fn computed(&self) -> u64 {
        Reason::ALL.into_iter().filter(|r| r.computes()).map(|r| self.get(r)).sum()
    }

    /// Whether a run has anything to write.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        let moved = self.get(Reason::Moved) + self.get(Reason::Resumed) + self.get(Reason::Removed);
        self.computed() + moved > 0
    }

    /// Reasons and rows, in the order they are shown.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.into_iter().map(|r| (r, self.get(r)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_reason() {
        let mut counts = Counts::default();
        counts.add(Reason::UpToDate);
        assert!(!counts.has_changes());
        counts.add_many(Reason::New, 3);
        counts.add(Reason::Moved);
        assert_eq!((counts.computed(), counts.get(Reason::Moved)), (3, 1));
        assert!(counts.has_changes());
        assert_eq!(counts.iter().map(|(_, n)| n).sum::<u64>(), 5);
    }
}
