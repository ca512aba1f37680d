//! `${NAME}` in strings: the value of an environment variable. `$${` is a plain `${`.

use super::findings::{Findings, nearest};
use super::span::Span;
use super::tree::{Node, Table, Value};
use crate::base::environment::Environment;

/// Replaces the variables in every string below `table`.
pub(super) fn expand(table: &mut Table, env: &Environment, findings: &mut Findings) {
    for entry in &mut table.entries {
        expand_node(&mut entry.node, env, findings);
    }
}

fn expand_node(node: &mut Node, env: &Environment, findings: &mut Findings) {
    match &mut node.value {
        Value::Text(text) if text.contains("${") => {
            match expand_text(text, node.span, env, findings) {
                Some(expanded) => *text = expanded,
                None => node.value = Value::Broken,
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| expand_node(item, env, findings));
        }
        Value::Table(table) => expand(table, env, findings),
        _ => {}
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
