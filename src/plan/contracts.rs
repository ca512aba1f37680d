//! The contract files that a definition names.

use std::path::Path;
use std::sync::Arc;

use crate::base::diagnostic::{Finding, Report};
use crate::base::{Error, Kind, Result, files};
use crate::definition::contract;
use crate::definition::pipeline::Pipeline;
use crate::definition::span::Spanned;

use super::{inputs, paths};

pub(super) const CAP_BYTES: u64 = 1 << 20;

/// Reads every contract file that a definition names: they belong to it, as its text does.
///
/// # Errors
/// [`Kind::Definition`] with everything that is wrong with them, and those that are not there.
pub fn check_contracts(pipeline: &Pipeline, definition: &Path) -> Result<()> {
    let base = paths::folder_of(definition);
    let mut findings: Vec<Finding> = Vec::new();
    for stage in &pipeline.stages {
        let Some(named) = &stage.contract else { continue };
        let file = paths::tidy(&base.join(&named.value));
        if !file.is_file() {
            findings.push(missing(pipeline, named, &file));
            continue;
        }
        let name = file.display().to_string();
        let read = files::read_text_capped(&file, CAP_BYTES)
            .and_then(|text| contract::for_stage(stage, Some((&name, &text))));
        let Err(error) = read else { continue };
        let Some(report) = error.report() else {
            findings.push(pipeline.finding(
                named.span,
                error.to_string(),
                "the contract: cannot be read",
                error.help_text().map(ToString::to_string),
            ));
            continue;
        };
        for finding in &report.findings {
            let text = finding.text.clone().unwrap_or_else(|| Arc::clone(&report.source));
            let finding = Finding { text: Some(text), ..finding.clone() };
            // Stages may share a contract, and what is wrong with it.
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    let source = Arc::clone(&pipeline.source);
    Err(Error::from_report(Kind::Definition, Report { source, findings }))
}

/// The finding for a contract that is not there.
pub(super) fn missing(pipeline: &Pipeline, named: &Spanned<String>, file: &Path) -> Finding {
    let help = "write it, or leave `contract` out to take the built-in one";
    inputs::missing(pipeline, named, file, "the contract", Some(help))
}
