//! The short cut of a run with nothing to do.
//!
//! When all tables were up to date, a note says what was true then: the definition and its
//! fingerprints, the stamps of all inputs, of every table's log, parts and staged parts. While
//! all of it is true still, that is the answer, and nothing else is read. Whatever is touched
//! makes the note void, and the rows are judged one by one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digester;
use crate::base::{Digest, Error, Kind, Result, files};
use crate::flow::RejectClass;
use crate::plan::{Counts, Plan, Reason, Work, state_folder, versions};
use crate::table::Store;

use super::context::{Means, Options};
use super::ledger::{Ledger, REJECTS};
use super::metrics::{self, METRICS};
use super::report::{Foreseen, RunReport, Survey, TableReport};
use super::stamps::{self, Stamps};

const FORMAT: u32 = 2;
const CAP_BYTES: u64 = 16 << 20;
/// Times of files are counted in ticks: what was written this shortly before it was looked at
/// may be written again without showing.
const TICK_NS: i128 = 50_000_000;

/// What was true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    format: u32,
    /// The definition, its stages and contracts, the program's operators.
    plan: Digest,
    inputs: Digest,
    tables: BTreeMap<String, Digest>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    facts: Facts,
    tables: Vec<Table>,
    rejects: BTreeMap<String, u64>,
    notes: Vec<String>,
    /// Members that are no images.
    ignored: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Table {
    table: String,
    version: Option<i64>,
    rows: u64,
    counts: BTreeMap<String, u64>,
}

/// The inputs as they were when the work began.
#[derive(Debug)]
pub(super) struct Begun {
    inputs: Stamps,
    at_ns: i128,
}

/// Looks at the inputs; to be called before any of them is read.
///
/// # Errors
/// When a folder cannot be listed.
pub(super) fn begin(plan: &Plan, options: &Options) -> Result<Begun> {
    let inputs = stamps::of_inputs(plan)?;
    Ok(Begun { inputs, at_ns: i128::from(options.clock.now_us()) * 1000 })
}

fn path(plan: &Plan) -> PathBuf {
    state_folder(&plan.store).join("settled.json")
}

fn facts(plan: &Plan, store: &Store, inputs: Digest) -> Result<Facts> {
    let mut digester = Digester::new();
    digester
        .field("program", env!("CARGO_PKG_VERSION").as_bytes())
        .field("operators", format!("{:?}", versions::ALL).as_bytes())
        .field("definition", plan.definition_digest.as_bytes())
        .field("rejects", format!("{:?}", plan.rejects).as_bytes())
        // Rejects of a table that no stage makes hang on whether it is there.
        .field("tables", format!("{:?}", store.tables()?).as_bytes());
    for stage in &plan.stages {
        digester
            .field("table", stage.table.as_bytes())
            .field("fingerprint", stage.fingerprint.digest().as_bytes())
            .field("contract", format!("{:?}", stage.contract).as_bytes())
            .field("work", format!("{:?}", stage.work).as_bytes());
    }
    let stages = plan.stages.iter().map(|stage| stage.table.as_str());
    let tables = stages
        .chain([REJECTS, METRICS])
        .map(|table| Ok((table.to_owned(), stamps::of_table(&store.table_folder(table)?)?)));
    let tables = tables.collect::<Result<_>>()?;
    Ok(Facts { format: FORMAT, plan: digester.finish(), inputs, tables })
}

/// What was kept, if it still holds and answers what is asked.
fn holding(plan: &Plan, options: &Options, store: &Store, begun: &Begun) -> Option<Kept> {
    let bytes = files::read_capped(&path(plan), CAP_BYTES).ok()?;
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    // A locked run holds every table against the lock.
    let asks_more = plan.locked.is_some() || (options.retry_rejects && !kept.rejects.is_empty());
    if kept.facts.format != FORMAT || asks_more || !options.only.is_empty() {
        return None;
    }
    let now = facts(plan, store, begun.inputs.digest).ok()?;
    (kept.facts == now).then_some(kept)
}

/// Whether nothing changed since all was up to date.
///
/// # Errors
/// When the store or the inputs cannot be listed.
pub(super) fn is(plan: &Plan, options: &Options, means: &Means) -> Result<bool> {
    let clock = std::sync::Arc::clone(&options.clock);
    let storage = std::sync::Arc::clone(&means.storage);
    let store = Store::create_on(&plan.store, clock, storage)?;
    Ok(holding(plan, options, &store, &begin(plan, options)?).is_some())
}

/// The survey, if nothing changed since all was up to date.
pub(super) fn survey(
    plan: &Plan,
    options: &Options,
    store: &Store,
    begun: &Begun,
) -> Option<Survey> {
    let kept = holding(plan, options, store, begun)?;
    let tables = kept.tables.into_iter().map(|table| Foreseen {
        counts: counts(&table.counts),
        table: table.table,
        version: table.version,
        rows: table.rows,
        pending: false,
        contract_changed: false,
    });
    Some(Survey {
        pipeline: plan.name.clone(),
        tables: tables.collect(),
        notes: kept.notes,
        ignored: kept.ignored,
        ..Survey::default()
    })
}

/// The report, if nothing changed since all was up to date.
pub(super) fn report(
    plan: &Plan,
    options: &Options,
    store: &Store,
    begun: &Begun,
) -> Option<RunReport> {
    let kept = holding(plan, options, store, begun)?;
    let tables = kept.tables.into_iter().map(|table| TableReport {
        counts: counts(&table.counts),
        table: table.table,
        version: table.version,
        rows: table.rows,
        computed: 0,
        resumed: 0,
        published: false,
    });
    let rejects = kept.rejects.iter();
    Some(RunReport {
        pipeline: plan.name.clone(),
        tables: tables.collect(),
        rejects: rejects.filter_map(|(class, n)| Some((class.parse().ok()?, *n))).collect(),
        notes: kept.notes,
        ignored: kept.ignored,
        ..RunReport::default()
    })
}

fn counts(kept: &BTreeMap<String, u64>) -> Counts {
    let mut counts = Counts::default();
    for reason in Reason::ALL {
        counts.add_many(reason, kept.get(reason.name()).copied().unwrap_or(0));
    }
    counts
}

/// Keeps what a survey found, if it found nothing to do.
pub(super) fn keep_survey(
    plan: &Plan,
    options: &Options,
    store: &Store,
    begun: &Begun,
    survey: &Survey,
    rejects: &BTreeMap<RejectClass, u64>,
) {
    if survey.is_pending() || !options.only.is_empty() || options.retry_rejects {
        return;
    }
    let tables = survey.tables.iter().map(|table| Table {
        table: table.table.clone(),
        version: table.version,
        rows: table.rows,
        counts: table.counts.iter().map(|(r, n)| (r.name().to_owned(), n)).collect(),
    });
    let remarks = Remarks { notes: &survey.notes, ignored: survey.ignored };
    keep(plan, store, begun, tables.collect(), rejects, &remarks);
}

/// Keeps what is so after a run that came to its end.
pub(super) fn keep_run(
    plan: &Plan,
    options: &Options,
    store: &Store,
    begun: &Begun,
    report: &RunReport,
    ledger: &Ledger,
) {
    let whole = report.broken.is_empty()
        && report.held_back.is_empty()
        && report.refused.is_empty()
        && !report.interrupted;
    let tables = report.tables.len() == plan.stages.len() + 1;
    if !whole || !tables || !options.only.is_empty() {
        return;
    }
    let tables = report.tables.iter().map(|table| {
        let mut counts = BTreeMap::from([(Reason::UpToDate.name().to_owned(), table.rows)]);
        let refused = plan.stage(&table.table).map_or(0, |stage| {
            let of = |table: &str| ledger.refused_contents(table);
            match &stage.work {
                // An image that is refused is none of the tables made from it.
                Work::EmbedImages(work) => of(&work.images) + of(&stage.table),
                // What is no caption, or teaches nothing, is no row that could be there.
                Work::ReadCaptions(_) | Work::TrainClip(_) => 0,
                _ => of(&stage.table),
            }
        });
        counts.insert(Reason::RejectedEarlier.name().to_owned(), refused);
        Table { table: table.table.clone(), version: table.version, rows: table.rows, counts }
    });
    // A note about parts that are kept aside says that there is more to do.
    let remarks = Remarks { notes: &report.notes, ignored: report.ignored };
    keep(plan, store, begun, tables.collect(), &report.rejects, &remarks);
}

/// What is said beside the tables.
struct Remarks<'a> {
    notes: &'a [String],
    ignored: u64,
}

fn keep(
    plan: &Plan,
    store: &Store,
    begun: &Begun,
    mut tables: Vec<Table>,
    rejects: &BTreeMap<RejectClass, u64>,
    remarks: &Remarks<'_>,
) {
    let order = |table: &Table| plan.stages.iter().position(|s| s.table == table.table);
    tables.sort_by_key(|table| order(table).unwrap_or(usize::MAX));
    let kept = || -> Result<()> {
        let inputs = stamps::of_inputs(plan)?;
        let steady = inputs.digest == begun.inputs.digest
            && begun.inputs.newest_ns + TICK_NS < begun.at_ns
            && store.is_there()
            // a run tells anew what a damaged part held
            && !metrics::is_damaged(store)?;
        if !steady {
            return Ok(());
        }
        let kept = Kept {
            facts: facts(plan, store, inputs.digest)?,
            tables,
            rejects: rejects.iter().map(|(class, n)| (class.name().to_owned(), *n)).collect(),
            notes: remarks.notes.to_vec(),
            ignored: remarks.ignored,
        };
        files::write_atomic(&path(plan), |w| {
            serde_json::to_writer(w, &kept)
                .map_err(|cause| Error::new(Kind::Io, "cannot write the note").caused_by(cause))
        })
    };
    // A cache: without it the next run looks at every row.
    if let Err(error) = kept() {
        tracing::debug!(%error, "that all is up to date is not kept");
    }
}
