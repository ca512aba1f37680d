//! TOML as a tree that owns its values and remembers where each was written.
//!
//! The parser's own tree borrows from one text; here values of `--set` arguments join those of the
//! file.

use toml::de::{DeTable, DeValue};

use super::findings::Findings;
use super::span::Span;

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
    /// Already reported: whoever reads it says nothing.
    Broken,
}

/// A table, in the order of the text.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) node: Node,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }
}

impl Value {
    /// With its article, for messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "a truth value",
            Self::Datetime => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Broken => "nothing usable",
        }
    }
}

/// Reads `text`, the `number`-th text of `findings`; broken places are reported and left out.
pub(super) fn read(text: &str, number: usize, findings: &mut Findings) -> Table {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        add_syntax(error.message(), span, number, findings);
    }
    table_of(table.into_inner(), number, 0, findings)
}

/// Reads one value out of `text`, which begins `offset` bytes into its argument; `None` if it is
/// no TOML value.
pub(super) fn read_value(
    text: &str,
    offset: usize,
    number: usize,
    findings: &mut Findings,
) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    let span = value.span();
    Some(node_of(value.into_inner(), span, number, offset, findings))
}

fn add_syntax(message: &str, span: std::ops::Range<usize>, number: usize, findings: &mut Findings) {
    let span = Span { start: span.start, end: span.end, text: number };
    // The parser says `what, expected a, b`; what was expected belongs under the caret.
    let (what, expected) = match message.split_once(", expected ") {
        Some((what, expected)) => (what, format!("expected {expected}")),
        None => (message, "here".to_owned()),
    };
    if what == "duplicate key" {
        findings
            .add_syntax(span, "defined twice")
            .label("already defined above")
            .help("remove one of the two; each key and each table header stands once");
    } else {
        findings.add_syntax(span, format!("no valid TOML: {what}")).label(expected);
    }
}

fn node_of(
    value: DeValue<'_>,
    span: std::ops::Range<usize>,
    number: usize,
    offset: usize,
    findings: &mut Findings,
) -> Node {
    let span = Span { start: span.start + offset, end: span.end + offset, text: number };
    let value = match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(integer) => Value::Integer(integer),
            Err(_) => {
                findings
                    .add(span, "number too large")
                    .label(format!("expected at most {} digits", i64::MAX.ilog10()));
                Value::Broken
            }
        },
        DeValue::Float(digits) => match digits.as_str().parse::<f64>() {
            Ok(float) if float.is_finite() => Value::Float(float),
            _ => {
                findings.add(span, "no finite number").label("expected a number such as `0.05`");
                Value::Broken
            }
        },
        DeValue::Boolean(truth) => Value::Bool(truth),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(array) => Value::Array(
            array
                .into_iter()
                .map(|item| {
                    let span = item.span();
                    node_of(item.into_inner(), span, number, offset, findings)
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(table_of(table, number, offset, findings)),
    };
    Node { span, value }
}

fn table_of(table: DeTable<'_>, number: usize, offset: usize, findings: &mut Findings) -> Table {
    let entries = table
        .into_iter()
        .map(|(key, value)| {
            let key_span = key.span();
            let key_span =
                Span { start: key_span.start + offset, end: key_span.end + offset, text: number };
            let span = value.span();
            let node = node_of(value.into_inner(), span, number, offset, findings);
            Entry { key: key.into_inner().into_owned(), key_span, node }
        })
        .collect();
    Table { entries }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::diagnostic::SourceText;

    fn findings(text: &str) -> Findings {
        Findings::new(Arc::new(SourceText { name: "x".into(), text: text.into() }))
    }

    #[test]
    fn values_keep_their_places() {
        let text = "a = 1\n[b]\nc = ['x', 2.5]\n";
        let mut found = findings(text);
        let table = read(text, 0, &mut found);
        assert!(found.is_empty());
        let Value::Table(b) = &table.get("b").unwrap().node.value else { panic!() };
        let Value::Array(items) = &b.get("c").unwrap().node.value else { panic!() };
        assert_eq!(text.get(items[0].span.range()), Some("'x'"));
        assert!(matches!(items[1].value, Value::Float(x) if x == 2.5));
    }

    #[test]
    fn several_syntax_errors_are_reported_at_once() {
        let text = "a = \nb = 1\nb = 2\nc = nope\n";
        let mut found = findings(text);
        read(text, 0, &mut found);
        let error = found.into_result::<()>(None).unwrap_err();
        assert!(error.report().unwrap().findings.len() >= 3, "{error:?}");
    }

    #[test]
    fn numbers_that_do_not_fit_are_findings() {
        for text in ["a = 99999999999999999999", "a = inf", "a = nan", "a = 1e999"] {
            let mut found = findings(text);
            let table = read(text, 0, &mut found);
            assert!(!found.is_empty(), "{text}");
            assert!(matches!(table.get("a").unwrap().node.value, Value::Broken), "{text}");
        }
    }
}
