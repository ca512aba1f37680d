//! Whether a version to be keeps its contract: streamed, with memory for keys alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::breach::Breach;
use super::key::Keys;
use super::read::PartReader;
use super::row_check::{bounds, expectation, fault};
use super::schema::arrow_schema;
use crate::base::{Error, Kind, Result};
use crate::flow::{Fidelity, RejectClass};
use crate::plan::contract::{Check, CheckKind, Contract};

/// The version to be.
pub(super) struct Candidate<'a> {
    pub(super) contract: &'a Contract,
    /// Every part it has.
    pub(super) all: &'a [PathBuf],
    /// The parts whose rows were not checked under this contract before.
    pub(super) unchecked: &'a [PathBuf],
    pub(super) rows: u64,
    pub(super) rejects: &'a BTreeMap<RejectClass, u64>,
    pub(super) fidelity: Option<Fidelity>,
}

/// Every check that does not hold, in the order of the contract.
pub(super) fn check(candidate: &Candidate<'_>) -> Result<Vec<Breach>> {
    let contract = candidate.contract;
    let mut breaches: Vec<Option<Breach>> = check_rows(candidate)?;
    for (check, found) in contract.checks.iter().zip(&mut breaches) {
        let table_wide = match &check.kind {
            CheckKind::UniqueKey {} => check_unique(candidate, check)?,
            CheckKind::RowsPerImage { min, max } => check_images(candidate, check, *min, *max)?,
            CheckKind::RejectShare { .. } => {
                check_rejects(check, candidate.rows, candidate.rejects)
            }
            CheckKind::Fidelity { min_cosine, median_cosine, neighbour_overlap } => {
                candidate.fidelity.and_then(|found| {
                    let bounds = [*min_cosine, *median_cosine, *neighbour_overlap];
                    check_fidelity(check, found, bounds)
                })
            }
            _ => continue,
        };
        *found = table_wide;
    }
    Ok(breaches.into_iter().flatten().filter(|breach| breach.count > 0).collect())
}

/// The checks of shares of rejects that do not hold, in the order of the contract, of so many rows and
/// these rejects: what can break a contract of rows that stay as they are.
#[must_use]
pub fn reject_breaches(
    contract: &Contract,
    rows: u64,
    rejects: &BTreeMap<RejectClass, u64>,
) -> Vec<Breach> {
    contract.checks.iter().filter_map(|check| check_rejects(check, rows, rejects)).collect()
}

fn check_rows(candidate: &Candidate<'_>) -> Result<Vec<Option<Breach>>> {
    let contract = candidate.contract;
    let mut breaches: Vec<Option<Breach>> = contract
        .checks
        .iter()
        .map(|check| Some(Breach::new(&check.name, check.kind.column(), expectation(&check.kind)?)))
        .collect();
    let mut columns: Vec<&str> = contract.checks.iter().filter_map(|c| c.kind.column()).collect();
    if columns.is_empty() {
        return Ok(breaches);
    }
    columns.extend(contract.key.iter().map(String::as_str));
    for path in candidate.unchecked {
        for batch in open(contract, path, &columns)? {
            let batch = batch?;
            let keys = Keys::of(&batch, &contract.key, &contract.name)?;
            for (check, breach) in contract.checks.iter().zip(&mut breaches) {
                let (Some(breach), Some(name)) = (breach, check.kind.column()) else { continue };
                let Some(column) = batch.column_by_name(name) else { continue };
                for row in 0..batch.num_rows() {
                    if let Some(found) = fault(&check.kind, column, row) {
                        breach.add(|| format!("{}: {found}", keys.show(row)));
                    }
                }
            }
        }
    }
    Ok(breaches)
}

fn check_unique(candidate: &Candidate<'_>, check: &Check) -> Result<Option<Breach>> {
    if candidate.unchecked.is_empty() {
        return Ok(None); // taking rows away makes no key double
    }
    let key = &candidate.contract.key;
    let doubles = repeated(&hashes(candidate, key)?, |times| times > 1);
    let message = format!("no two rows have the same {}", key.join(", "));
    let mut breach = Breach::new(&check.name, None, message);
    show_rows(candidate, key, &doubles, |row, _| breach.add(|| row.to_owned()))?;
    Ok(Some(breach))
}

fn check_images(
    candidate: &Candidate<'_>,
    check: &Check,
    min: u64,
    max: Option<u64>,
) -> Result<Option<Breach>> {
    let image = ["image_id".to_owned()];
    let outside = |times: u64| times < min || max.is_some_and(|max| times > max);
    let odd = repeated(&hashes(candidate, &image)?, outside);
    let message = format!("rows per image are {}", bounds(Some(&min), max.as_ref()));
    let mut breach = Breach::new(&check.name, Some("image_id"), message);
    let mut seen = std::collections::HashSet::new();
    show_rows(candidate, &image, &odd, |row, place| {
        if seen.insert(place) {
            let times = odd.get(place).map_or(0, |(_, times)| *times);
            breach.add(|| format!("{row}: {times} rows"));
        }
    })?;
    Ok(Some(breach))
}

/// None for a check of another kind, too.
fn check_rejects(check: &Check, rows: u64, rejects: &BTreeMap<RejectClass, u64>) -> Option<Breach> {
    let CheckKind::RejectShare { max, class } = &check.kind else { return None };
    let all: u64 = rejects.values().sum();
    let counted =
        rejects.iter().filter(|(c, _)| class.as_deref().is_none_or(|class| class == c.name()));
    let counted: Vec<_> = counted.filter(|(_, count)| **count > 0).collect();
    let of_class: u64 = counted.iter().map(|(_, count)| **count).sum();
    let tried = rows.saturating_add(all);
    // nothing tried: nothing refused
    let share = if tried == 0 { 0.0 } else { of_class as f64 / tried as f64 };
    if share <= *max {
        return None;
    }
    let what =
        class.as_ref().map_or_else(|| "rejects".to_owned(), |class| format!("rejects of {class}"));
    let message = format!(
        "at most {:.3} % are {what}; {of_class} of {tried} are, {:.3} %",
        max * 100.0,
        share * 100.0
    );
    let mut breach = Breach::new(&check.name, None, message);
    breach.rows = counted.iter().map(|(class, count)| format!("{class}: {count}")).collect();
    breach.count = of_class;
    Some(breach)
}

/// Holds what a sample says against the least of its smallest cosine, of its median and of the
/// overlap of neighbours.
fn check_fidelity(check: &Check, found: Fidelity, least: [Option<f64>; 3]) -> Option<Breach> {
    let names = ["min_cosine", "median_cosine", "neighbour_overlap"];
    let values = [found.min_cosine, found.median_cosine, found.neighbour_overlap];
    let bounds: Vec<String> = names
        .iter()
        .zip(least)
        .filter_map(|(name, least)| Some(format!("`{name}` is at least {}", least?)))
        .collect();
    let message = format!(
        "{}, of {} rows in the reduced type against f32",
        bounds.join(", "),
        crate::base::units::count(found.rows)
    );
    let mut breach = Breach::new(&check.name, None, message);
    for ((name, value), least) in names.iter().zip(values).zip(least) {
        if least.is_some_and(|least| value < least) {
            breach.add(|| format!("{name}: {value:.6}"));
        }
    }
    (breach.count > 0).then_some(breach)
}

fn open(contract: &Contract, path: &std::path::Path, columns: &[&str]) -> Result<PartReader> {
    let schema = arrow_schema(contract);
    let wanted = schema.fields().iter().enumerate();
    let wanted = wanted.filter(|(_, field)| columns.contains(&field.name().as_str()));
    let places: Vec<usize> = wanted.map(|(place, _)| place).collect();
    let schema = schema.project(&places).map_err(|cause| {
        Error::new(Kind::Internal, "cannot choose columns").at(&contract.name).caused_by(cause)
    })?;
    PartReader::open(path, schema.into(), &contract.name)
}

/// The hash of every row's `key`, sorted: 16 bytes a row.
fn hashes(candidate: &Candidate<'_>, key: &[String]) -> Result<Vec<u128>> {
    let columns: Vec<&str> = key.iter().map(String::as_str).collect();
    let mut hashes = Vec::new();
    for path in candidate.all {
        for batch in open(candidate.contract, path, &columns)? {
            let batch = batch?;
            let keys = Keys::of(&batch, key, &candidate.contract.name)?;
            hashes.extend((0..batch.num_rows()).map(|row| keys.hash(row)));
        }
    }
    hashes.sort_unstable();
    Ok(hashes)
}

/// Which of the sorted hashes occur so often, and how often.
fn repeated(hashes: &[u128], wanted: impl Fn(u64) -> bool) -> Vec<(u128, u64)> {
    hashes
        .chunk_by(|a, b| a == b)
        .map(|run| (run.first().copied().unwrap_or_default(), run.len() as u64))
        .filter(|(_, times)| wanted(*times))
        .collect()
}

/// Calls `each` with the shown key of every row whose hash is among `wanted`, and its place
/// there. Reads the keys a second time, which only a broken contract costs.
fn show_rows(
    candidate: &Candidate<'_>,
    key: &[String],
    wanted: &[(u128, u64)],
    mut each: impl FnMut(&str, usize),
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let columns: Vec<&str> = key.iter().map(String::as_str).collect();
    for path in candidate.all {
        for batch in open(candidate.contract, path, &columns)? {
            let batch = batch?;
            let keys = Keys::of(&batch, key, &candidate.contract.name)?;
            for row in 0..batch.num_rows() {
                if let Ok(place) = wanted.binary_search_by_key(&keys.hash(row), |(hash, _)| *hash) {
                    each(&keys.show(row), place);
                }
            }
        }
    }
    Ok(())
}
