//! What a locked run would do that its lock does not name.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::base::diagnostic::Finding;
use crate::definition::contract::TableKind;
use crate::definition::lock::Locked;
use crate::definition::pipeline::Pipeline;
use crate::definition::span::Span;

use super::compare::{Change, compare};

/// Everything that keeps a run from doing exactly what the lock says: the definition means
/// something else, an input is another or is not in the lock, or the lock does not know what a
/// table holds. `text` is what the definition says by itself ([`super::facts()`]), `now` what was
/// looked at ([`super::observe()`]). Empty: the run may begin.
#[must_use]
pub fn refusals(locked: &Locked, text: &Locked, now: &Locked, pipeline: &Pipeline) -> Vec<Finding> {
    let mut out = Vec::new();
    let top = pipeline.name.span;
    let add =
        |span: Span, message: String, label: String| pipeline.finding(span, message, label, None);
    for difference in compare(locked, text, pipeline).differences {
        let how = match difference.change {
            Change::Added => "is not in the lock",
            Change::Removed => "is in the lock, and not in the definition",
            Change::Changed => "is another than the lock names",
        };
        let message = format!("{} `{}` {how}", difference.what, difference.name);
        let label = if difference.details.is_empty() {
            "defined otherwise".to_owned()
        } else {
            difference.details.join("; ")
        };
        out.push(add(difference.span.unwrap_or(top), message, label));
    }
    for source in &pipeline.sources {
        let name = &source.name.value;
        if let (Some(was), Some(is)) = (locked.sources.get(name), now.sources.get(name)) {
            let what = |file: &str| format!("source `{name}`: {file}");
            let show = |fact: &crate::definition::lock::FileFact| {
                format!("{}, {} bytes", fact.blake3.short(), fact.size_bytes)
            };
            for (message, label) in files(&was.files, &is.files, what, show) {
                out.push(add(source.name.span, message, label));
            }
        }
    }
    for model in &pipeline.models {
        let name = &model.name.value;
        if let (Some(was), Some(is)) = (locked.models.get(name), now.models.get(name)) {
            let what = |file: &str| format!("model `{name}`: {file}");
            for (message, label) in files(&was.files, &is.files, what, |digest| digest.short()) {
                out.push(add(model.name.span, message, label));
            }
        }
    }
    let rejects = TableKind::Rejects.name();
    let stages = pipeline.stages.iter().map(|stage| (stage.table.value.as_str(), stage.table.span));
    for (table, span) in stages.chain([(rejects, top)]) {
        let known = table == rejects || locked.stages.contains_key(table);
        if known && !locked.tables.contains_key(table) {
            let message = format!("the lock does not say what `{table}` holds");
            out.push(add(span, message, "locked before it was made".to_owned()));
        }
    }
    out
}

/// Files that are others, or on one side only: message and label of each.
fn files<F: PartialEq, D: Display>(
    was: &BTreeMap<String, F>,
    is: &BTreeMap<String, F>,
    what: impl Fn(&str) -> String,
    show: impl Fn(&F) -> D,
) -> Vec<(String, String)> {
    let now = is.iter().filter_map(|(file, fact)| match was.get(file) {
        Some(locked) if locked == fact => None,
        Some(locked) => Some((
            format!("{} is another file than the lock names", what(file)),
            format!("blake3 {}; the lock names {}", show(fact), show(locked)),
        )),
        None => {
            Some((format!("{} is not in the lock", what(file)), format!("blake3 {}", show(fact))))
        }
    });
    let gone = was.keys().filter(|file| !is.contains_key(*file)).map(|file| {
        (format!("{} is in the lock, and not read", what(file)), "names other files".to_owned())
    });
    now.chain(gone).collect()
}
