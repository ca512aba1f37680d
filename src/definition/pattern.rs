//! Regular expressions and globs of sources.

use super::findings::Findings;
use super::reader::TableReader;
use super::span::Spanned;

/// The regular expression under `key`: valid, and with exactly one capture group.
pub(super) fn id(table: &mut TableReader<'_, '_>) -> Option<Spanned<String>> {
    let pattern: Spanned<String> = table.optional("id")?;
    let findings = &mut *table.findings;
    match regex::Regex::new(&pattern) {
        Ok(regex) => {
            let groups = regex.captures_len() - 1;
            if groups == 1 {
                return Some(pattern);
            }
            findings
                .add(pattern.span, format!("the pattern has {groups} capture groups"))
                .label("expected exactly one: the image id")
                .help(if groups == 0 {
                    r"put parentheses around the id, as in '(\d+)\.jpg$'"
                } else {
                    "write `(?:…)` for the groups that are not the id"
                });
        }
        Err(error) => {
            // The last line of a regex error says what; those before draw a caret of their own.
            let error = error.to_string();
            let what = error.lines().last().unwrap_or_default();
            let what = what.trim().trim_start_matches("error: ");
            findings
                .add(pattern.span, format!("no regular expression: {what}"))
                .label(r"expected a pattern such as '(\d+)\.jpg$'")
                .help("single quotes keep backslashes as they are");
        }
    }
    None
}

/// Reports a glob that is none.
pub(super) fn check_glob(glob: &Spanned<String>, findings: &mut Findings) {
    if let Err(error) = globset::Glob::new(glob) {
        findings
            .add(glob.span, format!("no glob: {}", error.kind()))
            .label("expected a pattern such as `*.jpg`")
            .help("`*`, `?`, `[…]`, `**` and `{a,b}` have a meaning; `[*]` is a plain `*`");
    }
}
