//! Names of sources, models and tables.

use super::findings::Findings;
use super::span::Span;

/// What a name looks like, for the JSON schema.
pub(super) const PATTERN: &str = "^[a-z][a-z0-9_]*$";

/// Longest name, in bytes: tables are folders.
const MAX_BYTES: usize = 100;

/// Reports a name that is none.
pub(super) fn check(name: &str, span: Span, what: &str, findings: &mut Findings) {
    let mut chars = name.chars();
    let right = chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if right && name.len() <= MAX_BYTES {
        return;
    }
    let mut near: String = name
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
        .take(MAX_BYTES)
        .collect();
    if !near.starts_with(|c: char| c.is_ascii_lowercase()) {
        near = format!("{}_{near}", what.chars().next().unwrap_or('t'));
    }
    findings
        .add(span, format!("`{name}` is no name of a {what}"))
        .label(format!(
            "expected a lower-case letter, then letters, digits and `_`, {MAX_BYTES} at most"
        ))
        .help(format!("`{near}` would do"));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::diagnostic::SourceText;

    #[test]
    fn names_are_lower_case_words() {
        let long = "a".repeat(101);
        for (name, right) in [
            ("images", true),
            ("clip_b32", true),
            ("", false),
            ("1a", false),
            ("Clip", false),
            ("a-b", false),
            ("ü", false),
            (long.as_str(), false),
        ] {
            let text = SourceText { name: String::new(), text: String::new() };
            let mut findings = Findings::new(Arc::new(text));
            check(name, Span::default(), "model", &mut findings);
            assert_eq!(findings.is_empty(), right, "{name}");
        }
    }
}
