//! The versions of a table: when, why, and whether each can still be read.

use std::collections::BTreeSet;

use super::journal::{Moves, decoded};
use super::note::{self, Commit};
use super::snapshot::Snapshot;
use crate::base::{Error, Result};

/// One version, and whether it can be read and restored.
#[derive(Debug, Clone, PartialEq)]
pub struct PastVersion {
    /// What its commit says.
    pub commit: Commit,
    /// Whether all its parts are there: vacuum takes those of old versions.
    pub whole: bool,
}

impl Snapshot {
    /// This version and those before it, newest first, as far back as the log goes and at most
    /// `limit`.
    ///
    /// # Errors
    /// When the log or the folder cannot be read.
    pub fn past(&self, limit: Option<usize>) -> Result<Vec<PastVersion>> {
        let folder = self.folder().path();
        let names = self
            .folder()
            .storage()
            .list(folder)
            .map_err(|cause| Error::io("cannot list", folder.display(), cause))?;
        let there: BTreeSet<String> = names.into_iter().collect();
        let lacks = |name: &String| {
            // a part may lie below the folder, where another program wrote it
            !there.contains(name) && !folder.join(name).exists()
        };
        // parts of the version at hand that are not there
        let mut missing: BTreeSet<String> =
            self.parts().iter().map(|part| decoded(&part.path)).filter(lacks).collect();
        let mut past = Vec::new();
        for version in (0..=self.version()).rev().take(limit.unwrap_or(usize::MAX)) {
            let Some(text) = note::text(folder, version)? else { break };
            let commit = note::of_text(folder, version, &text)?;
            past.push(PastVersion { commit, whole: missing.is_empty() });
            // one version back: what came leaves, what left comes
            let moves = Moves::of(folder, version, &text)?;
            missing.retain(|name| !moves.added.contains(name));
            missing.extend(moves.removed.into_iter().filter(lacks));
        }
        Ok(past)
    }
}
