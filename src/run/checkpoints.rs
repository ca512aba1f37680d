//! The table of a captioner: its kept checkpoints, and which of them is the best.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array as _, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};

use crate::base::{Cancel, Digest, Error, Kind, Result};
use crate::plan::{Counts, Reason, Stage, state_folder};
use crate::table::schema::arrow_schema;
use crate::table::{Change, Outcome, Snapshot, Store};
use crate::train::checkpoint::Checkpoint;
use crate::train::trainer::checkpoints_folder;

use super::context::Context;
use super::refusal::refusal;
use super::report::{Broken, TableReport};
use super::rows;
use super::tally::{Tally, compare};

/// In the column `input_digest` of a checkpoint that was trained elsewhere: it stands, whatever
/// the examples become.
pub const IMPORTED: &str = "imported";

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Name of the checkpoint.
    pub name: String,
    /// Steps of the optimiser.
    pub step: i64,
    /// Its folder, absolute.
    pub path: PathBuf,
    /// What captions made with it depend on.
    pub digest: Digest,
    /// Its validation loss.
    pub validation_loss: Option<f64>,
    /// Whether it is the best.
    pub best: bool,
    /// Digest of its examples, or [`IMPORTED`].
    pub input_digest: String,
    /// Fingerprint of its stage.
    pub fingerprint: String,
}

impl Kept {
    /// The checkpoint itself.
    ///
    /// # Errors
    /// [`Kind::Store`] when its folder is gone, is damaged, or holds another one.
    pub fn open(&self) -> Result<Checkpoint> {
        let found = Checkpoint::open(&self.path)?;
        if found.state.digest == self.digest.to_string() {
            return Ok(found);
        }
        Err(Error::new(Kind::Store, "holds another checkpoint than the table says")
            .at(self.path.display())
            .help("`clipmill run` trains a new one, `clipmill import-checkpoint` brings one along"))
    }
}

/// The checkpoints that the newest version of `table` names.
///
/// # Errors
/// When the table cannot be read.
pub fn read(store: &Store, table: &str) -> Result<Vec<Kept>> {
    match store.snapshot(table)? {
        Some(snapshot) => named(store, &snapshot),
        None => Ok(Vec::new()),
    }
}

/// What the newest version of a stage's table holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub snapshot: Option<Snapshot>,
    pub kept: Vec<Kept>,
    /// Whether rows are lost with a damaged part.
    lost: bool,
}

impl Held {
    /// Reads it, as far as its parts are what was written.
    ///
    /// # Errors
    /// When the table cannot be read; [`Kind::BadInput`] when rows are lost and the checkpoint had
    /// been brought along: no training gives it back.
    pub(super) fn read(store: &Store, table: &str) -> Result<Self> {
        let Some(snapshot) = store.snapshot(table)? else { return Ok(Self::default()) };
        let (sound, damaged) = snapshot.sort_out(&Cancel::new())?;
        let mut lost = !damaged.is_empty();
        let mut kept = Vec::new();
        for part in sound {
            match snapshot.scan_part(part, &[]).and_then(|rows| of_batches(store, rows)) {
                Ok(rows) => kept.extend(rows),
                Err(error) if error.kind() == Kind::Store => {
                    tracing::warn!(%error, "checkpoints are lost");
                    lost = true;
                }
                Err(error) => return Err(error),
            }
        }
        kept.sort_by_key(|one| one.step);
        if lost && has_imported(&checkpoints_folder(&state_folder(store.root()), table)) {
            let what = "the part that names the checkpoint that was brought along is damaged";
            return Err(Error::new(Kind::BadInput, what).at(table).help(
                "`clipmill import-checkpoint` brings it along again; to have one trained in its \
                 place, delete the folders `imported-…` of its checkpoints first",
            ));
        }
        Ok(Self { snapshot: Some(snapshot), kept, lost })
    }

    /// Whether these rows are what the stage would make of the examples with this digest.
    pub(super) fn stands(&self, fingerprint: &str, input_digest: &str) -> bool {
        !self.lost && stand(&self.kept, fingerprint, input_digest)
    }

    /// Why a training is due, that the stored rows say.
    pub(super) fn reason(&self, stage: &Stage) -> Result<Reason> {
        if self.lost {
            return Ok(Reason::PartDamaged);
        }
        reason(self.snapshot.as_ref(), &self.kept, stage)
    }
}

/// Whether one was brought along: a training removes those.
fn has_imported(below: &Path) -> bool {
    let entries = std::fs::read_dir(below).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(IMPORTED))
}

/// What is wrong with the checkpoints that a version of a table names; nothing where it is no
/// table of checkpoints.
///
/// # Errors
/// When the table cannot be read.
pub fn missing(store: &Store, snapshot: &Snapshot) -> Result<Vec<Error>> {
    if snapshot.key() != ["checkpoint"] {
        return Ok(Vec::new());
    }
    Ok(named(store, snapshot)?.iter().filter_map(|one| one.open().err()).collect())
}

/// The checkpoints that a version names.
pub(super) fn named(store: &Store, snapshot: &Snapshot) -> Result<Vec<Kept>> {
    let batches = snapshot.scan(&[])?.map(|batch| batch.map(|(_, batch)| batch));
    let mut kept = of_batches(store, batches)?;
    kept.sort_by_key(|one| one.step);
    Ok(kept)
}

/// The checkpoints in rows of a table.
fn of_batches(
    store: &Store,
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
) -> Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for batch in batches {
        let batch = batch?;
        let text = |name| rows::column::<StringArray>(&batch, name);
        let (names, paths, digests) = (text("checkpoint")?, text("path")?, text("digest")?);
        let (inputs, made_by) = (text("input_digest")?, text("fingerprint")?);
        let steps = rows::column::<Int64Array>(&batch, "step")?;
        let losses = rows::column::<Float64Array>(&batch, "validation_loss")?;
        let best = rows::column::<BooleanArray>(&batch, "best")?;
        for at in 0..batch.num_rows() {
            kept.push(Kept {
                name: names.value(at).to_owned(),
                step: steps.value(at),
                path: store.root().join(paths.value(at)),
                digest: digests.value(at).parse()?,
                validation_loss: losses.is_valid(at).then(|| losses.value(at)),
                best: best.value(at),
                input_digest: inputs.value(at).to_owned(),
                fingerprint: made_by.value(at).to_owned(),
            });
        }
    }
    Ok(kept)
}

/// The best checkpoint that the newest version of `table` names.
///
/// # Errors
/// [`Kind::MissingInput`] where nothing was trained, [`Kind::Store`] when its folder is gone.
pub fn best(store: &Store, table: &str) -> Result<(Kept, Checkpoint)> {
    let kept = read(store, table)?.into_iter().find(|one| one.best).ok_or_else(|| {
        Error::new(Kind::MissingInput, "no captioner was trained yet")
            .at(table)
            .help("`clipmill train FILE` trains it, `clipmill import-checkpoint` brings one along")
    })?;
    let checkpoint = kept.open()?;
    Ok((kept, checkpoint))
}

fn stand(kept: &[Kept], fingerprint: &str, input_digest: &str) -> bool {
    kept.iter().any(|one| one.best)
        && kept.iter().all(|one| {
            one.fingerprint == fingerprint
                && (one.input_digest == input_digest || one.input_digest == IMPORTED)
                && one.open().is_ok()
        })
}

fn reason(snapshot: Option<&Snapshot>, kept: &[Kept], stage: &Stage) -> Result<Reason> {
    let (Some(snapshot), Some(one)) = (snapshot, kept.first()) else { return Ok(Reason::New) };
    let now = stage.fingerprint.digest().to_string();
    if one.fingerprint == now {
        let whole = kept.iter().all(|one| one.open().is_ok());
        return Ok(if whole { Reason::ContentChanged } else { Reason::PartDamaged });
    }
    let before: crate::plan::Fingerprint = snapshot
        .noted_commit()?
        .and_then(|commit| commit.note)
        .and_then(|note| serde_json::from_value(note.fingerprint_parts).ok())
        .unwrap_or_default();
    Ok(before.stale_because(&stage.fingerprint))
}

/// Publishes checkpoints in place of those that the table names.
pub(super) fn publish(
    ctx: &mut Context<'_>,
    stage: &Stage,
    checkpoints: &[Checkpoint],
    reason: Reason,
) -> Result<()> {
    let staged = ctx.store.staged(&stage.table)?;
    ctx.store.discard_staged(&stage.table, &staged)?;
    let before = ctx.store.snapshot(&stage.table)?;
    let mut sink = ctx.sink(stage);
    let batch = batch(ctx.store.root(), stage, checkpoints)?;
    sink.push(&batch)?;
    let mut counts = Counts::default();
    counts.add_many(reason, checkpoints.len() as u64);
    let rows = checkpoints.len() as u64;
    let gone = before.as_ref().map_or(0, Snapshot::rows);
    let mut note = ctx.note(stage)?;
    let by_name = |kept: Vec<Kept>| kept.into_iter().map(|one| (one.name.clone(), one));
    let old = before.as_ref().and_then(|snapshot| named(&ctx.store, snapshot).ok());
    let new = by_name(of_batches(&ctx.store, [Ok(batch)])?);
    let compared = compare(by_name(old.unwrap_or_default()).collect(), new);
    Tally::of(&compared, gone).tell(rows, &mut note);
    let why = [(reason, note.added + note.changed), (Reason::Removed, note.removed)];
    let why = why.into_iter().filter(|(_, rows)| *rows > 0);
    note.reasons = why.map(|(reason, rows)| (reason.name().to_owned(), rows)).collect();
    let change = Change {
        expected_version: before.as_ref().map(Snapshot::version),
        remove: before.iter().flat_map(|s| s.parts()).map(|part| part.path.clone()).collect(),
        add: sink.finish()?,
        note,
        reject_counts: BTreeMap::new(),
        fidelity: None,
    };
    let mut report = TableReport {
        table: stage.table.clone(),
        version: before.as_ref().map(Snapshot::version),
        rows: gone,
        counts,
        computed: rows,
        resumed: 0,
        published: false,
    };
    if let Some(refused) = refusal(ctx, &stage.table, &stage.contract, Some(&change))? {
        ctx.report.refused.push(refused);
        ctx.see(stage, &report);
        ctx.report.tables.push(report);
        return Ok(());
    }
    match ctx.store.publish(&stage.table, &stage.contract, change)? {
        Outcome::Published { version, rows } => {
            report.version = Some(version);
            report.rows = rows;
            report.published = true;
        }
        Outcome::Broken(breaches) => {
            ctx.report.broken.push(Broken { table: stage.table.clone(), breaches });
        }
    }
    ctx.see(stage, &report);
    ctx.report.tables.push(report);
    Ok(())
}

/// The step of the best of these checkpoints: the newest, where none was measured.
pub(super) fn best_step(checkpoints: &[Checkpoint]) -> Option<u64> {
    let newest = checkpoints.iter().max_by_key(|one| one.state.step)?;
    Some(newest.state.best.map_or(newest.state.step, |best| best.step))
}

/// Reports a table that stays as it is.
pub(super) fn leave(ctx: &mut Context<'_>, stage: &Stage, snapshot: Option<&Snapshot>) {
    let mut counts = Counts::default();
    let rows = snapshot.map_or(0, Snapshot::rows);
    counts.add_many(Reason::UpToDate, rows);
    let report = TableReport {
        table: stage.table.clone(),
        version: snapshot.map(Snapshot::version),
        rows,
        counts,
        computed: 0,
        resumed: 0,
        published: false,
    };
    ctx.see(stage, &report);
    ctx.report.tables.push(report);
}

fn batch(root: &Path, stage: &Stage, checkpoints: &[Checkpoint]) -> Result<RecordBatch> {
    let best = best_step(checkpoints);
    let name = |c: &Checkpoint| {
        let run = c.path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let step = c.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{run}/{step}")
    };
    let mut sorted: Vec<&Checkpoint> = checkpoints.iter().collect();
    sorted.sort_by_key(|c| name(c));
    let path = |c: &Checkpoint| {
        let below = c.path.strip_prefix(root).unwrap_or(&c.path);
        below.to_string_lossy().replace('\\', "/")
    };
    let losses: Float64Array = sorted.iter().map(|c| c.state.validation_loss).collect();
    let bests: BooleanArray = sorted.iter().map(|c| Some(Some(c.state.step) == best)).collect();
    let epochs = sorted.iter().map(|c| i32::try_from(c.state.epoch).unwrap_or(i32::MAX));
    rows::batch(
        &arrow_schema(&stage.contract),
        &[
            ("checkpoint", rows::strings(sorted.iter().map(|c| name(c)))),
            ("step", rows::int64s(sorted.iter().map(|c| rows::signed(c.state.step)))),
            ("epoch", rows::int32s(epochs)),
            ("path", rows::strings(sorted.iter().map(|c| path(c)))),
            ("digest", rows::strings(sorted.iter().map(|c| &c.state.digest))),
            ("validation_loss", Arc::new(losses)),
            ("best", Arc::new(bests)),
            ("input_digest", rows::strings(sorted.iter().map(|c| &c.state.input_digest))),
            ("fingerprint", rows::strings(sorted.iter().map(|c| &c.state.fingerprint))),
        ],
    )
}
