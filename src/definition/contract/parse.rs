//! Contract text to contract.

use std::sync::Arc;

use schemars::JsonSchema;

use super::check::{self, Check, CheckKind};
use super::column::{Column, ColumnType};
use super::table::Contract;
use crate::base::diagnostic::SourceText;
use crate::base::error::Result;
use crate::definition::findings::Findings;
use crate::definition::names;
use crate::definition::reader::{Setting, TableReader, read_name};
use crate::definition::span::{Span, Spanned};
use crate::definition::tree::{self, Entry, Node, Table, Value};

/// Reads a contract; `name` is the file's, for messages.
///
/// # Errors
/// [`crate::base::Kind::Definition`] with a report of everything that is wrong.
pub fn parse(name: &str, text: &str) -> Result<Contract> {
    let source = Arc::new(SourceText { name: name.to_owned(), text: text.to_owned() });
    let mut findings = Findings::new(source);
    let (contract, _) = read(text, &mut findings);
    findings.into_result(contract)
}

/// Where the columns of a contract are written, for findings of [`super::custom`].
pub(super) struct Places {
    pub(super) key: Span,
    pub(super) columns: Vec<Span>,
}

/// `[table]`
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the block for the JSON schema; read by hand below")]
pub(crate) struct TableBlock {
    /// The table's name.
    name: String,
    /// What a row is.
    description: String,
    /// The columns that name a row, in the order rows are sorted by.
    #[schemars(length(min = 1))]
    key: Vec<String>,
}

/// `[columns.<name>]`
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the block for the JSON schema; read by hand below")]
pub(crate) struct ColumnBlock {
    /// Type of the column.
    r#type: ColumnType,
    /// Whether it may hold nulls.
    #[schemars(default)]
    nullable: bool,
    /// Unit of its numbers, such as `px` or `bytes`.
    unit: Option<String>,
    /// What a value means.
    meaning: String,
}

impl Setting for ColumnType {
    const EXPECTED: &'static str = "a type such as `\"string\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let names = Self::ALL.map(|kind| (kind.name(), kind));
        read_name(node, "type", &names, findings)
    }
}

/// Reads the whole text.
pub(super) fn read(text: &str, findings: &mut Findings) -> (Option<Contract>, Places) {
    let root = tree::read(text, 0, findings);
    let known = ["table", "columns", "checks"];
    for entry in &root.entries {
        if !known.contains(&entry.key.as_str()) {
            findings.add_unknown(entry.key_span, "block", &entry.key, known);
        }
    }
    let (columns, spans) = columns(&root, findings);
    let mut places = Places { key: Span::default(), columns: spans };
    let Some(entry) = root.get("table") else {
        findings
            .add_absence(Span::default(), "no `[table]`")
            .label("expected `[table]` with `name`, `description` and `key`");
        return (None, places);
    };
    let table = TableReader::open(&entry.node, "table".into(), entry.key_span, findings);
    let Some(mut table) = table else { return (None, places) };
    let name: Option<Spanned<String>> = table.required("name");
    let description: Option<String> = table.required("description");
    let key: Option<Vec<Spanned<String>>> = table.required("key");
    places.key = table.key_span("key").unwrap_or(entry.key_span);
    table.finish();
    if let Some(name) = &name {
        names::check(name, name.span, "table", findings);
    }
    check_key(key.as_deref(), places.key, &columns, findings);
    let checks = checks(&root, &columns, findings);
    let contract = (|| {
        let key = key?.into_iter().map(|column| column.value).collect();
        Some(Contract { name: name?.value, description: description?, key, columns, checks })
    })();
    (contract, places)
}

fn columns(root: &Table, findings: &mut Findings) -> (Vec<Column>, Vec<Span>) {
    let mut columns = Vec::new();
    let mut spans = Vec::new();
    let entries = blocks(root, "columns", findings);
    if entries.is_empty() {
        findings
            .add_absence(Span::default(), "no column")
            .label("expected at least one `[columns.<name>]`");
    }
    for entry in entries {
        names::check(&entry.key, entry.key_span, "column", findings);
        let path = format!("columns.{}", entry.key);
        let table = TableReader::open(&entry.node, path, entry.key_span, findings);
        let Some(mut table) = table else { continue };
        let kind = table.required("type");
        let nullable = table.or("nullable", false);
        let unit = table.optional::<Unit>("unit").map_or_else(String::new, |unit| unit.0);
        let meaning: Option<String> = table.required("meaning");
        table.finish();
        // A column whose type is wrong is still there: names that refer to it are right.
        columns.push(Column {
            name: entry.key.clone(),
            kind: kind.unwrap_or(ColumnType::String),
            nullable,
            unit,
            meaning: meaning.unwrap_or_default(),
        });
        spans.push(entry.key_span);
    }
    (columns, spans)
}

/// A string that may be empty.
struct Unit(String);

impl Setting for Unit {
    const EXPECTED: &'static str = "a string";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Some(Self(text.clone())),
            _ => String::read(node, findings).map(Self),
        }
    }
}

fn check_key(
    key: Option<&[Spanned<String>]>,
    span: Span,
    columns: &[Column],
    findings: &mut Findings,
) {
    let Some(key) = key else { return };
    if key.is_empty() {
        findings.add(span, "an empty key").label("expected at least one column");
    }
    for (at, name) in key.iter().enumerate() {
        match columns.iter().find(|column| column.name == name.value) {
            None => {
                let names = columns.iter().map(|column| column.name.as_str());
                findings.add_unknown(name.span, "column", name, names).unsure();
            }
            Some(column) if column.nullable => {
                findings
                    .add(name.span, format!("`{}` may be null", column.name))
                    .label("expected a column that is never null")
                    .help(format!("set `nullable = false` in `[columns.{}]`", column.name));
            }
            Some(_) => {}
        }
        if key.iter().take(at).any(|before| before == name) {
            findings.add(name.span, "the same column twice").label("remove one of the two");
        }
    }
}

fn checks(root: &Table, columns: &[Column], findings: &mut Findings) -> Vec<Check> {
    let mut checks = Vec::new();
    for entry in blocks(root, "checks", findings) {
        names::check(&entry.key, entry.key_span, "check", findings);
        let path = format!("checks.{}", entry.key);
        let table = TableReader::open(&entry.node, path.clone(), entry.key_span, findings);
        let Some(table) = table.map(TableReader::into_table) else { continue };
        let form = format!("[{path}.<kind>]");
        match table.entries.as_slice() {
            [one] if CheckKind::NAMES.contains(&one.key.as_str()) => {
                let path = format!("{path}.{}", one.key);
                let table = TableReader::open(&one.node, path, one.key_span, findings);
                let Some(mut table) = table else { continue };
                let kind = check::read(&one.key, columns, &mut table);
                table.finish();
                checks.extend(kind.map(|kind| Check { name: entry.key.clone(), kind }));
            }
            [one] => {
                findings.add_unknown(one.key_span, "kind of check", &one.key, CheckKind::NAMES);
            }
            [] => {
                findings.add_absence(entry.key_span, "a check without its kind").label(form);
            }
            [_, second, ..] => {
                findings
                    .add(second.key_span, "a check of two kinds")
                    .label(format!("expected one `{form}`"))
                    .help("give each check a name of its own");
            }
        }
    }
    checks
}

fn blocks<'t>(root: &'t Table, name: &str, findings: &mut Findings) -> &'t [Entry] {
    root.get(name)
        .and_then(|entry| TableReader::open(&entry.node, name.to_owned(), entry.key_span, findings))
        .map_or(&[], |table| table.into_table().entries.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let error = parse("x.toml", text).unwrap_err();
        error.report().unwrap().findings.iter().map(|f| f.message.clone()).collect()
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let text = r#"
[table]
name = "t"
description = "d"
key = ["idd", "v"]
[columns.id]
type = "text"
meaning = "m"
[columns.v]
type = "list<float32>"
nullable = true
meaning = "m"
[checks.a.l2norm]
column = "v"
[checks.b.finite]
column = "id"
[checks.c.length]
column = "v"
min = 3
max = 2
[checks.d.reject_share]
max = 2
class = "broken_membr"
"#;
        assert_eq!(
            messages(text),
            [
                "unknown column `idd`",
                "`v` may be null",
                "unknown type `text`",
                "unknown kind of check `l2norm`",
                "the column `id` is string",
                "`min` is above `max`",
                "`max` is 2",
                "unknown class of rejects `broken_membr`",
            ]
        );
    }

    #[test]
    fn an_empty_text_lacks_everything() {
        assert_eq!(messages(""), ["no column", "no `[table]`"]);
    }
}
