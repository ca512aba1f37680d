//! One error: what failed, where, why, and what to do.

use serde_json::{Value, json};

use crate::base::Error;

use super::code::code;
use super::finding::{report_human, report_json};

/// `error: place: what: cause`, then the help; findings are drawn with line and caret, and an
/// error that says no more than its only finding is not said twice. Others that were found with it
/// follow in the same way.
#[must_use]
pub fn error_human(error: &Error, color: bool) -> String {
    let all = std::iter::once(error).chain(error.others());
    all.map(|error| one_human(error, color)).collect::<Vec<_>>().join("\n")
}

fn one_human(error: &Error, color: bool) -> String {
    let mut out = String::new();
    if let Some(report) = error.report() {
        out.push_str(&report_human(report, color));
        if let [only] = report.findings.as_slice()
            && error.to_string().ends_with(&only.message)
        {
            out.truncate(out.trim_end().len());
            if only.help.is_none() {
                out.push_str(&help(error, color));
            }
            return out;
        }
    }
    let (red, off) = if color { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    out.push_str(&format!("{red}error{off}: {error}"));
    out.push_str(&help(error, color));
    out
}

/// The error's help on lines of its own; nothing where it has none.
fn help(error: &Error, color: bool) -> String {
    let Some(help) = error.help_text() else { return String::new() };
    let (cyan, off) = if color { ("\x1b[36m", "\x1b[0m") } else { ("", "") };
    format!("\n{cyan}help{off}: {}", help.replace('\n', "\n      "))
}

/// `{code, message, place, help, findings, others}`; what is not known is null, `findings` and
/// `others`, which are such objects, may be empty.
#[must_use]
pub fn error_json(error: &Error) -> Value {
    let findings = error.report().map(|report| report_json(report, error.kind()));
    json!({
        "code": code(error.kind()),
        "message": error.to_string(),
        "place": error.place(),
        "help": error.help_text(),
        "findings": findings.unwrap_or_default(),
        "others": error.others().iter().map(error_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::Kind;
    use crate::base::diagnostic::{Finding, Report, SourceText};

    fn full() -> Error {
        Error::new(Kind::MissingInput, "is not there")
            .at("photos.tar")
            .help("ask for it\nand put it there")
            .caused_by(std::io::Error::other("no such file"))
    }

    #[test]
    fn people_see_place_cause_and_help() {
        assert_eq!(
            error_human(&full(), false),
            "error: photos.tar: is not there: no such file\n\
             help: ask for it\n      and put it there"
        );
        assert!(error_human(&full(), true).contains("\x1b[1;31merror\x1b[0m"));
    }

    #[test]
    fn the_help_of_an_error_with_one_finding_is_shown_unless_that_has_its_own() {
        let error = |own: Option<&str>| {
            let text = SourceText { name: "p.toml".into(), text: "[sources.photos]\n".into() };
            let finding = Finding {
                message: "is another file".into(),
                span: 0..16,
                label: String::new(),
                help: own.map(str::to_owned),
                text: None,
            };
            let report = Report { source: Arc::new(text), findings: vec![finding] };
            Error::from_report(Kind::BadInput, report).help("lock it\nand commit")
        };
        let said = error_human(&error(None), false);
        assert!(said.ends_with("\nhelp: lock it\n      and commit"), "{said}");
        assert_eq!(said.matches("is another file").count(), 1, "{said}");
        let said = error_human(&error(Some("its own")), false);
        assert!(said.contains("its own") && !said.contains("lock it"), "{said}");
    }

    #[test]
    fn others_follow_with_their_help() {
        let other = Error::new(Kind::BadInput, "is a zip").at("b.tar").help("unpack it");
        let both = Error::all([full(), other]).unwrap_err();
        assert_eq!(
            error_human(&both, false),
            "error: photos.tar: is not there: no such file\n\
             help: ask for it\n      and put it there\n\
             error: b.tar: is a zip\n\
             help: unpack it"
        );
        let value = error_json(&both);
        assert_eq!(value["code"], "missing_input");
        assert_eq!(value["others"][0]["code"], "bad_input");
        assert_eq!(value["others"][0]["place"], "b.tar");
    }

    #[test]
    fn scripts_see_every_field() {
        let value = error_json(&full());
        assert_eq!(value["code"], "missing_input");
        assert_eq!(value["place"], "photos.tar");
        assert_eq!(value["message"], "photos.tar: is not there: no such file");
        assert_eq!(value["findings"], json!([]));
    }
}
