//! How a definition differs from its lock, and which tables that makes anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::base::Digest;
use crate::definition::lock::{Locked, LockedStage};
use crate::definition::model::ModelLayout;
use crate::definition::pipeline::Pipeline;
use crate::definition::span::Span;
use crate::definition::stage::Stage;
use crate::plan::fingerprint::Fingerprint;

/// Operators whose rows depend on what the rows of their tables hold, and not on what made those:
/// a table that is made anew with the same content leaves them as they are.
const BY_CONTENT: [&str; 3] = ["embed_images", "read_captions", "embed_captions"];

/// What a definition and its lock disagree about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// What differs: sources, models, stages, each by name.
    pub differences: Vec<Difference>,
    /// The tables that a run would make anew because of that, in the order of the data.
    pub rebuilds: Vec<Rebuild>,
}

impl Comparison {
    /// Whether definition and lock agree.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.differences.is_empty()
    }
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub what: What,
    /// Its name.
    pub name: String,
    /// How it differs.
    pub change: Change,
    /// Each value that is known to differ: `settings.normalize was true, is false`.
    pub details: Vec<String>,
    /// Where it stands in the definition; none for what is no longer there.
    pub span: Option<Span>,
}

/// What a section of a definition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// `[sources.…]`
    Source,
    /// `[models.…]`
    Model,
    /// `[stages.…]`
    Stage,
}

/// How a section differs from the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The lock does not know it.
    Added,
    /// Only the lock knows it.
    Removed,
    /// It is defined otherwise.
    Changed,
}

/// A table that a run would make anew, wholly or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuild {
    /// The table.
    pub table: String,
    /// Which of its rows.
    pub rows: Rows,
    /// Why.
    pub because: Vec<String>,
    /// Where its stage stands.
    pub span: Span,
}

/// Which rows of a table are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rows {
    /// Those whose input turns out to differ; without the data nobody can say how many.
    Changed,
    /// Every one.
    All,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Model => "model",
            Self::Stage => "stage",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        })
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all rows",
            Self::Changed => "rows whose input changed",
        })
    }
}

/// Compares what the lock says of a definition with what the definition says `now`.
///
/// Parts of fingerprints are compared where `now` knows them, so that both facts of the text alone
/// and facts of files will do.
#[must_use]
pub fn compare(locked: &Locked, now: &Locked, pipeline: &Pipeline) -> Comparison {
    let mut differences = Vec::new();
    let sources = |side: &Locked| digests(side.sources.iter().map(|(n, s)| (n, s.definition)));
    let models = |side: &Locked| digests(side.models.iter().map(|(n, m)| (n, m.definition)));
    let span_of_source = |name: &str| pipeline.find_source(name).map(|s| s.name.span);
    let span_of_model = |name: &str| pipeline.find_model(name).map(|m| m.name.span);
    blocks(What::Source, &sources(locked), &sources(now), span_of_source, &mut differences);
    blocks(What::Model, &models(locked), &models(now), span_of_model, &mut differences);
    let mut comparison = Comparison { differences, rebuilds: Vec::new() };
    for stage in pipeline.order() {
        let table = &stage.table.value;
        if let Some(is) = now.stages.get(table) {
            let trainer = trainer(stage, pipeline);
            stage_of((stage, trainer), locked.stages.get(table), is, &mut comparison);
        }
    }
    let gone = locked.stages.keys().filter(|table| !now.stages.contains_key(*table));
    comparison.differences.extend(gone.map(|table| Difference {
        what: What::Stage,
        name: table.clone(),
        change: Change::Removed,
        details: vec!["its table stays as it is".to_owned()],
        span: None,
    }));
    comparison
}

fn digests<'a>(blocks: impl Iterator<Item = (&'a String, Digest)>) -> BTreeMap<String, Digest> {
    blocks.map(|(name, digest)| (name.clone(), digest)).collect()
}

fn blocks(
    what: What,
    was: &BTreeMap<String, Digest>,
    is: &BTreeMap<String, Digest>,
    span: impl Fn(&str) -> Option<Span>,
    out: &mut Vec<Difference>,
) {
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for name in names {
        let change = match (was.get(name), is.get(name)) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(was), Some(is)) if was != is => Change::Changed,
            _ => continue,
        };
        let name = name.clone();
        let span = span(&name);
        out.push(Difference { what, name, change, details: Vec::new(), span });
    }
}

/// Finds out how one stage differs, and whether its table is made anew; those it reads were
/// looked at before.
fn stage_of(
    (stage, trainer): (&Stage, Option<&str>),
    was: Option<&LockedStage>,
    is: &LockedStage,
    out: &mut Comparison,
) {
    let table = &stage.table.value;
    let span = stage.table.span;
    let mut add = |change, details: Vec<String>| {
        let name = table.clone();
        out.differences.push(Difference {
            what: What::Stage,
            name,
            change,
            details,
            span: Some(span),
        });
    };
    let mut reasons: Vec<(Rows, String)> = Vec::new();
    match was {
        None => {
            add(Change::Added, Vec::new());
            reasons.push((Rows::All, "the lock does not know it".to_owned()));
        }
        Some(was) => {
            let parts = differing_parts(was, is);
            let mut details = parts.clone();
            if was.definition != is.definition && parts.is_empty() {
                details.push("its settings differ".to_owned());
                reasons.push((Rows::Changed, "its settings differ".to_owned()));
            }
            // What the built-in contract checks follows from some settings.
            if was.contract != is.contract && parts.is_empty() {
                details.push("its contract differs: it is checked again".to_owned());
            }
            if !details.is_empty() {
                add(Change::Changed, details);
            }
            // A model that is defined otherwise is named once: by what differs, or by its name.
            if !parts.iter().any(|part| part.starts_with("dtype") || part.starts_with("layout")) {
                reasons.extend(model(stage, &out.differences).map(|why| (Rows::All, why)));
            }
            reasons.extend(parts.into_iter().map(|part| (Rows::All, part)));
            reasons.extend(sources(stage, &out.differences).map(|why| (Rows::Changed, why)));
        }
    }
    // Other weights make every row anew; whether a training ends with others nobody knows before.
    if let Some(trainer) = trainer
        && let Some(training) = out.rebuilds.iter().find(|rebuild| rebuild.table == trainer)
    {
        reasons.push((training.rows, format!("its model is trained by {trainer}")));
    }
    for (_, read, _) in stage.operator.reads() {
        let Some(upstream) = out.rebuilds.iter().find(|rebuild| rebuild.table == read.value) else {
            continue;
        };
        let by_content = BY_CONTENT.contains(&stage.operator.name());
        let rows = if by_content { Rows::Changed } else { upstream.rows };
        reasons.push((rows, format!("it reads {}", read.value)));
    }
    if let Some(rows) = reasons.iter().map(|(rows, _)| *rows).max() {
        let because = reasons.into_iter().map(|(_, why)| why).collect();
        out.rebuilds.push(Rebuild { table: table.clone(), rows, because, span });
    }
}

/// Parts of the fingerprint that differ. What only the lock knows counts where the text decides
/// it: weights and the like are not to be had from a text.
fn differing_parts(was: &LockedStage, is: &LockedStage) -> Vec<String> {
    let gone = was
        .parts
        .iter()
        .filter(|(name, _)| name.starts_with("settings.") && !is.parts.contains_key(name.as_str()));
    let gone = gone.map(|(name, was)| {
        let (name, was) = Fingerprint::as_defined(name, was);
        format!("{name} was {was}, is not there")
    });
    let other = is.parts.iter().filter_map(|(name, is)| match was.parts.get(name) {
        Some(was) if was == is => None,
        Some(was) => {
            let (_, was) = Fingerprint::as_defined(name, was);
            let (name, is) = Fingerprint::as_defined(name, is);
            Some(format!("{name} was {}, is {}", short(was), short(is)))
        }
        // The lock was written where this could not be known.
        None if !name.starts_with("settings.") => None,
        None => {
            let (name, is) = Fingerprint::as_defined(name, is);
            Some(format!("{name} was not there, is {is}"))
        }
    });
    other.chain(gone).collect()
}

/// Digests are for machines: people are shown their beginning.
fn short(value: &str) -> String {
    value.parse::<Digest>().map_or_else(|_| value.to_owned(), |digest| digest.short())
}

/// The stage that trains the model of this one.
fn trainer<'p>(stage: &Stage, pipeline: &'p Pipeline) -> Option<&'p str> {
    let model = pipeline.find_model(&stage.operator.model()?.value)?;
    match &model.layout {
        ModelLayout::Trained(of) => Some(&of.stage.value),
        _ => None,
    }
}

fn model<'d>(stage: &Stage, differences: &'d [Difference]) -> impl Iterator<Item = String> + 'd {
    let model = stage.operator.model().map(|model| model.value.clone());
    differences
        .iter()
        .filter(move |d| d.what == What::Model && model.as_ref() == Some(&d.name))
        .map(|d| format!("model {} is defined otherwise", d.name))
}

/// Sources that a stage names and that are defined otherwise.
fn sources<'d>(stage: &Stage, differences: &'d [Difference]) -> impl Iterator<Item = String> + 'd {
    let mut named = BTreeSet::new();
    if let Ok(Value::Object(operator)) = serde_json::to_value(&stage.operator) {
        for settings in operator.values() {
            let names = ["source", "splits"].into_iter().filter_map(|key| settings.get(key));
            named.extend(names.filter_map(Value::as_str).map(str::to_owned));
        }
    }
    differences
        .iter()
        .filter(move |d| d.what == What::Source && named.contains(&d.name))
        .map(|d| format!("source {} is defined otherwise", d.name))
}
