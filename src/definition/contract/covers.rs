//! A user's contract in place of a built-in one.

use std::sync::Arc;

use super::builtin::{TableKind, builtin};
use super::parse::{Places, read};
use super::table::Contract;
use crate::base::diagnostic::SourceText;
use crate::base::error::Result;
use crate::definition::findings::Findings;

/// Reads a user's contract for a table of `kind`: it has at least the columns of the built-in
/// one, with their types, and its key; columns beyond these are nullable, since no operator
/// fills them.
///
/// # Errors
/// [`crate::base::Kind::Definition`] with a report of everything that is wrong.
pub fn custom(kind: TableKind, name: &str, text: &str) -> Result<Contract> {
    let needed = builtin(kind)?;
    let source = Arc::new(SourceText { name: name.to_owned(), text: text.to_owned() });
    let mut findings = Findings::new(source);
    let (contract, places) = read(text, &mut findings);
    if let Some(contract) = &contract {
        compare(kind, &needed, contract, &places, &mut findings);
    }
    findings.into_result(contract)
}

fn compare(
    kind: TableKind,
    needed: &Contract,
    given: &Contract,
    places: &Places,
    findings: &mut Findings,
) {
    let by = kind.operator().map_or_else(|| "every run".to_owned(), |name| format!("`{name}`"));
    for column in &needed.columns {
        if given.column(&column.name).is_none() {
            findings
                .add_absence(places.key, format!("no column `{}`", column.name))
                .label(format!("{by} makes it"))
                .help(format!("add `[columns.{}]` of type `{}`", column.name, column.kind));
        }
    }
    for (column, span) in given.columns.iter().zip(&places.columns) {
        match needed.column(&column.name) {
            Some(other) if other.kind != column.kind => {
                findings
                    .add(*span, format!("`{}` is {}", column.name, column.kind))
                    .label(format!("{by} makes it {}", other.kind));
            }
            Some(other) if other.nullable && !column.nullable => {
                findings
                    .add(*span, format!("`{}` may be null", column.name))
                    .label(format!("expected `nullable = true`, as {by} makes it"))
                    .help("a check of kind `not_null` refuses nulls");
            }
            None if !column.nullable => {
                findings
                    .add(*span, format!("{by} does not make `{}`", column.name))
                    .label("expected `nullable = true`: it stays null");
            }
            _ => {}
        }
    }
    if given.key != needed.key {
        findings
            .add(places.key, format!("another key than that of {by}"))
            .label(format!("expected {:?}", needed.key));
    }
}
