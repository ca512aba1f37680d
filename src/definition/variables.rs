//! `${NAME}` in strings: the value of an environment variable. `$${` is a plain `${`.

use super::findings::{Findings, nearest};
use super::span::Span;
use super::tree::{Node, Table, Value};
use crate::base::environment::Environment;

/// A string of a definition that held variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The block it stands in: `sources.photos`, `models.clip`, `stages.images`.
    pub block: String,
    /// The key it stands under; of a list in a block, the list's.
    pub key: String,
    /// As it was written, `${DATA}/photos.tar`: the same on every machine.
    pub written: String,
    /// As it is read here.
    pub value: String,
}

/// Replaces the variables in every string below `table`; tells where there were any.
pub(super) fn expand(
    table: &mut Table,
    env: &Environment,
    findings: &mut Findings,
) -> Vec<Variable> {
    let mut found = Vec::new();
    for entry in &mut table.entries {
        let mut walk = Walk { path: vec![entry.key.clone()], env, findings, found: &mut found };
        walk.node(&mut entry.node);
    }
    found
}

struct Walk<'a> {
    path: Vec<String>,
    env: &'a Environment,
    findings: &'a mut Findings,
    found: &'a mut Vec<Variable>,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Text(text) if text.contains("${") => {
                match expand_text(text, node.span, self.env, self.findings) {
                    Some(expanded) => {
                        let block = self.path.get(..2).unwrap_or(&self.path).join(".");
                        let key = self.path.last().cloned().unwrap_or_default();
                        let written = std::mem::replace(text, expanded.clone());
                        self.found.push(Variable { block, key, written, value: expanded });
                    }
                    None => node.value = Value::Broken,
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.node(item)),
            Value::Table(table) => {
                for entry in &mut table.entries {
                    self.path.push(entry.key.clone());
                    self.node(&mut entry.node);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }
}

fn expand_text(
    text: &str,
    span: Span,
    env: &Environment,
    findings: &mut Findings,
) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut good = true;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            findings
                .add(span, "`${` without its `}`")
                .label("expected `${NAME}`")
                .help("write `$${` for a plain `${`");
            return None;
        };
        rest = after;
        match env.get(name) {
            Some(value) => out.push_str(value),
            None => {
                good = false;
                report(name, span, env, findings);
            }
        }
    }
    out.push_str(rest);
    good.then_some(out)
}

fn report(name: &str, span: Span, env: &Environment, findings: &mut Findings) {
    let right = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // The variable within the string, where the text has it as it stands (no escapes).
    let place = findings.find_within(span, &format!("${{{name}}}")).unwrap_or(span);
    if !right {
        findings
            .add(place, format!("`{name}` is no name of an environment variable"))
            .label("expected `${NAME}`")
            .help("write `$${` for a plain `${`");
        return;
    }
    let help = match nearest(name, env.names()) {
        Some(near) => format!("did you mean `${{{near}}}`?"),
        None => format!("set it: `{name}=… clipmill …`; write `$${{` for a plain `${{`"),
    };
    findings
        .add(place, format!("environment variable `{name}` is not set"))
        .label("has no value")
        .help(help);
}
