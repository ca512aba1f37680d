//! Findings in a text, drawn with line and caret by miette.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};
use serde_json::{Value, json};

use crate::base::Kind;
use crate::base::diagnostic::{Finding, Report, SourceText};

use super::code::code;

/// One finding, as miette wants it.
#[derive(Debug)]
struct Drawn<'a> {
    finding: &'a Finding,
    source: miette::NamedSource<SharedText>,
}

/// The text, shared by all its findings.
#[derive(Debug, Clone)]
struct SharedText(Arc<SourceText>);

impl SourceCode for SharedText {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        self.0.text.read_span(span, before, after)
    }
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = Some(self.finding.label.clone()).filter(|label| !label.is_empty());
        let span = &self.finding.span;
        let span = LabeledSpan::new(label, span.start, span.end.saturating_sub(span.start));
        Some(Box::new(std::iter::once(span)))
    }
}

/// Every finding with its line, a caret, the label and the help.
#[must_use]
pub fn report_human(report: &Report, color: bool) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        // Wrapped at a fixed width, paths and addresses would come apart and could not be copied.
        .with_wrap_lines(false)
        .with_links(false)
        .with_context_lines(1);
    let mut out = String::new();
    for finding in &report.findings {
        let text = finding.text.as_ref().unwrap_or(&report.source);
        let source = miette::NamedSource::new(&text.name, SharedText(text.clone()));
        if handler.render_report(&mut out, &Drawn { finding, source }).is_err() {
            // A span outside the text cannot be drawn; what was found is said all the same.
            out.push_str(&format!("{}: {}\n", text.name, finding.message));
        }
    }
    out
}

/// One object a finding: `{code, message, file, line, column, label, help}`.
#[must_use]
pub fn report_json(report: &Report, kind: Kind) -> Vec<Value> {
    let object = |finding: &Finding| {
        let text = report.text_of(finding);
        let (line, column) = text.line_column(finding.span.start);
        json!({
            "code": code(kind),
            "message": finding.message,
            "file": text.name,
            "line": line,
            "column": column,
            "label": finding.label,
            "help": finding.help,
        })
    };
    report.findings.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let text = "[pipeline]\nname = \"x\"\nstroe = \"s\"\n";
        let start = text.find("stroe").unwrap();
        let finding = |span: std::ops::Range<usize>| Finding {
            message: "unknown key `stroe`".into(),
            span,
            label: "expected `store`".into(),
            help: Some("did you mean `store`?".into()),
            text: None,
        };
        Report {
            source: Arc::new(SourceText { name: "p.toml".into(), text: text.into() }),
            findings: vec![finding(start..start + 5), finding(9000..9001)],
        }
    }

    #[test]
    fn people_see_the_line_and_a_caret() {
        let drawn = report_human(&report(), false);
        assert!(drawn.contains("p.toml:3:1"), "{drawn}");
        assert!(drawn.contains("stroe = \"s\""), "{drawn}");
        assert!(drawn.contains("expected `store`"), "{drawn}");
        assert!(drawn.contains("did you mean `store`?"), "{drawn}");
        assert!(!drawn.contains('\x1b'), "{drawn}");
        assert!(report_human(&report(), true).contains('\x1b'));
        assert_eq!(drawn.matches("unknown key").count(), 2, "{drawn}");
    }

    #[test]
    fn a_finding_of_the_command_line_points_at_it() {
        let set = SourceText { name: "--set".into(), text: "stages.a.batch_size=0".into() };
        let mut report = report();
        report.findings.truncate(1);
        report.findings[0].span = 20..21;
        report.findings[0].text = Some(Arc::new(set));
        let drawn = report_human(&report, false);
        assert!(drawn.contains("--set:1:21"), "{drawn}");
        assert!(drawn.contains("stages.a.batch_size=0"), "{drawn}");
        assert!(!drawn.contains("[pipeline]"), "{drawn}");
        let found = &report_json(&report, Kind::Definition)[0];
        assert_eq!((&found["file"], &found["column"]), (&json!("--set"), &json!(21)));
    }

    #[test]
    fn scripts_see_line_and_column() {
        let found = report_json(&report(), Kind::Definition);
        assert_eq!(
            found[0],
            json!({"code": "definition", "message": "unknown key `stroe`", "file": "p.toml",
                   "line": 3, "column": 1, "label": "expected `store`",
                   "help": "did you mean `store`?"})
        );
    }
}
