//! Paths of a source: strings or lists of them, with globs and brace ranges.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::braces::expand_braces;
use super::findings::Findings;
use super::pattern::check_glob;
use super::reader::{Setting, wrong_type};
use super::span::Spanned;
use super::tree::{Node, Value};

/// One path or several, as written: relative to the definition, globs and braces unresolved.
///
/// Never empty; [`expand_braces`] takes every one of them, and gives valid globs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Paths(pub Vec<Spanned<String>>);

impl Paths {
    /// The only file, where one path without glob or braces is given.
    #[must_use]
    pub fn single(&self) -> Option<&Spanned<String>> {
        match self.0.as_slice() {
            [one] if !is_pattern(one) => Some(one),
            _ => None,
        }
    }
}

/// Whether a path may name several files: it has a glob or braces.
#[must_use]
pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

impl Setting for Paths {
    const EXPECTED: &'static str = "a path or a list of paths";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let paths = match &node.value {
            Value::Text(_) => vec![Spanned::<String>::read(node, findings)?],
            Value::Array(items) if items.is_empty() => {
                findings.add(node.span, "no path").label("expected at least one");
                return None;
            }
            Value::Array(_) => Vec::<Spanned<String>>::read(node, findings)?,
            _ => {
                wrong_type(node, Self::EXPECTED, findings);
                return None;
            }
        };
        for path in &paths {
            match expand_braces(path) {
                // One glob stands for all of an expansion: braces hold no glob signs of their own.
                Ok(expanded) => {
                    for one in expanded.into_iter().take(1).filter(|one| is_pattern(one)) {
                        check_glob(&Spanned::new(one, path.span), findings);
                    }
                }
                Err(problem) => {
                    findings
                        .add(path.span, problem)
                        .label("expected braces such as `{000..031}` or `{a,b}`")
                        .help("`[{]` is a plain `{`");
                }
            }
        }
        Some(Self(paths))
    }
}

impl JsonSchema for Paths {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Paths".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 },
            ],
        })
    }
}
