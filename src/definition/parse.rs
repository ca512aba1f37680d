//! Text to [`Pipeline`].

use std::sync::Arc;

use super::contract::TableKind;
use super::findings::Findings;
use super::graph;
use super::model::{Model, ModelLayout, ModelSettings};
use super::names;
use super::overrides;
use super::pipeline::{Header, Pipeline};
use super::reader::TableReader;
use super::source::{Source, SourceKind};
use super::span::Spanned;
use super::stage::{Operator, Stage};
use super::tree::{self, Entry, Table};
use super::variables;
use crate::base::diagnostic::SourceText;
use crate::base::environment::Environment;
use crate::base::error::Result;

/// Reads a definition. `name` is the file's, for messages; `sets` are `--set` arguments, key and
/// value, which replace values before anything is checked.
///
/// # Errors
/// [`crate::base::Kind::Definition`] with a report of everything that is wrong.
pub fn parse(
    name: &str,
    text: &str,
    env: &Environment,
    sets: &[(String, String)],
) -> Result<Pipeline> {
    let source = Arc::new(SourceText { name: name.to_owned(), text: text.to_owned() });
    let mut findings = Findings::new(Arc::clone(&source));
    let mut root = tree::read(text, 0, &mut findings);
    let sets = overrides::apply(&mut root, sets, &mut findings);
    let variables = variables::expand(&mut root, env, &mut findings);

    let header = Header::read(&root, &mut findings);
    let sources = blocks(&root, "sources", "source", &SourceKind::NAMES, &mut findings, source_of);
    let models = blocks(&root, "models", "model", &ModelLayout::NAMES, &mut findings, model_of);
    let stages = blocks(&root, "stages", "table", &Operator::NAMES, &mut findings, stage_of);
    for entry in &root.entries {
        let known = ["pipeline", "sources", "models", "stages"];
        if !known.contains(&entry.key.as_str()) {
            findings.add_unknown(entry.key_span, "block", &entry.key, known);
        }
    }
    let Blocks { read: sources, headers: source_headers } = sources;
    let Blocks { read: models, headers: model_headers } = models;
    let Blocks { read: mut stages, headers: tables } = stages;
    if tables.is_empty() {
        findings
            .add_absence(header.span, "no stage")
            .label("expected at least one `[stages.<table>.<operator>]`");
    }
    let known = graph::Known { sources: &source_headers, models: &model_headers, tables: &tables };
    let order = graph::check(&mut stages, &models, &known, &mut findings);
    let pipeline = header
        .complete
        .map(|header| Pipeline::new(header, sources, models, stages, order, source, sets))
        .map(|pipeline| Pipeline { variables, ..pipeline });
    findings.into_result(pipeline)
}

/// The blocks of one kind: those that could be read, and the headers of all.
struct Blocks<T> {
    read: Vec<T>,
    headers: Vec<graph::Header>,
}

/// Reads `[<group>.<name>.<kind>]` for every name.
fn blocks<T>(
    root: &Table,
    group: &str,
    what: &str,
    kinds: &[&str],
    findings: &mut Findings,
    read: fn(Spanned<String>, &str, &mut TableReader<'_, '_>) -> Option<T>,
) -> Blocks<T> {
    let mut blocks = Blocks { read: Vec::new(), headers: Vec::new() };
    let Some(entry) = root.get(group) else { return blocks };
    let Some(group_table) = open(entry, group.to_owned(), findings) else { return blocks };
    for block in &group_table.entries {
        names::check(&block.key, block.key_span, what, findings);
        let path = format!("{group}.{}", block.key);
        let table = open(block, path.clone(), findings);
        let kind = table.and_then(|table| the_kind(block, table, group, kinds, findings));
        let named = kind.map(|kind| kind.key.clone());
        blocks.headers.push(graph::Header { name: block.key.clone(), kind: named });
        let Some(kind) = kind else { continue };
        let path = format!("{path}.{}", kind.key);
        let reader = TableReader::open(&kind.node, path, kind.key_span, findings);
        let Some(mut reader) = reader else { continue };
        let name = Spanned::new(block.key.clone(), block.key_span);
        let one = read(name, &kind.key, &mut reader);
        reader.finish();
        blocks.read.extend(one);
    }
    blocks
}

fn open<'t>(entry: &'t Entry, path: String, findings: &mut Findings) -> Option<&'t Table> {
    TableReader::open(&entry.node, path, entry.key_span, findings).map(TableReader::into_table)
}

/// The one kind of a block: the name of its only table.
fn the_kind<'t>(
    block: &Entry,
    table: &'t Table,
    group: &str,
    kinds: &[&str],
    findings: &mut Findings,
) -> Option<&'t Entry> {
    let what = if group == "stages" { "operator" } else { "kind" };
    let form = format!("[{group}.{}.<{what}>]", block.key);
    let (known, unknown): (Vec<&Entry>, Vec<&Entry>) =
        table.entries.iter().partition(|entry| kinds.contains(&entry.key.as_str()));
    for entry in unknown {
        if matches!(entry.node.value, tree::Value::Table(_)) {
            findings.add_unknown(entry.key_span, what, &entry.key, kinds.iter().copied());
        } else {
            findings
                .add(entry.key_span, format!("a setting without its {what}"))
                .label(format!("belongs under a header `{form}`"))
                .help(format!("{what}s: {}", super::findings::listed(kinds)));
        }
    }
    match known.as_slice() {
        [one] => Some(one),
        [] => {
            if table.entries.is_empty() {
                findings
                    .add_absence(block.key_span, format!("`{}` has no {what}", block.key))
                    .label(format!("expected `{form}`"))
                    .help(format!("{what}s: {}", super::findings::listed(kinds)));
            }
            None
        }
        [first, rest @ ..] => {
            for entry in rest {
                findings
                    .add(entry.key_span, format!("`{}` has two {what}s", block.key))
                    .label(format!("already is `{}`", first.key))
                    .help("give one of the two another name");
            }
            None
        }
    }
}

fn source_of(name: Spanned<String>, kind: &str, table: &mut TableReader<'_, '_>) -> Option<Source> {
    Some(Source { name, kind: SourceKind::read(kind, table)? })
}

fn model_of(name: Spanned<String>, kind: &str, table: &mut TableReader<'_, '_>) -> Option<Model> {
    let layout = ModelLayout::read(kind, table);
    let common = ModelSettings::read(table);
    Some(Model { name, layout: layout?, common })
}

fn stage_of(table: Spanned<String>, kind: &str, reader: &mut TableReader<'_, '_>) -> Option<Stage> {
    let operator = Operator::read(kind, reader);
    let contract = reader.optional("contract");
    for kind in [TableKind::Rejects, TableKind::Metrics] {
        if table.value == kind.name() {
            reader
                .findings
                .add(table.span, format!("the table `{kind}` is made by every run"))
                .label("expected another name");
        }
    }
    if table.value == "runs" {
        reader
            .findings
            .add(table.span, "the folder `runs` of a store is TensorBoard's")
            .label("expected another name");
    }
    Some(Stage { table, operator: operator?, contract })
}
