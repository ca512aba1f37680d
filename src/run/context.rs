//! What every stage of a run has at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::clock::Clock;
use crate::base::progress::Progress;
use crate::base::{Cancel, Result};
use crate::plan::model::ModelSpec;
use crate::plan::{Plan, Reason, Stage};
use crate::table::storage::{Disk, Storage};
use crate::table::{CommitNote, Part, Snapshot, StagedPart, Store};

use super::clocks::Clocks;
use super::foresight::Foresight;
use super::key::Key;
use super::lookout::{Lookout, Sight};
use super::report::{RunReport, TableReport};
use super::sink::Sink;
use super::state::State;

/// Captions of one image that are looked for when no source names them; contracts allow 100.
const MOST_CAPTIONS: i32 = 1000;

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

impl Options {
    /// Tells what computes a table's features where, and how many of them together.
    pub(super) fn tell_model(&self, table: &str, model: &ModelSpec, on: (&str, usize)) {
        let (device, rows) = on;
        let model = &model.name;
        self.progress.note(&format!("{table}: model `{model}` on {device}, {rows} rows a batch"));
    }

    /// Tells that a table's rows are computed so many at once from here on.
    pub(super) fn tell_smaller(&self, table: &str, rows: usize) {
        self.progress.note(&format!(
            "{table}: the device ran out of memory; batches are of {rows} from here on"
        ));
    }
}

/// What a run works with, beyond what it is asked to do.
#[derive(Debug, Clone)]
pub struct Means {
    /// Where tables are written.
    pub storage: Arc<dyn Storage>,
    /// Processes that compute units of the work; none computes all in this one.
    pub workers: Option<Workers>,
}

/// How worker processes are started. Each is told what to do on its standard input, in lines of
/// [`super::unit::Order`], and answers on its standard output, in lines of
/// [`super::unit::Reply`].
#[derive(Debug, Clone)]
pub struct Workers {
    /// How many work at once.
    pub count: std::num::NonZeroUsize,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<std::ffi::OsString>,
    /// GPUs, as `CUDA_VISIBLE_DEVICES` names them. Each process sees one, in turn, where the
    /// definition leaves open which.
    pub gpus: Vec<String>,
}

impl Default for Means {
    fn default() -> Self {
        Self { storage: Arc::new(Disk), workers: None }
    }
}

/// A run under way.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub plan: &'a Plan,
    pub options: &'a Options,
    pub means: &'a Means,
    pub store: Store,
    /// The unit of work that is computed, where this process does another one's work.
    pub unit: Option<String>,
    /// What the names of all units that this run hands out begin with.
    pub handed_out: Option<String>,
    pub clocks: Clocks,
    pub report: RunReport,
    /// What tables will hold; only while planning.
    pub foresight: Option<Foresight>,
    /// The image that somebody asked about; only while planning.
    pub lookout: Option<Lookout>,
    /// Newest version of each table that this run knows.
    pub versions: BTreeMap<String, i64>,
    /// Parts that were read whole and are what was written, by table and name.
    trusted: Mutex<BTreeSet<(String, String)>>,
}

impl<'a> Context<'a> {
    /// A run that has done nothing yet.
    pub(super) fn new(
        plan: &'a Plan,
        options: &'a Options,
        means: &'a Means,
        store: Store,
    ) -> Self {
        Self {
            plan,
            options,
            means,
            store,
            unit: None,
            handed_out: None,
            foresight: None,
            lookout: None,
            clocks: Clocks::default(),
            report: RunReport { pipeline: plan.name.clone(), ..RunReport::default() },
            versions: BTreeMap::new(),
            trusted: Mutex::default(),
        }
    }

    /// That all parts of `table` are what was written: rows are about to be made from them. Whoever
    /// judges rows only glances at parts; each is read whole once a run, and only where something
    /// is made from it.
    ///
    /// # Errors
    /// [`crate::base::Kind::Store`] when one is not: the run then looks for all such and begins
    /// again.
    pub(super) fn trust(&self, table: &str) -> Result<()> {
        match self.store.snapshot(table)? {
            Some(snapshot) => self.trust_parts(&snapshot, snapshot.parts(), &self.options.cancel),
            None => Ok(()),
        }
    }

    /// As [`trust`](Self::trust), of some parts of a table.
    ///
    /// # Errors
    /// As [`trust`](Self::trust).
    pub(super) fn trust_parts<'p>(
        &self,
        snapshot: &Snapshot,
        parts: impl IntoIterator<Item = &'p Part>,
        cancel: &Cancel,
    ) -> Result<()> {
        // A plan makes no rows; for units the process looked that cut them.
        if self.foresight.is_some() || self.unit.is_some() {
            return Ok(());
        }
        let name = |part: &Part| (snapshot.table().to_owned(), part.path.clone());
        let trusted = || self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        let unread: Vec<&Part> = {
            let known = trusted();
            parts.into_iter().filter(|part| !known.contains(&name(part))).collect()
        };
        unread.iter().try_for_each(|part| snapshot.sound(part, cancel))?;
        trusted().extend(unread.into_iter().map(name));
        Ok(())
    }

    /// As [`trust`](Self::trust), of parts that are staged for `table`.
    ///
    /// # Errors
    /// As [`trust`](Self::trust).
    pub(super) fn trust_staged(&self, table: &str, parts: &[&StagedPart]) -> Result<()> {
        let sound = |part: &&StagedPart| self.store.sound_staged(table, part, &Cancel::new());
        parts.iter().try_for_each(sound)
    }

    /// Notes what is found of the image that somebody asked about.
    pub(super) fn watch(&self, image_id: &str, sight: impl FnOnce() -> Sight) {
        if let Some(lookout) = self.lookout.as_ref().filter(|l| l.image_id == image_id) {
            lookout.see(sight());
        }
    }

    /// Notes rows of that image which no source holds any more; when all of `stage` are judged.
    pub(super) fn watch_removed(&self, stage: &Stage, state: &State) {
        let Some(lookout) = &self.lookout else { return };
        let captions = (0..MOST_CAPTIONS).map(|number| Key::caption(&lookout.image_id, number));
        for key in std::iter::once(Key::image(&lookout.image_id)).chain(captions) {
            if state.is_unseen(&key) {
                lookout.see(Sight::new(stage, key, Reason::Removed, state));
            }
        }
    }

    /// Where kept indexes of archives live.
    pub(super) fn index_folder(&self) -> PathBuf {
        crate::plan::state_folder(&self.plan.store).join("index")
    }

    /// Where the computed rows of a stage go.
    pub(super) fn sink(&self, stage: &Stage) -> Sink {
        let print = stage.fingerprint.digest().to_string();
        let (store, size) = (&self.store, self.plan.parts);
        Sink::new(store, size, &stage.table, &stage.contract, &print).of_unit(self.unit.as_deref())
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
