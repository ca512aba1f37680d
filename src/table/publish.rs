//! Publishing: one atomic commit that takes parts out and puts parts in.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use deltalake_core::DeltaTable;
use deltalake_core::kernel::transaction::{CommitBuilder, TableReference};
use deltalake_core::kernel::{Action, Add, CommitInfo, Metadata, Protocol, Remove};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use serde_json::{Value, json};

use super::breach::Breach;
use super::check::{self, Candidate};
use super::folder::Folder;
use super::loaded::KEY_PROPERTY;
use super::note::{COMMIT_KEY, CommitNote, Entry};
use super::part::FORMAT;
use super::part::{Part, StagedPart, glance, total_rows};
use super::snapshot::Snapshot;
use super::{damaged, log, manifest, runtime, schema};
use crate::base::clock::rfc3339;
use crate::base::{Digest, Error, Kind, Result};
use crate::flow::{Fidelity, RejectClass};
use crate::plan::contract::Contract;

/// Every so many versions the log is gathered into a checkpoint: what opening reads one by one.
const CHECKPOINT_VERSIONS: u64 = 20;
/// The table property that names the contract.
const CONTRACT_PROPERTY: &str = "clipmill.contract";

/// What is to become of a table.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The version the change was computed against; `None` where there was no table.
    pub expected_version: Option<i64>,
    /// Paths of parts that leave.
    pub remove: Vec<String>,
    /// Parts that come.
    pub add: Vec<StagedPart>,
    /// Why.
    pub note: CommitNote,
    /// What could not become a row of the new version, by class, for `reject_share`.
    pub reject_counts: BTreeMap<RejectClass, u64>,
    /// How near the new rows are to those in f32, where they are of a reduced type, for `fidelity`.
    pub fidelity: Option<Fidelity>,
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Readers see the new version.
    Published {
        /// Its number.
        version: i64,
        /// Its rows.
        rows: u64,
    },
    /// The contract does not hold: readers keep the old version, and the staged parts are kept.
    Broken(Vec<Breach>),
}

/// Carries a change out.
pub(super) fn publish(folder: &Folder, contract: &Contract, change: &Change) -> Result<Outcome> {
    let base = Snapshot::load(folder, None)?;
    let found = base.as_ref().map(Snapshot::version);
    if found != change.expected_version {
        return Err(overtaken(folder, base.as_ref(), change.expected_version));
    }
    if let Some(base) = &base {
        forget_published(folder, base.parts())?;
    }
    let parts = base.as_ref().map_or(&[][..], Snapshot::parts);
    let (removed, kept) = split(folder, parts, &change.remove)?;
    let added = locate(folder, &change.add)?;

    let digest = contract.digest();
    let commit = base.as_ref().map(Snapshot::commit).transpose()?.flatten();
    let same_contract = commit.is_some_and(|commit| commit.contract == Some(digest));
    let kept_paths: Vec<PathBuf> = kept.iter().map(|part| folder.path().join(&part.path)).collect();
    let all = [kept_paths.as_slice(), added.as_slice()].concat();
    let added_rows = change.add.iter().map(|part| part.rows);
    let rows = total_rows(kept.iter().map(|part| part.rows).chain(added_rows));
    let breaches = check::check(&Candidate {
        contract,
        all: &all,
        unchecked: if same_contract { &added } else { &all },
        rows,
        rejects: &change.reject_counts,
        fidelity: change.fidelity,
    })?;
    if !breaches.is_empty() {
        return Ok(Outcome::Broken(breaches));
    }

    move_in(folder, &change.add)?;
    let mut actions = Vec::new();
    let metadata = metadata(folder, contract, base.as_ref())?;
    if base.is_none() {
        actions.push(Action::Protocol(protocol()?));
    }
    if let Some(metadata) = metadata {
        actions.push(Action::Metadata(metadata));
    }
    actions.extend(removed.iter().map(|part| Action::Remove(remove_action(folder, part))));
    actions.extend(change.add.iter().map(|part| Action::Add(add_action(part))));
    let entry =
        Entry { format: FORMAT, contract: digest, rows: Some(rows), note: change.note.clone() };
    actions.insert(0, Action::CommitInfo(commit_info(folder, &entry, change)));
    let version = commit_actions(folder, base.as_ref(), actions, change.expected_version)?;
    tracing::info!("{}: version {version} is published, {rows} rows", folder.table());
    finish(folder, base.as_ref(), version, &change.add);
    Ok(Outcome::Published { version: i64::try_from(version).unwrap_or(i64::MAX), rows })
}

pub(super) fn overtaken(folder: &Folder, now: Option<&Snapshot>, expected: Option<i64>) -> Error {
    let before =
        expected.map_or_else(|| "was not there".to_owned(), |v| format!("was at version {v}"));
    let after = match now {
        None => "is gone now".to_owned(),
        Some(now) => {
            let commit = now.commit().ok().flatten();
            let at = commit.as_ref().and_then(|commit| commit.at_us).map(rfc3339);
            let by = commit.and_then(|commit| commit.note).map(|note| note.operation);
            format!(
                "is at version {} now, written {} by {}",
                now.version(),
                at.unwrap_or_else(|| "at an unknown time".to_owned()),
                by.map_or_else(|| "another program".to_owned(), |by| format!("`{by}`")),
            )
        }
    };
    Error::new(
        Kind::Busy,
        format!("another run changed the table meanwhile: it {before} and {after}"),
    )
    .at(folder.table())
    .help("run again: what this run computed is kept and will be used")
}

/// Takes away the manifests of parts that a version has: left by a run that died between its
/// commit and its cleaning up.
pub(super) fn forget_published(folder: &Folder, published: &[Part]) -> Result<()> {
    for staged in manifest::list(folder)? {
        if published.iter().any(|part| part.path == staged.path) {
            manifest::remove(folder, &staged.path)?;
        }
    }
    Ok(())
}

fn split(folder: &Folder, parts: &[Part], remove: &[String]) -> Result<(Vec<Part>, Vec<Part>)> {
    if let Some(unknown) = remove.iter().find(|path| !parts.iter().any(|part| &part.path == *path))
    {
        return Err(Error::new(Kind::Internal, format!("there is no part `{unknown}` to remove"))
            .at(folder.table()));
    }
    Ok(parts.iter().cloned().partition(|part| remove.contains(&part.path)))
}

/// Where the added parts' files are; each is as it was written.
fn locate(folder: &Folder, added: &[StagedPart]) -> Result<Vec<PathBuf>> {
    added
        .iter()
        .map(|part| {
            let path = folder.find(&part.path);
            match glance(&path, part.size_bytes, Some(&part.seal)) {
                None => Ok(path),
                Some(what) => Err(Error::new(Kind::Store, format!("the staged part {what}"))
                    .at(path.display())
                    .help("run again: the part will be computed again")),
            }
        })
        .collect()
}

fn move_in(folder: &Folder, added: &[StagedPart]) -> Result<()> {
    let (from, to) = (folder.staging(), folder.path());
    for part in added {
        let staged = from.join(&part.path);
        if staged.exists() {
            folder
                .storage()
                .rename(&staged, &to.join(&part.path))
                .map_err(|cause| Error::io("cannot move a part", staged.display(), cause))?;
        }
    }
    if added.is_empty() {
        return Ok(());
    }
    folder
        .storage()
        .sync_folder(to)
        .map_err(|cause| Error::io("cannot sync the folder", to.display(), cause))
}

pub(super) fn commit_actions(
    folder: &Folder,
    base: Option<&Snapshot>,
    actions: Vec<Action>,
    expected: Option<i64>,
) -> Result<u64> {
    folder.make(&folder.path().join(log::LOG_FOLDER))?;
    let delta = base.map(Snapshot::delta);
    let store = match (base, &delta) {
        // one that does not look at the damaged checkpoint
        (Some(base), Some(delta)) if base.is_replayed() => delta.log_store(),
        _ => log::log_store(folder.path(), folder.shared_storage())?,
    };
    let mode = if base.is_some() { SaveMode::Overwrite } else { SaveMode::ErrorIfExists };
    let operation = DeltaOperation::Write { mode, partition_by: None, predicate: None };
    let committed = runtime::wait(async move {
        let state = delta.as_deref().map(DeltaTable::snapshot).transpose()?;
        let table = state.map(|state| state as &dyn TableReference);
        // no retries: the contract was checked against this very base
        let commit = CommitBuilder::default().with_actions(actions).with_max_retries(0);
        let commit = commit.build(table, store, operation).into_prepared_commit_future().await?;
        // the hooks after a commit are left out: a fault of theirs is no fault of the commit
        commit.await.map(|done| done.version)
    })?;
    committed.map_err(|cause| {
        if log::lost_the_race(&cause) {
            let now = Snapshot::load(folder, None).ok().flatten();
            return overtaken(folder, now.as_ref(), expected);
        }
        log::error(folder.path(), &cause)
    })
}

/// What follows a commit; the version stands whatever becomes of it.
pub(super) fn finish(folder: &Folder, base: Option<&Snapshot>, version: u64, added: &[StagedPart]) {
    for part in added {
        if let Err(cause) = manifest::remove(folder, &part.path) {
            tracing::warn!(%cause, "a manifest is left; the next run removes it");
        }
    }
    if damaged::any(folder) {
        let newest = folder.newest().map(|newest| newest.map(|now| now.parts.clone()));
        let forgotten =
            newest.and_then(|parts| damaged::forget(folder, &parts.unwrap_or_default()));
        if let Err(cause) = forgotten {
            tracing::warn!(%cause, "the note of damaged parts names some that are gone");
        }
    }
    let damaged = base.is_some_and(Snapshot::is_replayed);
    if !damaged && !(version + 1).is_multiple_of(CHECKPOINT_VERSIONS) {
        return;
    }
    match checkpoint(folder, version) {
        Err(cause) => {
            tracing::warn!(%cause, "no checkpoint was written; opening will take longer");
        }
        Ok(()) if damaged => {
            log::remove_checkpoints_before(folder.path(), folder.storage(), version);
            // what is kept in memory does not see the new one
            folder.forget();
        }
        Ok(()) => {}
    }
}

/// Gathers the log up to `version`, so that opening need not read every commit.
fn checkpoint(folder: &Folder, version: u64) -> Result<()> {
    let newest = folder.newest()?.filter(|newest| u64::try_from(newest.version) == Ok(version));
    let Some(newest) = newest else { return Ok(()) };
    let table = newest.delta.as_ref().clone();
    let done = runtime::wait(async move {
        deltalake_core::checkpoints::create_checkpoint(&table, None).await
    })?;
    done.map_err(|cause| log::error(folder.path(), &cause))
}

fn add_action(part: &StagedPart) -> Add {
    Add {
        path: part.path.clone(),
        size: i64::try_from(part.size_bytes).unwrap_or(i64::MAX),
        modification_time: part.written_us / 1000,
        data_change: true,
        stats: Some(part.stats.clone()),
        tags: Some(part.tags()),
        ..Add::default()
    }
}

pub(super) fn remove_action(folder: &Folder, part: &Part) -> Remove {
    Remove {
        path: part.path.clone(),
        data_change: true,
        deletion_timestamp: Some(folder.now_us() / 1000),
        extended_file_metadata: Some(true),
        partition_values: Some(HashMap::new()),
        size: i64::try_from(part.size_bytes).ok(),
        ..Remove::default()
    }
}

fn commit_info(folder: &Folder, entry: &Entry, change: &Change) -> CommitInfo {
    let metrics = json!({
        "num_added_files": change.add.len(),
        "num_removed_files": change.remove.len(),
        "num_added_rows": total_rows(change.add.iter().map(|part| part.rows)),
    });
    let parameters = HashMap::from([("operation".to_owned(), json!(change.note.operation))]);
    CommitInfo {
        timestamp: Some(folder.now_us() / 1000),
        operation: Some("WRITE".to_owned()),
        operation_parameters: Some(parameters),
        read_version: change.expected_version.and_then(|version| u64::try_from(version).ok()),
        is_blind_append: Some(false),
        engine_info: Some(format!("clipmill:{}", env!("CARGO_PKG_VERSION"))),
        info: HashMap::from([
            (COMMIT_KEY.to_owned(), entry.to_json()),
            ("operationMetrics".to_owned(), metrics),
        ]),
        ..CommitInfo::default()
    }
}

fn protocol() -> Result<Protocol> {
    from_json(json!({"minReaderVersion": 1, "minWriterVersion": 2}))
}

/// The table's metadata, where they are new or other than they were.
fn metadata(
    folder: &Folder,
    contract: &Contract,
    base: Option<&Snapshot>,
) -> Result<Option<Metadata>> {
    let key = json!(contract.key).to_string();
    let wanted = schema::arrow_schema(contract);
    if let Some(base) = base
        && base.schema() == wanted
        && base.key() == contract.key
    {
        return Ok(None);
    }
    let now_ms = folder.now_us() / 1000;
    let delta = base.map(Snapshot::delta);
    let old = delta.as_deref().and_then(|delta| delta.snapshot().ok()).map(|s| s.metadata());
    let id = match old {
        Some(old) => old.id().to_owned(),
        None => new_id(folder, now_ms),
    };
    let created = old.and_then(Metadata::created_time).unwrap_or(now_ms);
    from_json(json!({
        "id": id,
        "name": folder.table(),
        "description": contract.description,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema::delta_schema(contract).to_string(),
        "partitionColumns": [],
        "createdTime": created,
        "configuration": {
            KEY_PROPERTY: key,
            CONTRACT_PROPERTY: contract.name,
            "delta.checkpointInterval": CHECKPOINT_VERSIONS.to_string(),
            // the log is the table's history: nobody may shorten it by opening the table
            "delta.enableExpiredLogCleanup": "false",
        },
    }))
    .map(Some)
}

/// An identifier in the shape of a UUID (version 8: made up by its application).
fn new_id(folder: &Folder, now_ms: i64) -> String {
    let place = folder.path().display();
    let hex = Digest::of(format!("{place} {now_ms} {}", std::process::id()).as_bytes()).to_string();
    let digits = |from: usize, count: usize| hex.chars().skip(from).take(count).collect::<String>();
    format!(
        "{}-{}-8{}-8{}-{}",
        digits(0, 8),
        digits(8, 4),
        digits(12, 3),
        digits(15, 3),
        digits(18, 12)
    )
}

fn from_json<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|cause| {
        Error::new(Kind::Internal, "cannot make an entry of the log").caused_by(cause)
    })
}
