//! Everything of a table read again: bytes against digests, rows against the contract.

use std::path::PathBuf;

use super::check::{self, Candidate};
use super::key::{Key, Keys};
use super::part::{Damage, Part, read_again};
use super::snapshot::Snapshot;
use super::store::Store;
use super::{damaged, manifest, schema, verify_old};
use crate::base::{Cancel, Result};
use crate::plan::contract::{Check, CheckKind, Column, ColumnType, Contract};

/// What reading a table again showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The version that was read; `None` where there is no version yet.
    pub version: Option<i64>,
    /// Its parts, and those staged for the next.
    pub parts: u64,
    /// Parts that only older versions have; their bytes were read, too.
    pub old_parts: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Bytes of all parts.
    pub size_bytes: u64,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, or the check of the contract.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do.
    pub help: String,
}

const OLD_PART: &str = "the newest version does without it; get it from a copy of the store, or let \
                        `clipmill vacuum` delete what only old versions need";
const RUN_AGAIN: &str = "run the pipeline again: it computes the rows of this part, and only those";

impl Store {
    /// Reads the newest version of `table`, and what is staged for the next, again: the bytes of
    /// each part against its digest, all its rows, their order and number, and every row against
    /// `contract`. Of parts that only older versions have the bytes are read. Without a contract only
    /// the key is checked. The share of rejects, which only a run knows, is left out. Damaged parts of the newest version are noted, so that the next
    /// plan and run, which do not read whole parts, know of them.
    ///
    /// # Errors
    /// When the log cannot be read, or on `cancel`; what is wrong with parts is no error but in
    /// the verdict.
    pub fn verify(
        &self,
        table: &str,
        contract: Option<&Contract>,
        cancel: &Cancel,
    ) -> Result<Verdict> {
        let folder = self.folder(table)?;
        let mut verdict = Verdict::default();
        for staged in manifest::announced(&folder)? {
            cancel.check()?;
            verdict.parts += 1;
            verdict.size_bytes += staged.size_bytes;
            let path = folder.find(&staged.path);
            let what = read_again(&path, staged.size_bytes, Some(&staged.seal), cancel)?;
            verdict.faults.extend(what.map(|what| Fault {
                place: path.display().to_string(),
                what: format!("a part that is staged for the next version {what}"),
                help: "delete it and its .json: the next run computes it again".to_owned(),
            }));
        }
        let Some(snapshot) = Snapshot::load(&folder, None)? else { return Ok(verdict) };
        verdict.version = Some(snapshot.version());
        let bare = bare_contract(&snapshot);
        let contract = contract.unwrap_or(&bare);
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for part in snapshot.parts() {
            cancel.check()?;
            verdict.parts += 1;
            verdict.size_bytes += part.size_bytes;
            let path = folder.path().join(&part.path);
            match fault_of(&snapshot, part, &mut verdict.rows, cancel)? {
                None => good.push(path),
                Some(what) => {
                    bad.push(Damage { path: part.path.clone(), what: what.clone() });
                    verdict.faults.push(Fault {
                        place: path.display().to_string(),
                        what,
                        help: RUN_AGAIN.to_owned(),
                    });
                }
            }
        }
        if let Err(cause) = damaged::keep(&folder, &bad) {
            tracing::warn!(%cause, "damaged parts cannot be noted; a run may not see them");
        }
        let all_good = good.len() == snapshot.parts().len();
        verdict.faults.extend(breaches(&snapshot, contract, &good, all_good)?);
        let (old_parts, damaged) = verify_old::verify(&folder, &snapshot, cancel)?;
        verdict.old_parts = old_parts;
        verdict.faults.extend(damaged.into_iter().map(|old| Fault {
            place: old.path.display().to_string(),
            what: format!("a part of version {} that the newest has not {}", old.version, old.what),
            help: OLD_PART.to_owned(),
        }));
        Ok(verdict)
    }
}

impl Store {
    /// Reads the newest version of `table` again. Its damaged parts are noted, so that whoever
    /// judges rows knows of them; damaged parts that are staged for the next version are thrown
    /// away. Gives how many were found of which nobody knew. Ask for the [`lock`](Self::lock) first.
    ///
    /// # Errors
    /// When the log cannot be read or the note not be written, or on `cancel`.
    pub fn find_damage(&self, table: &str, cancel: &Cancel) -> Result<u64> {
        let folder = self.folder(table)?;
        let mut spoilt = Vec::new();
        for staged in manifest::announced(&folder)? {
            let path = folder.find(&staged.path);
            if read_again(&path, staged.size_bytes, Some(&staged.seal), cancel)?.is_some() {
                spoilt.push(staged);
            }
        }
        self.discard_staged(table, &spoilt)?;
        let spoilt = spoilt.len() as u64;
        let Some(snapshot) = Snapshot::load(&folder, None)? else { return Ok(spoilt) };
        let known = snapshot.damaged();
        let mut found = Vec::new();
        for part in snapshot.parts() {
            cancel.check()?;
            if let Some(what) = fault_of(&snapshot, part, &mut 0, cancel)? {
                found.push(Damage { path: part.path.clone(), what });
            }
        }
        damaged::keep(&folder, &found)?;
        let is_new = |one: &&Damage| !known.iter().any(|known| known.path == one.path);
        Ok(spoilt + found.iter().filter(is_new).count() as u64)
    }
}

/// Reads a part's bytes, then its rows: what is wrong with it, in words.
fn fault_of(
    snapshot: &Snapshot,
    part: &Part,
    seen: &mut u64,
    cancel: &Cancel,
) -> Result<Option<String>> {
    let path = snapshot.folder().path().join(&part.path);
    match read_again(&path, part.size_bytes, part.seal.as_ref(), cancel)? {
        Some(what) => Ok(Some(what)),
        None => rows_of(snapshot, part, seen, cancel),
    }
}

/// Reads a part row by row: what is wrong with it, in words.
fn rows_of(
    snapshot: &Snapshot,
    part: &Part,
    seen: &mut u64,
    cancel: &Cancel,
) -> Result<Option<String>> {
    let batches = match snapshot.scan_part(part, &[]) {
        Ok(batches) => batches,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let mut rows = 0_u64;
    let mut ends: Option<(Key, Key)> = None;
    for batch in batches {
        cancel.check()?;
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return Ok(Some(error.to_string())),
        };
        rows += batch.num_rows() as u64;
        if snapshot.key().is_empty() {
            continue;
        }
        let keys = Keys::of(&batch, snapshot.key(), snapshot.table())?;
        for row in 0..batch.num_rows() {
            let key = keys.at(row);
            match &mut ends {
                None => ends = Some((key.clone(), key)),
                // only our parts are sorted
                Some((_, last)) if part.seal.is_some() && key < *last => {
                    return Ok(Some(format!("is not sorted by its key: at {}", keys.show(row))));
                }
                Some((_, last)) => *last = key,
            }
        }
    }
    *seen += rows;
    if rows != part.rows && (part.seal.is_some() || part.rows > 0) {
        return Ok(Some(format!("has {rows} rows, and the log says {}", part.rows)));
    }
    let sealed = part.seal.as_ref().filter(|_| rows > 0);
    let sealed = sealed.map(|seal| (seal.min_key.clone(), seal.max_key.clone()));
    Ok((sealed.is_some() && sealed != ends)
        .then(|| "has other first and last keys than the log says".to_owned()))
}

fn breaches(
    snapshot: &Snapshot,
    contract: &Contract,
    good: &[PathBuf],
    all_good: bool,
) -> Result<Vec<Fault>> {
    if schema::arrow_schema(contract) != snapshot.schema() && !is_bare(contract) {
        return Ok(vec![Fault {
            place: snapshot.table().to_owned(),
            what: format!("its columns are not those of the contract `{}`", contract.name),
            help: "run the pipeline: it makes the table anew under the contract".to_owned(),
        }]);
    }
    let mut contract = contract.clone();
    contract.checks.retain(|check| match &check.kind {
        CheckKind::RejectShare { .. } | CheckKind::Fidelity { .. } => false,
        // rows that cannot be read are not rows that lack
        CheckKind::RowsPerImage { .. } => all_good,
        _ => true,
    });
    let found = check::check(&Candidate {
        contract: &contract,
        all: good,
        unchecked: good,
        rows: snapshot.rows(),
        rejects: &std::collections::BTreeMap::new(),
        fidelity: None,
    })?;
    let fault = |breach: super::Breach| Fault {
        place: format!("{}, check `{}`", snapshot.table(), breach.check),
        what: format!("{} rows break the contract: {breach}", breach.count),
        help: "correct the contract or the data, and run the pipeline again".to_owned(),
    };
    Ok(found.into_iter().map(fault).collect())
}

/// What holds of every table: its key is unique.
fn bare_contract(snapshot: &Snapshot) -> Contract {
    let schema = snapshot.schema();
    let column = |name: &String| {
        let field = schema.field_with_name(name).ok()?;
        let kinds =
            [ColumnType::String, ColumnType::Int32, ColumnType::Int64, ColumnType::Timestamp];
        let kind = kinds.into_iter().find(|kind| schema::data_type(*kind) == *field.data_type())?;
        let (unit, meaning) = (String::new(), String::new());
        Some(Column { name: name.clone(), kind, nullable: field.is_nullable(), unit, meaning })
    };
    let columns: Vec<Column> = snapshot.key().iter().filter_map(column).collect();
    let usable = !columns.is_empty() && columns.len() == snapshot.key().len();
    let unique = Check { name: "unique_key".to_owned(), kind: CheckKind::UniqueKey {} };
    Contract {
        name: BARE.to_owned(),
        description: String::new(),
        key: snapshot.key().to_vec(),
        columns,
        checks: if usable { vec![unique] } else { Vec::new() },
    }
}

const BARE: &str = "(key only)";

fn is_bare(contract: &Contract) -> bool {
    contract.name == BARE
}
