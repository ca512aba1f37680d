//! What every stage of a run has at hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::clock::Clock;
use crate::base::progress::Progress;
use crate::base::{Cancel, Result};
use crate::plan::{Plan, Stage};
use crate::table::{CommitNote, Store};

use super::clocks::Clocks;
use super::report::{RunReport, TableReport};

/// What the user asked of a run, and who watches it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Asked to stop.
    pub cancel: Cancel,
    /// Told what happens.
    pub progress: Arc<dyn Progress>,
    /// Says what time it is.
    pub clock: Arc<dyn Clock>,
    /// Whether rows refused before are tried again.
    pub retry_rejects: bool,
    /// Tables to make, with those they need; empty means all.
    pub only: Vec<String>,
    /// Whether to wait for another run of the same store, rather than fail.
    pub wait: bool,
}

/// A run under way.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub plan: &'a Plan,
    pub options: &'a Options,
    pub store: Store,
    pub clocks: Clocks,
    pub report: RunReport,
    /// Newest version of each table that this run knows.
    pub versions: BTreeMap<String, i64>,
}

impl Context<'_> {
    /// Where kept indexes of archives live.
    pub(super) fn index_folder(&self) -> PathBuf {
        crate::plan::state_folder(&self.plan.store).join("index")
    }

    /// The note of a commit on `stage`'s table.
    pub(super) fn note(&self, stage: &crate::plan::Stage) -> Result<CommitNote> {
        let inputs = stage
            .work
            .reads()
            .into_iter()
            .filter_map(|table| Some((table.to_owned(), *self.versions.get(table)?)))
            .collect();
        let parts = serde_json::to_value(&stage.fingerprint).map_err(|cause| {
            crate::base::Error::new(crate::base::Kind::Internal, "a fingerprint is no JSON")
                .caused_by(cause)
        })?;
        Ok(CommitNote {
            definition_digest: self.plan.definition_digest.to_string(),
            operation: stage.work.name().to_owned(),
            inputs,
            fingerprint_parts: parts,
            model: crate::plan::resolve::weights_of(&stage.fingerprint).map(str::to_owned),
            added: 0,
            removed: 0,
            changed: 0,
            ..CommitNote::default()
        })
    }

    /// Remembers the version of a table that readers see now.
    pub(super) fn see(&mut self, stage: &Stage, report: &TableReport) {
        if let Some(version) = report.version {
            self.versions.insert(stage.table.clone(), version);
        }
    }

    /// Notes that a table is not made because one before it broke its contract.
    pub(super) fn hold_back(&mut self, stage: &Stage) {
        self.report.held_back.push(stage.table.clone());
    }
}
