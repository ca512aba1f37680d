//! A definition beside its lock: for `check --locked`, and before `run --locked` begins.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::base::{Cancel, Digest, Kind, Result};
use crate::cli::render::Annotation;
use crate::definition::Pipeline;
use crate::definition::span::Span;
use crate::plan::digests::FileDigests;
use crate::plan::locked::{self, Change, Comparison, Difference, Rebuild, Rows};
use crate::plan::store_folder;

use super::lock::of_folder;
use super::lock_file;

/// What a lock and its definition agree and disagree about.
pub(super) struct Checked {
    pub(super) comparison: Comparison,
    /// Whether the lock names files, fingerprints and tables, so that `run --locked` may begin.
    pub(super) complete: bool,
}

/// Compares a definition with its lock.
///
/// # Errors
/// When there is no lock, or a contract of the definition is wrong.
pub(super) fn check(pipeline: &Pipeline, file: &Path) -> Result<Checked> {
    let locked = lock_file::of(file)?;
    let now = locked::facts(pipeline, file)?;
    let comparison = locked::compare(&locked, &now, pipeline);
    let complete = locked.sources.values().all(|source| !source.files.is_empty())
        && locked.models.values().all(|model| !model.files.is_empty())
        && now.stages.keys().all(|table| locked.tables.contains_key(table));
    Ok(Checked { comparison, complete })
}

/// What every table must hold after a locked run. Digests that are taken for it are the plan's, so
/// that the run keeps them.
///
/// # Errors
/// [`Kind::BadInput`] with everything that the lock does not name: the run must not begin.
pub(super) fn demands(
    pipeline: &Pipeline,
    file: &Path,
    digests: &mut FileDigests,
    cancel: &Cancel,
) -> Result<BTreeMap<String, Digest>> {
    let locked = lock_file::of(file)?;
    let text = locked::facts(pipeline, file)?;
    let of_folder = of_folder(&store_folder(pipeline, file));
    let now = locked::observe(pipeline, file, digests, &of_folder, cancel)?.locked;
    let findings = locked::refusals(&locked, &text, &now, pipeline);
    if !findings.is_empty() {
        let help = format!(
            "nothing was done; if this is meant, run without --locked, then `clipmill lock {}`",
            file.display()
        );
        return Err(pipeline.error(Kind::BadInput, findings).help(help));
    }
    Ok(locked.tables.into_iter().map(|(table, fact)| (table, fact.content)).collect())
}

/// For people.
pub(super) fn human(checked: &Checked, file: &Path) -> String {
    let lock = lock_file::path(file);
    let (file, lock) = (file.display(), lock.display());
    if checked.comparison.agrees() {
        let data = if checked.complete {
            String::new()
        } else {
            format!(
                " (which does not name all data and tables: `clipmill lock {file}` after a run does)"
            )
        };
        return format!("{file}: agrees with {lock}{data}");
    }
    let mut out = format!("{file}: differs from {lock}");
    for difference in &checked.comparison.differences {
        out.push_str(&format!("\n  {}", words(difference)));
    }
    let rebuilds = &checked.comparison.rebuilds;
    if rebuilds.is_empty() {
        out.push_str("\nA run would make no table anew.");
    } else {
        out.push_str("\nA run would make anew:");
    }
    for rebuild in rebuilds {
        out.push_str(&format!("\n  {}", reason(rebuild)));
    }
    out.push_str(&format!(
        "\nhelp: if this is meant, run it, then `clipmill lock {file}`, and commit both; if not, \
         take the edit back"
    ));
    out
}

fn words(difference: &Difference) -> String {
    let Difference { what, name, change, details, .. } = difference;
    let whose = match change {
        Change::Added => Some("the lock does not know it".to_owned()),
        Change::Removed => Some("only the lock knows it".to_owned()),
        Change::Changed => None,
    };
    let details: Vec<String> = whose.into_iter().chain(details.iter().cloned()).collect();
    if details.is_empty() {
        format!("{what} {name} {change}")
    } else {
        format!("{what} {name} {change}: {}", details.join("; "))
    }
}

fn reason(rebuild: &Rebuild) -> String {
    format!("{}, {}: {}", rebuild.table, rebuild.rows, rebuild.because.join("; "))
}

/// For scripts: `{file, agrees, complete, differences, rebuilds}`.
pub(super) fn json(checked: &Checked, file: &Path) -> Value {
    let differences = checked.comparison.differences.iter().map(|d| {
        json!({"what": d.what.to_string(), "name": d.name, "change": d.change.to_string(),
               "details": d.details})
    });
    let rebuilds = checked.comparison.rebuilds.iter().map(|r| {
        let rows = if r.rows == Rows::All { "all" } else { "changed" };
        json!({"table": r.table, "rows": rows, "because": r.because})
    });
    json!({
        "file": lock_file::path(file),
        "agrees": checked.comparison.agrees(),
        "complete": checked.complete,
        "differences": differences.collect::<Vec<_>>(),
        "rebuilds": rebuilds.collect::<Vec<_>>(),
    })
}

/// For GitHub: an annotation for each difference, and for each table that would be made anew.
pub(super) fn github(checked: &Checked, pipeline: &Pipeline) -> Vec<Annotation> {
    let annotation = |span: Option<Span>, message: String| Annotation {
        file: pipeline.source.name.clone(),
        // What came by `--set` has no line.
        place: span
            .filter(|span| span.text == 0)
            .map(|span| pipeline.source.line_column(span.start)),
        title: format!("differs from {}", lock_file::NAME),
        message,
    };
    let differences = checked.comparison.differences.iter().map(|d| annotation(d.span, words(d)));
    let rebuilds = checked.comparison.rebuilds.iter().map(|rebuild| {
        annotation(Some(rebuild.span), format!("would be made anew: {}", reason(rebuild)))
    });
    differences.chain(rebuilds).collect()
}
