//! Errors about a statement: line, caret, nearest name.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::base::diagnostic::{Finding, Report, SourceText};
use crate::base::{Error, Kind};

/// The text of a statement, for errors that point into it.
#[derive(Debug, Clone)]
pub(super) struct Text(Arc<SourceText>);

impl Text {
    pub(super) fn new(text: &str) -> Self {
        Self(Arc::new(SourceText { name: "query".into(), text: text.to_owned() }))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0.text
    }

    /// An error at `span`, or about the whole text where the parser gave none.
    pub(super) fn error_at(
        &self,
        span: Span,
        message: &str,
        label: &str,
        help: Option<String>,
    ) -> Error {
        let range = match (self.offset(span.start), self.offset(span.end)) {
            (Some(start), Some(end)) if start < end => start..end,
            (Some(start), _) => self.word(start),
            _ => 0..self.as_str().trim_end().len(),
        };
        self.error(range, message, label, help)
    }

    /// An error about the statement's first word.
    pub(super) fn error_at_start(&self, message: &str, label: &str, help: &str) -> Error {
        let start = self.as_str().len() - self.as_str().trim_start().len();
        self.error(self.word(start), message, label, Some(help.into()))
    }

    /// The parser's error, which ends with its place: `… at Line: 1, Column: 8`.
    pub(super) fn syntax_error(&self, said: &str) -> Error {
        let said = said.strip_prefix("sql parser error: ").unwrap_or(said);
        let (message, place) = said.rsplit_once(" at Line: ").unwrap_or((said, ""));
        let location = place.split_once(", Column: ").and_then(|(line, column)| {
            Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
        });
        let end = self.as_str().trim_end().len();
        let range = match location.and_then(|location| self.offset(location)) {
            Some(at) if at < end => self.word(at),
            // The parser stopped at the end: the caret stands behind the last word.
            _ => end..end,
        };
        let mut message = message.to_owned();
        if let Some(first) = message.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        self.error(range, &message, "here", None)
    }

    /// Where a function of that name is called, whatever its case.
    pub(super) fn call_of(&self, name: &str) -> Option<Span> {
        let tokens =
            Tokenizer::new(&GenericDialect, self.as_str()).tokenize_with_location().ok()?;
        let spaced = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
        let solid: Vec<_> = tokens.iter().filter(spaced).collect();
        solid.windows(2).find_map(|pair| match pair {
            [TokenWithSpan { token: Token::Word(word), span }, open] => {
                let called = open.token == Token::LParen && word.value.eq_ignore_ascii_case(name);
                called.then_some(*span)
            }
            _ => None,
        })
    }

    fn error(&self, span: Range<usize>, message: &str, label: &str, help: Option<String>) -> Error {
        let finding = Finding {
            message: message.into(),
            span,
            label: label.into(),
            help: help.clone(),
            text: None,
        };
        let report = Report { source: Arc::clone(&self.0), findings: vec![finding] };
        let error = Error::from_report(Kind::Query, report);
        match help {
            Some(help) => error.help(help),
            None => error,
        }
    }

    /// The byte offset of a place; `None` for the empty one.
    fn offset(&self, location: Location) -> Option<usize> {
        let (line, column) = (location.line.checked_sub(1)?, location.column.checked_sub(1)?);
        let mut start = 0;
        for (number, text) in (0..).zip(self.as_str().split_inclusive('\n')) {
            if number == line {
                let inside = text
                    .char_indices()
                    .nth(usize::try_from(column).ok()?)
                    .map_or(text.len(), |(at, _)| at);
                return Some(start + inside);
            }
            start += text.len();
        }
        Some(start)
    }

    /// The word that begins at a byte offset, or the one character there.
    fn word(&self, start: usize) -> Range<usize> {
        let rest = self.as_str().get(start..).unwrap_or_default();
        let length: usize =
            rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
        let length =
            if length > 0 { length } else { rest.chars().next().map_or(0, char::len_utf8) };
        start..start + length
    }
}

/// "did you mean …" and the list of what there is.
pub(super) fn choices<'n>(name: &str, what: &str, there: impl Iterator<Item = &'n str>) -> String {
    let mut there: Vec<&str> = there.collect();
    there.sort_unstable();
    there.dedup();
    if there.is_empty() {
        return format!("there are no {what}");
    }
    let list = there.join(", ");
    match nearest(name, there.iter().copied()) {
        Some(nearest) => format!("did you mean '{nearest}'? there are the {what} {list}"),
        None => format!("there are the {what} {list}"),
    }
}

/// The name that is so near that it may be meant.
pub(super) fn nearest<'n>(name: &str, there: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    there
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_lowercase()), other))
        .min()
        .filter(|(distance, other)| *distance <= 1 + other.chars().count() / 3)
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsers_place_becomes_a_span() {
        let text = Text::new("SELECT é,\n  FRM t");
        let error =
            text.syntax_error("sql parser error: Expected: x, found: FRM at Line: 2, Column: 3");
        let finding = &error.report().unwrap().findings[0];
        assert_eq!(text.as_str().get(finding.span.clone()), Some("FRM"));
        assert_eq!(finding.message, "expected: x, found: FRM");
    }

    #[test]
    fn the_end_of_the_text_has_a_place() {
        let text = Text::new("SELECT ");
        let error = text.syntax_error("sql parser error: Expected: an expression, found: EOF");
        assert_eq!(error.report().unwrap().findings[0].span, 6..6);
    }

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let there = || ["captions", "images"].into_iter();
        assert!(choices("Caption", "tables", there()).contains("did you mean 'captions'"));
        assert!(!choices("weather", "tables", there()).contains("did you mean"));
    }
}
