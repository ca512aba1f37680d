//! The catalog of a store's tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::{Catalog, ColumnEntry, TableEntry};
use super::fault::choices;
use super::session::Session;
use super::vectors::VectorSource;
use crate::base::{Error, Kind, Result};
use crate::plan::Fingerprint;
use crate::table::{Commit, Snapshot, Store};

impl Session {
    /// A session over the tables of `store`: each at the version that `at` names, or else at its
    /// newest one now. What is published later is not seen.
    ///
    /// # Errors
    /// When `at` names a table or a version that is not there, or a log cannot be read.
    pub fn new(
        store: &Store,
        vectors: Arc<dyn VectorSource>,
        at: &BTreeMap<String, i64>,
    ) -> Result<Self> {
        Ok(Self::over(Catalog::of_store(store, at)?, vectors))
    }
}

impl Catalog {
    /// The tables of `store`, each at the version that `at` names, or else at its newest one.
    ///
    /// # Errors
    /// When `at` names a table or a version that is not there, or a log cannot be read.
    pub fn of_store(store: &Store, at: &BTreeMap<String, i64>) -> Result<Self> {
        let names = store.tables()?;
        if let Some(unknown) = at.keys().find(|name| !names.contains(name)) {
            return Err(Error::new(Kind::Usage, format!("there is no table '{unknown}'"))
                .help(choices(unknown, "tables", names.iter().map(String::as_str))));
        }
        let mut tables = Vec::with_capacity(names.len());
        for name in names {
            let snapshot = match at.get(&name) {
                Some(version) => {
                    let snapshot = store.snapshot_at(&name, *version)?;
                    snapshot.whole()?;
                    Some(snapshot)
                }
                None => store.snapshot(&name)?,
            };
            if let Some(snapshot) = snapshot {
                tables.push(entry(store, name, &snapshot)?);
            }
        }
        Ok(Self::new(tables))
    }
}

fn entry(store: &Store, name: String, snapshot: &Snapshot) -> Result<TableEntry> {
    let columns = ColumnEntry::of_schema(&snapshot.schema());
    // A newer version may have been made without the model, by removing rows or restoring; all
    // rows of a table are of one model, so the last that was named is it.
    let made_by = match columns.iter().any(ColumnEntry::is_vector) {
        true => {
            let made_by = named(snapshot)?;
            if made_by.is_none() { carried(store, snapshot)? } else { made_by }
        }
        false => None,
    };
    let (model, made_under) = made_by.unzip();
    Ok(TableEntry {
        name,
        version: snapshot.version(),
        rows: snapshot.rows(),
        parts: snapshot.part_paths(),
        columns,
        model,
        made_under: made_under.flatten(),
    })
}

/// The name of a model, and all that a table was made under.
type MadeBy = (String, Option<Fingerprint>);

/// The model that a version was made by.
fn named(snapshot: &Snapshot) -> Result<Option<MadeBy>> {
    let made_by = |commit: Commit| {
        let note = commit.note?;
        Some((note.model?, serde_json::from_value(note.fingerprint_parts).ok()))
    };
    snapshot.commits().find_map(|commit| commit.map(made_by).transpose()).transpose()
}

/// The model of the vectors that a version took over from the tables it was made of.
fn carried(store: &Store, snapshot: &Snapshot) -> Result<Option<MadeBy>> {
    let inputs = |commit: Result<Commit>| {
        let read = commit.map(|c| c.note.map(|note| note.inputs).filter(|read| !read.is_empty()));
        read.transpose()
    };
    let Some(inputs) = snapshot.commits().find_map(inputs).transpose()? else { return Ok(None) };
    for (table, version) in inputs {
        // A version whose log was cleaned up says nothing more.
        let Ok(snapshot) = store.snapshot_at(&table, version) else { continue };
        let columns = ColumnEntry::of_schema(&snapshot.schema());
        if columns.iter().any(ColumnEntry::is_vector)
            && let Some(made_by) = named(&snapshot)?
        {
            return Ok(Some(made_by));
        }
    }
    Ok(None)
}
