//! One error: what failed, where, why, and what to do.

use serde_json::{Value, json};

use crate::base::Error;

use super::code::code;
use super::finding::{report_human, report_json};

/// `error: place: what: cause`, then the help; findings are drawn with line and caret, and an
/// error that says no more than its only finding is not said twice.
#[must_use]
pub fn error_human(error: &Error, color: bool) -> String {
    let mut out = String::new();
    if let Some(report) = error.report() {
        out.push_str(&report_human(report, color));
        if let [only] = report.findings.as_slice()
            && error.to_string().ends_with(&only.message)
        {
            out.truncate(out.trim_end().len());
            return out;
        }
    }
    let (red, cyan, off) = if color { ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
    out.push_str(&format!("{red}error{off}: {error}"));
    if let Some(help) = error.help_text() {
        let help = help.replace('\n', "\n      ");
        out.push_str(&format!("\n{cyan}help{off}: {help}"));
    }
    out
}

/// `{code, message, place, help, findings}`; what is not known is null, `findings` may be empty.
#[must_use]
pub fn error_json(error: &Error) -> Value {
    let findings = error.report().map(|report| report_json(report, error.kind()));
    json!({
        "code": code(error.kind()),
        "message": error.to_string(),
        "place": error.place(),
        "help": error.help_text(),
        "findings": findings.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;

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
    fn scripts_see_every_field() {
        let value = error_json(&full());
        assert_eq!(value["code"], "missing_input");
        assert_eq!(value["place"], "photos.tar");
        assert_eq!(value["message"], "photos.tar: is not there: no such file");
        assert_eq!(value["findings"], json!([]));
    }
}
