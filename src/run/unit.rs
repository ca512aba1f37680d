//! Units of work: what any process can compute, and what it says when it has.
//!
//! A unit is self-contained: whoever has the definition, the data, the weights and the store can
//! compute it, into staged parts that carry its name. It publishes nothing. All values here are
//! plain and serialise, so that they can be handed to another process, or to a scheduler.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::clocks::Times;
use crate::base::{Digest, Error, Kind};

/// The version of what units and replies look like.
pub const UNIT_FORMAT: u32 = 2;

/// A piece of one run's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// [`UNIT_FORMAT`].
    pub format: u32,
    /// Its name, no other unit's; parts are labelled with it.
    pub id: String,
    /// File of the definition, absolute.
    pub definition: PathBuf,
    /// The `--set` arguments.
    pub sets: Vec<(String, String)>,
    /// Digest of the definition's values, which must be those of the file.
    pub definition_digest: Digest,
    /// Whether rows refused before are tried again.
    pub retry_rejects: bool,
    /// The tables that the run is limited to; all where empty.
    #[serde(default)]
    pub only: Vec<String>,
    /// The tables that it makes rows of, and the fingerprints of these.
    pub tables: BTreeMap<String, String>,
    /// Which rows.
    pub range: Range,
}

/// The rows of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// Members `from..to` of one archive of a source.
    Members {
        /// The table that lists the images.
        table: String,
        /// Which of the source's paths.
        archive: usize,
        /// The first member, from 0, in the archive's order.
        from: usize,
        /// The one after the last.
        to: usize,
        /// Digest over the stamps of these members, which must be those found.
        listing: Digest,
    },
    /// Rows `from..to` of a version of a table of captions.
    Rows {
        /// The table that the rows are embedded into.
        table: String,
        /// The version of the captions.
        version: i64,
        /// The first row, from 0, in the order of a scan.
        from: u64,
        /// The one after the last.
        to: u64,
    },
}

/// What became of a unit. Its rows are durable; none is visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// [`Unit::id`].
    pub unit: String,
    /// Rows that were computed, by table.
    pub rows: BTreeMap<String, u64>,
    /// Digests of the contents of a range of members, where they could be read.
    pub digests: Vec<Option<Digest>>,
    /// False when it was asked to stop before the unit's end.
    pub complete: bool,
    /// What its parts took, and how full the queues between them were.
    pub times: Times,
    /// Rows that were computed at once in the end, by table, where memory did not do for more.
    pub smaller_batches: BTreeMap<String, usize>,
}

/// What is said to a worker, one line of JSON each. The end of its input ends a worker at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one at a time")]
pub enum Order {
    /// Compute this.
    Unit(Unit),
    /// Finish the batch, make durable what there is, and say so.
    Stop,
}

/// What a worker says, one line of JSON each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// So much more of a task is done.
    Progress {
        /// The task.
        task: String,
        /// Units of it.
        done: u64,
    },
    /// A line for the user.
    Note(String),
    /// A unit is over.
    Finished(Box<Finished>),
    /// A unit cannot be computed.
    Failed(Failure),
}

/// An error on its way between processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    kind: Kind,
    what: String,
    help: Option<String>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let help = error.help_text().map(str::to_owned);
        Self { kind: error.kind(), what: error.to_string(), help }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let error = Self::new(failure.kind, failure.what);
        match failure.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

/// Digest over what tells members apart, so that two processes know that they mean the same.
pub(super) fn listing<'m>(members: impl IntoIterator<Item = &'m crate::sources::Member>) -> Digest {
    let mut digester = crate::base::digest::Digester::new();
    for member in members {
        digester.field("stamp", member.stamp.as_bytes());
    }
    digester.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_replies_survive_the_way() {
        let unit = Unit {
            format: UNIT_FORMAT,
            id: "images-7-0".into(),
            definition: "/data/pipeline.toml".into(),
            sets: vec![("a".into(), "1".into())],
            definition_digest: Digest::of(b"d"),
            retry_rejects: false,
            only: Vec::new(),
            tables: BTreeMap::from([("images".to_owned(), "f".to_owned())]),
            range: Range::Members {
                table: "images".into(),
                archive: 1,
                from: 3,
                to: 9,
                listing: Digest::of(b"l"),
            },
        };
        let order = Order::Unit(unit);
        let line = serde_json::to_string(&order).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Order>(&line).unwrap(), order);
        let error = Error::new(Kind::Io, "cannot write").at("/store").help("make space");
        let reply = Reply::Failed(Failure::from(&error));
        let line = serde_json::to_string(&reply).unwrap();
        let Reply::Failed(failure) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        let back = Error::from(failure);
        assert_eq!((back.kind(), back.help_text()), (Kind::Io, Some("make space")));
        assert_eq!(back.to_string(), "/store: cannot write");
    }
}
