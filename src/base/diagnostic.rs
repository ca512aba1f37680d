//! Findings in a text, each with its span; the terminal draws the line and the caret.

use std::ops::Range;
use std::sync::Arc;

/// A text and the name it came under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// File name as the user gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl SourceText {
    /// Line and column, both counted from one, of a byte offset; columns are characters.
    #[must_use]
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut line = 1;
        let mut column = 1;
        for (at, c) in self.text.char_indices() {
            if at >= offset {
                break;
            }
            if c == '\n' {
                line += 1;
                column = 1;
            } else {
                column += 1;
            }
        }
        (line, column)
    }
}

/// One thing wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// Where: byte range in the text.
    pub span: Range<usize>,
    /// What is said under the caret.
    pub label: String,
    /// What to do, where there is something to say.
    pub help: Option<String>,
    /// The text that `span` points into, where it is not the report's: a `--set` argument.
    pub text: Option<Arc<SourceText>>,
}

impl Finding {
    fn plain(&self, text: &SourceText) -> String {
        let (line, column) = text.line_column(self.span.start);
        let shown = text.text.lines().nth(line - 1).unwrap_or_default();
        let marked = text.text.get(self.span.clone()).unwrap_or_default();
        let marked = marked.lines().next().unwrap_or_default().chars().count().max(1);
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let indent = " ".repeat(column - 1);
        let carets = "^".repeat(marked);
        let mut out = format!("{}:{line}:{column}: {}\n", text.name, self.message);
        out.push_str(&format!("{number} | {shown}\n"));
        out.push_str(format!("{gutter} | {indent}{carets} {}", self.label).trim_end());
        out.push('\n');
        if let Some(help) = &self.help {
            out.push_str(&format!("{gutter} = help: {help}\n"));
        }
        out
    }
}

/// Everything wrong with one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The text that the spans point into.
    pub source: Arc<SourceText>,
    /// In the order of the text.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The text that a finding's span points into.
    #[must_use]
    pub fn text_of<'a>(&'a self, finding: &'a Finding) -> &'a SourceText {
        finding.text.as_deref().unwrap_or(&self.source)
    }

    /// Every finding as plain text: `file:line:column: message`, the line, carets, label and
    /// help. For logs and tests; the terminal draws it better.
    #[must_use]
    pub fn plain(&self) -> String {
        self.findings.iter().map(|finding| finding.plain(self.text_of(finding))).collect()
    }

    /// One line: how many findings, in which file.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.findings.as_slice() {
            [one] => format!("{}: {}", self.source.name, one.message),
            many => format!("{}: {} errors", self.source.name, many.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let text = SourceText { name: "x".into(), text: "ab\nçd".into() };
        assert_eq!(text.line_column(0), (1, 1));
        assert_eq!(text.line_column(3), (2, 1));
        assert_eq!(text.line_column(5), (2, 2));
    }
}
