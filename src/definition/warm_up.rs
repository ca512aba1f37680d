//! `warmup_steps`: how long the learning rate rises.

use std::fmt;

use serde::{Serialize, Serializer};

use super::numbers::optional_whole;
use super::reader::TableReader;

/// Steps over which the learning rate rises from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmUp {
    /// So many.
    Steps(u32),
    /// So many, and a tenth of all steps at most: what is taken where nothing is said.
    AtMost(u32),
}

impl WarmUp {
    pub(super) fn read(table: &mut TableReader<'_, '_>, default: u32) -> Self {
        optional_whole(table, "warmup_steps", 0, 10_000_000)
            .map_or(Self::AtMost(default), Self::Steps)
    }
}

/// As a fingerprint has it. Steps that a definition named were cut to a tenth of all steps too once:
/// trainings that are not are told from those.
impl fmt::Display for WarmUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) if *steps > 0 => write!(f, "{steps} in full"),
            Self::Steps(steps) | Self::AtMost(steps) => write!(f, "{steps}"),
        }
    }
}

/// A number where the fingerprint has one, so that digests of definitions stay.
impl Serialize for WarmUp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Steps(steps) if *steps > 0 => serializer.collect_str(self),
            Self::Steps(steps) | Self::AtMost(steps) => serializer.serialize_u32(*steps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_are_never_cut_are_told_from_those_that_may_be() {
        let said = |warm_up: WarmUp| (warm_up.to_string(), serde_json::json!(warm_up).to_string());
        assert_eq!(said(WarmUp::AtMost(5000)), ("5000".into(), "5000".into()));
        assert_eq!(said(WarmUp::Steps(5000)), ("5000 in full".into(), "\"5000 in full\"".into()));
        assert_eq!(said(WarmUp::Steps(0)), ("0".into(), "0".into()), "there is nothing to cut");
    }
}
