//! Takes typed values out of tables, and reports keys that nobody took.

use serde::Serialize;

use super::findings::Findings;
use super::span::{Span, Spanned};
use super::tree::{Entry, Node, Table, Value};

/// A type that a value can be read as.
pub(super) trait Setting: Sized {
    /// What is expected, with its article: `a whole number`.
    const EXPECTED: &'static str;

    /// The value of `node`, or nothing and a finding (none if the node is broken already).
    fn read(node: &Node, findings: &mut Findings) -> Option<Self>;
}

/// A table being read.
#[derive(Debug)]
pub(super) struct TableReader<'t, 'f> {
    /// As the header writes it, for messages: `stages.images.index_images`.
    pub(super) path: String,
    /// The header's last key.
    pub(super) header: Span,
    table: &'t Table,
    asked: Vec<Asked>,
    pub(super) findings: &'f mut Findings,
}

/// A key that the table may have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) key: &'static str,
    pub(super) required: bool,
    /// As JSON, where leaving the key out means a value.
    pub(super) default: Option<serde_json::Value>,
}

impl<'t, 'f> TableReader<'t, 'f> {
    /// Reads `node` as a table whose header is `path` with its last key at `header`.
    pub(super) fn open(
        node: &'t Node,
        path: String,
        header: Span,
        findings: &'f mut Findings,
    ) -> Option<Self> {
        match &node.value {
            Value::Table(table) => Some(Self { path, header, table, asked: Vec::new(), findings }),
            Value::Broken => None,
            other => {
                findings
                    .add(node.span, format!("`{path}` is {}", other.type_name()))
                    .label("expected a table")
                    .help(format!("write it as a block: `[{path}]`"));
                None
            }
        }
    }

    /// The table itself, for what has no settings of its own.
    pub(super) fn into_table(self) -> &'t Table {
        self.table
    }

    fn ask(
        &mut self,
        key: &'static str,
        required: bool,
        default: Option<serde_json::Value>,
    ) -> Option<&'t Entry> {
        self.asked.push(Asked { key, required, default });
        self.table.get(key)
    }

    /// A value that must be there.
    pub(super) fn required<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        match self.ask(key, true, None) {
            Some(entry) => T::read(&entry.node, self.findings),
            None => {
                self.findings
                    .add_absence(self.header, format!("`[{}]` lacks `{key}`", self.path))
                    .label(format!("expected `{key} = …`, {}", T::EXPECTED));
                None
            }
        }
    }

    /// A value that may be left out.
    pub(super) fn optional<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let entry = self.ask(key, false, None)?;
        T::read(&entry.node, self.findings)
    }

    /// A value that means `default` where it is left out.
    pub(super) fn or<T: Setting + Serialize>(&mut self, key: &'static str, default: T) -> T {
        let shown = serde_json::to_value(&default).ok();
        match self.ask(key, false, shown) {
            // After a finding any value will do: nobody sees it.
            Some(entry) => T::read(&entry.node, self.findings).unwrap_or(default),
            None => default,
        }
    }

    /// As [`Self::or`], with the place of the value, or of the header for a default.
    pub(super) fn spanned_or<T: Setting + Serialize>(
        &mut self,
        key: &'static str,
        default: T,
    ) -> Spanned<T> {
        let span = self.table.get(key).map_or(self.header, |entry| entry.node.span);
        Spanned::new(self.or(key, default), span)
    }

    /// A number that means `default` where it is left out, and lies in `least..=most`.
    pub(super) fn number_or(
        &mut self,
        key: &'static str,
        default: u64,
        least: u64,
        most: u64,
    ) -> u64 {
        let Spanned { value, span } = self.spanned_or(key, default);
        if value < least || value > most {
            let expected = if most == u64::MAX {
                format!("expected at least {least}")
            } else {
                format!("expected {least} to {most}")
            };
            self.findings.add(span, format!("`{key}` is {value}")).label(expected);
            return default;
        }
        value
    }

    /// A table within this one.
    pub(super) fn table<'s>(&'s mut self, key: &'static str) -> Option<TableReader<'t, 's>> {
        let entry = self.ask(key, false, None)?;
        let path = format!("{}.{key}", self.path);
        TableReader::open(&entry.node, path, entry.key_span, self.findings)
    }

    /// Where `key` was written, if it was.
    pub(super) fn key_span(&self, key: &str) -> Option<Span> {
        self.table.get(key).map(|entry| entry.key_span)
    }

    /// Whether it has a key that was not asked for.
    pub(super) fn has_unknown(&self) -> bool {
        let asked = |key: &str| self.asked.iter().any(|asked| asked.key == key);
        self.table.entries.iter().any(|entry| !asked(&entry.key))
    }

    /// Reports every key that was not asked for, and says which were.
    pub(super) fn finish(self) -> Vec<Asked> {
        let known: Vec<&str> = self.asked.iter().map(|asked| asked.key).collect();
        for entry in &self.table.entries {
            if !known.contains(&entry.key.as_str()) {
                let what = format!("key in `[{}]`:", self.path);
                self.findings.add_unknown(entry.key_span, &what, &entry.key, known.clone());
            }
        }
        self.asked
    }
}

/// The finding for a value of another type.
pub(super) fn wrong_type(node: &Node, expected: &str, findings: &mut Findings) {
    if !matches!(node.value, Value::Broken) {
        findings
            .add(node.span, format!("wrong type: {}", node.value.type_name()))
            .label(format!("expected {expected}"));
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a string";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Text(text) if text.trim().is_empty() => {
                findings.add(node.span, "empty string").label("expected some text");
                None
            }
            Value::Text(text) => Some(text.clone()),
            _ => {
                wrong_type(node, Self::EXPECTED, findings);
                None
            }
        }
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Bool(truth) => Some(*truth),
            _ => {
                wrong_type(node, Self::EXPECTED, findings);
                None
            }
        }
    }
}

impl Setting for u64 {
    const EXPECTED: &'static str = "a whole number, not negative";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Integer(integer) => match Self::try_from(*integer) {
                Ok(number) => Some(number),
                Err(_) => {
                    findings.add(node.span, "negative number").label("expected 0 or more");
                    None
                }
            },
            _ => {
                wrong_type(node, Self::EXPECTED, findings);
                None
            }
        }
    }
}

impl Setting for f64 {
    const EXPECTED: &'static str = "a number";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Float(float) => Some(*float),
            #[expect(clippy::cast_precision_loss, reason = "shares and bounds are small")]
            Value::Integer(integer) => Some(*integer as Self),
            _ => {
                wrong_type(node, Self::EXPECTED, findings);
                None
            }
        }
    }
}

impl<T: Setting> Setting for Spanned<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        Some(Self::new(T::read(node, findings)?, node.span))
    }
}

impl<T: Setting> Setting for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Array(items) => {
                // Every item is read, so that every bad one is reported.
                let read: Vec<Option<T>> =
                    items.iter().map(|item| T::read(item, findings)).collect();
                read.into_iter().collect()
            }
            _ => {
                wrong_type(node, &format!("a list, each item {}", T::EXPECTED), findings);
                None
            }
        }
    }
}

/// Reads a type whose values are a few names.
pub(super) fn read_name<T: Copy>(
    node: &Node,
    what: &str,
    names: &[(&str, T)],
    findings: &mut Findings,
) -> Option<T> {
    let all = || names.iter().map(|(name, _)| *name);
    match &node.value {
        Value::Text(text) => {
            let found = names.iter().find(|(name, _)| name == text);
            if found.is_none() {
                findings.add_unknown(node.span, what, text, all());
            }
            found.map(|(_, value)| *value)
        }
        _ => {
            let all: Vec<&str> = all().collect();
            wrong_type(node, &super::findings::listed(&all), findings);
            None
        }
    }
}
