//! `--set key=value`: replaces one value of a definition before it is read.

use std::sync::Arc;

use super::findings::Findings;
use super::span::Span;
use super::tree::{Entry, Node, Table, Value, read_value};
use crate::base::diagnostic::SourceText;

/// Puts each of `sets` in place; returns their texts, which spans point into from then on.
///
/// A key is dotted; the kind or operator of a block may be left out:
/// `stages.image_features.batch_size`. A value that is no TOML value is a string.
pub(super) fn apply(
    table: &mut Table,
    sets: &[(String, String)],
    findings: &mut Findings,
) -> Vec<Arc<SourceText>> {
    let apply_one = |(key, value): &(String, String)| {
        let text = Arc::new(SourceText { name: "--set".into(), text: format!("{key}={value}") });
        let number = findings.add_text(Arc::clone(&text));
        let offset = key.len() + 1;
        let node = read_value(value, offset, number, findings).unwrap_or_else(|| Node {
            span: Span { start: offset, end: offset + value.len(), text: number },
            value: Value::Text(value.clone()),
        });
        put(table, &segments(key, number), node, findings);
        text
    };
    sets.iter().map(apply_one).collect()
}

/// One part of a dotted key and where it stands.
struct Segment<'a> {
    name: &'a str,
    span: Span,
}

fn segments(key: &str, number: usize) -> Vec<Segment<'_>> {
    let mut start = 0;
    key.split('.')
        .map(|part| {
            let name = part.trim();
            let span = Span { start, end: start + part.len(), text: number };
            start += part.len() + 1;
            Segment { name, span }
        })
        .collect()
}

fn put(table: &mut Table, key: &[Segment<'_>], node: Node, findings: &mut Findings) {
    match key {
        [first, rest @ ..] if first.name == "pipeline" => {
            if let Some(pipeline) = existing(table, first, "block", findings) {
                put_value(pipeline, first, rest, node, findings);
            }
        }
        [first, name, rest @ ..] if matches!(first.name, "sources" | "models" | "stages") => {
            let Some(blocks) = existing(table, first, "block", findings) else { return };
            let what = match first.name {
                "sources" => "source",
                "models" => "model",
                _ => "stage",
            };
            let Some(block) = existing(blocks, name, what, findings) else { return };
            // The kind or operator: named, or the only one there is.
            if let [kind, rest @ ..] = rest
                && !rest.is_empty()
                && block.get(kind.name).is_some()
            {
                if let Some(settings) = existing(block, kind, "kind", findings) {
                    put_value(settings, kind, rest, node, findings);
                }
                return;
            }
            if let [only] = block.entries.as_mut_slice() {
                if let Value::Table(settings) = &mut only.node.value {
                    put_value(settings, name, rest, node, findings);
                }
            } else if let [one, ..] = rest {
                let kinds: Vec<&str> = block.entries.iter().map(|e| e.key.as_str()).collect();
                findings.add_unknown(one.span, "kind", one.name, kinds);
            }
        }
        [first, ..] => {
            if matches!(first.name, "sources" | "models" | "stages") {
                findings
                    .add(first.span, "key too short")
                    .label(format!("expected `{}.<name>.<key>`", first.name));
            } else {
                let blocks = ["pipeline", "sources", "models", "stages"];
                findings.add_unknown(first.span, "block", first.name, blocks);
            }
        }
        [] => {}
    }
}

/// The table under `key`, which the definition must have.
fn existing<'t>(
    table: &'t mut Table,
    key: &Segment<'_>,
    what: &str,
    findings: &mut Findings,
) -> Option<&'t mut Table> {
    if table.get(key.name).is_none() {
        let names: Vec<&str> = table.entries.iter().map(|entry| entry.key.as_str()).collect();
        findings.add_unknown(key.span, what, key.name, names).unsure();
        return None;
    }
    match &mut table.get_mut(key.name)?.node.value {
        Value::Table(table) => Some(table),
        // A finding of the text itself.
        _ => None,
    }
}

/// Puts `node` under the dotted `key`; `above` is what stands before it.
fn put_value(
    table: &mut Table,
    above: &Segment<'_>,
    key: &[Segment<'_>],
    node: Node,
    findings: &mut Findings,
) {
    match key {
        [] => {
            findings.add(above.span, "key too short").label("expected a setting after this");
        }
        [last] => {
            let entry = Entry { key: last.name.to_owned(), key_span: last.span, node };
            match table.get_mut(last.name) {
                Some(old) => *old = entry,
                None => table.entries.push(entry),
            }
        }
        [first, rest @ ..] => {
            if table.get(first.name).is_none() {
                let node = Node { span: first.span, value: Value::Table(Table::default()) };
                let key = first.name.to_owned();
                table.entries.push(Entry { key, key_span: first.span, node });
            }
            if let Some(entry) = table.get_mut(first.name) {
                if let Value::Table(inner) = &mut entry.node.value {
                    put_value(inner, first, rest, node, findings);
                } else {
                    let is = entry.node.value.type_name();
                    findings
                        .add(first.span, format!("`{}` is {is}", first.name))
                        .label("expected a table, since a key follows");
                }
            }
        }
    }
}
