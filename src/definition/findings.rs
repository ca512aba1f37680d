//! Collects everything that is wrong with a definition, and knows the nearest right names.

use std::sync::Arc;

use super::span::Span;
use crate::base::diagnostic::{Finding, Report, SourceText};
use crate::base::error::{Error, Kind, Result};

/// The texts of one definition and what was found in them.
#[derive(Debug)]
pub(super) struct Findings {
    texts: Vec<Arc<SourceText>>,
    found: Vec<Found>,
    broken_syntax: bool,
}

#[derive(Debug)]
struct Found {
    span: Span,
    finding: Finding,
    /// Says that something is missing: not to be believed of a text whose syntax is broken.
    absence: bool,
}

/// A finding being written; its setters chain.
#[derive(Debug)]
pub(super) struct Draft<'a>(&'a mut Found);

impl Findings {
    /// Nothing is wrong with `text` yet.
    pub(super) fn new(text: Arc<SourceText>) -> Self {
        Self { texts: vec![text], found: Vec::new(), broken_syntax: false }
    }

    /// Another text that spans may point into; returns its number.
    pub(super) fn add_text(&mut self, text: Arc<SourceText>) -> usize {
        self.texts.push(text);
        self.texts.len() - 1
    }

    /// Where `part` stands within `span`, in the text as written.
    pub(super) fn find_within(&self, span: Span, part: &str) -> Option<Span> {
        let written = self.texts.get(span.text)?.text.get(span.range())?;
        let start = span.start + written.find(part)?;
        Some(Span { start, end: start + part.len(), text: span.text })
    }

    /// Whether nothing was found.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Something is wrong at `span`.
    pub(super) fn add(&mut self, span: Span, message: impl Into<String>) -> Draft<'_> {
        self.push(span, message.into(), false)
    }

    /// Something that should be there is not.
    pub(super) fn add_absence(&mut self, span: Span, message: impl Into<String>) -> Draft<'_> {
        self.push(span, message.into(), true)
    }

    /// The syntax is broken at `span`.
    pub(super) fn add_syntax(&mut self, span: Span, message: impl Into<String>) -> Draft<'_> {
        self.broken_syntax = true;
        self.push(span, message.into(), false)
    }

    /// `got` at `span` is none of `expected`; `what` says what was looked for.
    pub(super) fn add_unknown<'n>(
        &mut self,
        span: Span,
        what: &str,
        got: &str,
        expected: impl IntoIterator<Item = &'n str>,
    ) -> Draft<'_> {
        let expected: Vec<&str> = expected.into_iter().collect();
        let message = format!("unknown {what} `{got}`");
        let label = match expected.as_slice() {
            [] => format!("there is no {what} at all"),
            [one] => format!("expected `{one}`"),
            many => format!("expected one of {}", listed(many)),
        };
        let near = nearest(got, expected.iter().copied()).map(str::to_owned);
        let draft = self.push(span, message, true).label(label);
        match near {
            Some(near) => draft.sure().help(format!("did you mean `{near}`?")),
            None => draft.sure(),
        }
    }

    fn push(&mut self, span: Span, message: String, absence: bool) -> Draft<'_> {
        let text = span.text.checked_sub(1).and_then(|_| self.texts.get(span.text)).cloned();
        let finding =
            Finding { message, span: span.range(), label: String::new(), help: None, text };
        self.found.push(Found { span, finding, absence });
        let last = self.found.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "pushed on the line above")]
        Draft(&mut self.found[last])
    }

    /// # Errors
    /// Everything found, in the order of the text, those of `--set` last.
    pub(super) fn into_result<T>(mut self, value: Option<T>) -> Result<T> {
        if self.found.is_empty()
            && let Some(value) = value
        {
            return Ok(value);
        }
        if self.broken_syntax {
            self.found.retain(|found| !found.absence);
        }
        self.found.sort_by_key(|found| (found.span.text, found.span.start));
        let mut findings: Vec<Finding> = self.found.into_iter().map(|f| f.finding).collect();
        findings.dedup();
        match self.texts.into_iter().next() {
            Some(source) if !findings.is_empty() => {
                Err(Error::from_report(Kind::Definition, Report { source, findings }))
            }
            _ => Err(Error::new(Kind::Internal, "a definition is unusable and nothing says why")),
        }
    }
}

impl Draft<'_> {
    /// What is said under the caret.
    pub(super) fn label(self, label: impl Into<String>) -> Self {
        self.0.finding.label = label.into();
        self
    }

    /// What to do.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        self.0.finding.help = Some(help.into());
        self
    }

    /// True also of a text whose syntax is broken elsewhere.
    pub(super) fn sure(self) -> Self {
        self.0.absence = false;
        self
    }

    /// Not to be believed of a text whose syntax is broken: what it misses may be in the part
    /// that could not be read.
    pub(super) fn unsure(self) -> Self {
        self.0.absence = true;
        self
    }
}

/// `` `a`, `b` or `c` ``
pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

/// The candidate that `got` was probably meant to be: at most a third of the letters differ
/// (Damerau-Levenshtein, by the longer name), or one begins with the other.
pub(super) fn nearest<'a>(
    got: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Case and the choice of dash are the commonest slips, and cost nothing here.
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let got = plain(got);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let name = plain(candidate);
        let mut distance = strsim::damerau_levenshtein(&got, &name);
        let (length, other) = (got.chars().count(), name.chars().count());
        let shorter = length.min(other);
        if shorter >= 3 && (name.starts_with(&got) || got.starts_with(&name)) {
            distance = distance.min(1);
        }
        if distance * 3 <= length.max(other) && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let keys = ["batch_size", "normalize", "images", "model"];
        assert_eq!(nearest("batchsize", keys), Some("batch_size"));
        assert_eq!(nearest("batch-size", keys), Some("batch_size"));
        assert_eq!(nearest("normalise", keys), Some("normalize"));
        assert_eq!(nearest("image", keys), Some("images"));
        assert_eq!(nearest("Modle", keys), Some("model"));
        assert_eq!(nearest("weights", keys), None);
        assert_eq!(nearest("DATA", ["PATH", "HOME"]), None);
        assert_eq!(nearest("DATA", ["DATE"]), Some("DATE"));
        assert_eq!(nearest("tra", ["tar", "csv"]), Some("tar"));
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&["a"]), "`a`");
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` or `c`");
    }

    #[test]
    fn what_is_missing_is_not_reported_of_a_broken_text() {
        let text = Arc::new(SourceText { name: "x".into(), text: "abc".into() });
        let mut findings = Findings::new(text);
        findings.add_absence(Span::default(), "missing");
        findings.add_syntax(Span { start: 1, end: 2, text: 0 }, "broken");
        let error = findings.into_result::<()>(None).unwrap_err();
        let report = error.report().unwrap();
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].message, "broken");
    }
}
