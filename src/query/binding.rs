//! Query vectors for the `clip_…` calls of a statement, each of the right model.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::{Catalog, TableEntry};
use super::fault::Text;
use super::lineage::{Comparison, Lineage, Origin};
use super::rewrite::{Call, Source};
use super::vectors::VectorSource;
use crate::base::Result;

/// One vector a call, in the order of the calls.
///
/// # Errors
/// When vectors of different models meet, when no column tells which model a call means, and
/// what `vectors` says.
pub(super) fn bind(
    text: &Text,
    catalog: &Catalog,
    lineage: &Lineage,
    calls: &[Call],
    vectors: &dyn VectorSource,
) -> Result<Vec<Vec<f32>>> {
    for comparison in &lineage.comparisons {
        one_model(text, catalog, comparison)?;
    }
    let mut known: BTreeMap<(String, Source), Vec<f32>> = BTreeMap::new();
    let mut bound = Vec::with_capacity(calls.len());
    for (number, call) in calls.iter().enumerate() {
        let tables = tables_of(text, catalog, lineage, number, call)?;
        let mut vector: Option<Vec<f32>> = None;
        for table in tables {
            let key = (table, call.source.clone());
            let values = match known.get(&key) {
                Some(values) => values.clone(),
                None => {
                    let made = match &call.source {
                        Source::Text(text) => vectors.text(&key.0, text)?,
                        Source::Image(path) => vectors.image(&key.0, path)?,
                    };
                    known.insert(key, made.values.clone());
                    made.values
                }
            };
            match &vector {
                Some(first) if *first != values => {
                    return Err(text.error_at(
                        call.span,
                        "one query vector is measured against embeddings of different models",
                        "this vector",
                        Some("call the function once for each table".into()),
                    ));
                }
                Some(_) => {}
                None => vector = Some(values),
            }
        }
        bound.push(vector.unwrap_or_default());
    }
    Ok(bound)
}

/// The tables that a call is measured against, directly or through a name.
fn tables_of(
    text: &Text,
    catalog: &Catalog,
    lineage: &Lineage,
    number: usize,
    call: &Call,
) -> Result<BTreeSet<String>> {
    let tables: BTreeSet<String> = lineage
        .comparisons
        .iter()
        .filter(|comparison| comparison.origins.contains(&Origin::Call(number)))
        .flat_map(|comparison| names(comparison).map(str::to_owned))
        .collect();
    if !tables.is_empty() {
        return Ok(tables);
    }
    // Nothing says which model is meant. That is no question where there is only one.
    let mut candidates: Vec<&TableEntry> =
        catalog.tables().iter().filter(|table| table.has_vectors()).collect();
    if candidates.iter().any(|table| table.model.is_some()) {
        candidates.retain(|table| table.model.is_some());
    }
    let models: BTreeSet<Option<&str>> =
        candidates.iter().map(|table| table.model.as_deref()).collect();
    match (candidates.as_slice(), models.len()) {
        ([], _) => Err(text.error_at(
            call.span,
            "no table has embeddings, so there is no model to encode with",
            "this call",
            None,
        )),
        ([first, ..], 1) if first.model.is_some() || candidates.len() == 1 => {
            Ok(BTreeSet::from([first.name.clone()]))
        }
        _ => Err(text.error_at(
            call.span,
            "which model is to encode this cannot be told",
            "this call",
            Some(format!(
                "measure it against a named column: cosine(t.embedding, …), with t one of {}",
                candidates.iter().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", ")
            )),
        )),
    }
}

fn names(comparison: &Comparison) -> impl Iterator<Item = &str> {
    comparison.origins.iter().filter_map(|origin| match origin {
        Origin::Table(table) => Some(table.as_str()),
        Origin::Call(_) => None,
    })
}

/// Refuses a measure over columns that the catalog knows to be of different weights.
fn one_model(text: &Text, catalog: &Catalog, comparison: &Comparison) -> Result<()> {
    let models: BTreeMap<&str, &str> = names(comparison)
        .filter_map(|name| Some((catalog.table(name)?.model.as_deref()?, name)))
        .collect();
    if models.len() < 2 {
        return Ok(());
    }
    let tables = models.into_values().collect::<Vec<_>>().join("' and '");
    Err(text.error_at(
        comparison.span,
        &format!("the embeddings of '{tables}' were made by different models"),
        "their values cannot be compared",
        None,
    ))
}
