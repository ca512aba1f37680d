//! Annotations: lines that GitHub shows beside the code they are about.
//!
//! Syntax: "Workflow commands for GitHub Actions", `::error file=…,line=…,col=…,title=…::message`.

use std::fmt;
use std::path::Path;

use crate::base::diagnostic::{Finding, Report};
use crate::base::{Error, Kind};

use super::code::code;

/// One annotation; what is not known is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotation {
    /// The file, as the workflow sees it.
    pub file: String,
    /// Line and column, from one.
    pub place: Option<(usize, usize)>,
    /// A few words.
    pub title: String,
    /// Everything else; may have several lines.
    pub message: String,
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "::error file={}", property(&self.file))?;
        if let Some((line, column)) = self.place {
            write!(f, ",line={line},col={column}")?;
        }
        write!(f, ",title={}::{}", property(&self.title), data(&self.message))
    }
}

/// A message: one line whatever it holds.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property, which must not end at a comma or a colon of its own.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// An annotation for each finding. A finding in a `--set` has no line in the file and is put on the
/// file as a whole.
#[must_use]
pub fn report_github(report: &Report, kind: Kind) -> Vec<Annotation> {
    let annotation = |finding: &Finding| {
        let place = finding.text.is_none().then(|| report.source.line_column(finding.span.start));
        let set = finding.text.as_ref().map(|set| format!("--set {}", set.text));
        let rest = [set, Some(finding.label.clone()), finding.help.clone()];
        let lines = std::iter::once(finding.message.clone()).chain(rest.into_iter().flatten());
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        Annotation {
            file: report.source.name.clone(),
            place,
            title: code(kind).replace('_', " "),
            message: lines.join("\n"),
        }
    };
    report.findings.iter().map(annotation).collect()
}

/// The annotations of an error about `file`, one a line.
#[must_use]
pub fn error_github(error: &Error, file: &Path) -> String {
    let all = std::iter::once(error).chain(error.others());
    let annotations: Vec<_> = all.flat_map(|error| annotations_of(error, file)).collect();
    annotations.iter().map(Annotation::to_string).collect::<Vec<_>>().join("\n")
}

fn annotations_of(error: &Error, file: &Path) -> Vec<Annotation> {
    match error.report() {
        Some(report) => report_github(report, error.kind()),
        None => {
            let help = error.help_text().map(|help| format!("\n{help}")).unwrap_or_default();
            vec![Annotation {
                file: file.display().to_string(),
                place: None,
                title: code(error.kind()).replace('_', " "),
                message: format!("{error}{help}"),
            }]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::diagnostic::SourceText;

    #[test]
    fn everything_that_ends_a_property_or_a_line_is_escaped() {
        let annotation = Annotation {
            file: "a,b:c.toml".into(),
            place: Some((3, 7)),
            title: "50 %, off: all".into(),
            message: "first, 1 %: one\r\nsecond".into(),
        };
        assert_eq!(
            annotation.to_string(),
            "::error file=a%2Cb%3Ac.toml,line=3,col=7,title=50 %25%2C off%3A all::\
             first, 1 %25: one%0D%0Asecond"
        );
    }

    #[test]
    fn findings_and_plain_errors_become_annotations() {
        let text = |name: &str, text: &str| SourceText { name: name.into(), text: text.into() };
        let finding = |of: Option<SourceText>| Finding {
            message: "unknown key `x`".into(),
            span: 4..5,
            label: "expected `y`".into(),
            help: Some("did you mean `y`?".into()),
            text: of.map(Arc::new),
        };
        let report = Report {
            source: Arc::new(text("p.toml", "[a]\nx = 1\n")),
            findings: vec![finding(None), finding(Some(text("--set", "a.b.x=1")))],
        };
        let error = Error::from_report(Kind::Definition, report);
        assert_eq!(
            error_github(&error, Path::new("other.toml")),
            "::error file=p.toml,line=2,col=1,title=definition::unknown key `x`%0Aexpected `y`%0A\
             did you mean `y`?\n\
             ::error file=p.toml,title=definition::unknown key `x`%0A--set a.b.x=1%0Aexpected `y`%0A\
             did you mean `y`?"
        );
        let error = Error::new(Kind::MissingInput, "is not there").at("p.toml").help("look");
        assert_eq!(
            error_github(&error, Path::new("p.toml")),
            "::error file=p.toml,title=missing input::p.toml: is not there%0Alook"
        );
    }
}
