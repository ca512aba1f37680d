//! What stages read: every name is there, of the right kind, and no stage waits for itself.

use super::contract::{self, ColumnType, TableKind};
use super::findings::{Findings, listed};
use super::model::{Model, ModelLayout, Role};
use super::source::SourceKind;
use super::span::Spanned;
use super::stage::{Operator, Stage};

/// Every block of a definition, those that could not be read too: these are reported already.
pub(super) struct Known<'a> {
    pub(super) sources: &'a [Header],
    pub(super) models: &'a [Header],
    pub(super) tables: &'a [Header],
}

/// What the header of a block says.
pub(super) struct Header {
    pub(super) name: String,
    /// A kind or operator; none where it has not one that is known.
    pub(super) kind: Option<String>,
}

impl Header {
    fn find<'h>(headers: &'h [Self], name: &str) -> Option<&'h Self> {
        headers.iter().find(|header| header.name == name)
    }

    fn names(headers: &[Self], is_meant: impl Fn(&Self) -> bool) -> Vec<&str> {
        let meant = headers.iter().filter(|header| is_meant(header));
        meant.map(|header| header.name.as_str()).collect()
    }
}

/// Checks what each stage reads, names the columns that are left out, and returns the stages'
/// indices, each after those it reads; else in the order of the text.
pub(super) fn check(
    stages: &mut [Stage],
    models: &[Model],
    known: &Known<'_>,
    findings: &mut Findings,
) -> Vec<usize> {
    for stage in &*stages {
        check_sources(stage, known, findings);
        check_model(stage, models, known, findings);
        check_start(stage, models, findings);
        check_tables(stage, stages, known, findings);
    }
    for model in models {
        check_trained(model, stages, known, findings);
    }
    let cleaned: Vec<(String, bool)> = stages.iter().filter_map(cleans).collect();
    for stage in &mut *stages {
        check_column(stage, &cleaned, findings);
    }
    order(stages, models, findings)
}

/// The stage that trains a model is there, and trains one.
fn check_trained(model: &Model, stages: &[Stage], known: &Known<'_>, findings: &mut Findings) {
    let ModelLayout::Trained(trained) = &model.layout else { return };
    let names: Vec<&str> = stages
        .iter()
        .filter(|stage| matches!(stage.operator, Operator::TrainClip(_)))
        .map(|stage| stage.table.value.as_str())
        .collect();
    let name = &trained.stage;
    match stages.iter().find(|stage| stage.table.value == name.value) {
        Some(stage) if matches!(stage.operator, Operator::TrainClip(_)) => {}
        Some(stage) => {
            let message =
                format!("the table `{}` is made by `{}`", name.value, stage.operator.name());
            let draft = findings.add(name.span, message).label("expected a stage `train_clip`");
            if !names.is_empty() {
                draft.help(format!("stages that train a CLIP: {}", listed(&names)));
            }
        }
        None if Header::find(known.tables, name).is_some() => {}
        None => {
            findings.add_unknown(name.span, "stage `train_clip`", name, names).unsure();
        }
    }
}

/// A training starts from files of transformers' names, which are also what it writes.
fn check_start(stage: &Stage, models: &[Model], findings: &mut Findings) {
    let Operator::TrainClip(settings) = &stage.operator else { return };
    let start = models.iter().find(|model| model.name.value == settings.model.value);
    if let Some(start) = start
        && start.layout.role() == Role::Embeds
        && !matches!(start.layout, ModelLayout::HuggingFace(_))
    {
        let name = start.layout.name();
        findings
            .add(settings.model.span, format!("`{}` is a `{name}`", settings.model.value))
            .label("expected a CLIP of the kind `huggingface`")
            .help("transformers writes one of any published CLIP: `save_pretrained`");
    }
}

/// The model of a stage is there, and of the kind that the operator computes with.
fn check_model(stage: &Stage, models: &[Model], known: &Known<'_>, findings: &mut Findings) {
    let Some(name) = stage.operator.model() else { return };
    let needs = stage.operator.needs();
    let what = match needs {
        Role::Embeds => "CLIP",
        Role::Writes => "GPT-2",
    };
    let fitting = || models.iter().filter(|model| model.layout.role() == needs);
    let names: Vec<&str> = fitting().map(|model| model.name.value.as_str()).collect();
    let Some(model) = models.iter().find(|model| model.name.value == name.value) else {
        if Header::find(known.models, name).is_none() {
            let all = known.models.iter().map(|header| header.name.as_str());
            findings.add_unknown(name.span, "model", name, all).unsure();
        }
        return;
    };
    if model.layout.role() != needs {
        let message = format!("the model `{}` is no {what}", name.value);
        let draft = findings
            .add(name.span, message)
            .label(format!("`{}` computes with a {what}", stage.operator.name()));
        if !names.is_empty() {
            draft.help(format!("models that are a {what}: {}", listed(&names)));
        }
    }
}

fn check_sources(stage: &Stage, known: &Known<'_>, findings: &mut Findings) {
    let reads: Vec<(&Spanned<String>, &str)> = match &stage.operator {
        Operator::IndexImages(settings) => vec![(&settings.source, "images")],
        Operator::ReadCaptions(settings) => std::iter::once((&settings.source, "captions"))
            .chain(settings.splits.iter().map(|splits| (splits, "splits")))
            .collect(),
        _ => vec![],
    };
    for (name, holds) in reads {
        let of = |source: &Header| source.kind.as_deref().and_then(SourceKind::holds);
        let Some(source) = Header::find(known.sources, name) else {
            let names = Header::names(known.sources, |s| of(s).is_none_or(|of| of == holds));
            findings.add_unknown(name.span, &format!("source of {holds}"), name, names).unsure();
            continue;
        };
        if let (Some(kind), Some(other)) = (&source.kind, of(source))
            && other != holds
        {
            let names = Header::names(known.sources, |source| of(source) == Some(holds));
            let message = format!("`{}` is a source of {other} (`{kind}`)", name.value);
            let draft =
                findings.add(name.span, message).label(format!("expected a source of {holds}"));
            if !names.is_empty() {
                draft.help(format!("sources of {holds}: {}", listed(&names)));
            }
        }
    }
}

fn check_tables(stage: &Stage, stages: &[Stage], known: &Known<'_>, findings: &mut Findings) {
    for (key, name, kind) in stage.operator.reads() {
        let made_by = kind.operator().unwrap_or_default();
        let of = |table: &Header| table.kind.as_deref().map(|operator| operator == made_by);
        let Some(other) = stages.iter().find(|other| other.table.value == name.value) else {
            if Header::find(known.tables, name).is_none() {
                let names = Header::names(known.tables, |table| of(table).unwrap_or(true));
                findings
                    .add_unknown(name.span, &format!("table of `{made_by}`"), name, names)
                    .unsure();
            }
            continue;
        };
        if other.operator.makes() != kind {
            let names = Header::names(known.tables, |table| of(table) == Some(true));
            let message =
                format!("the table `{}` is made by `{}`", name.value, other.operator.name());
            let draft = findings
                .add(name.span, message)
                .label(format!("`{key}` expects a table made by `{made_by}`"));
            if !names.is_empty() {
                draft.help(format!("tables made by `{made_by}`: {}", listed(&names)));
            }
        }
    }
}

/// The table of captions that a stage makes, and whether it cleans them.
fn cleans(stage: &Stage) -> Option<(String, bool)> {
    match &stage.operator {
        Operator::ReadCaptions(settings) => {
            Some((stage.table.value.clone(), !settings.clean.is_empty()))
        }
        _ => None,
    }
}

/// The column of the captions that a stage takes: there, of text, and filled.
fn check_column(stage: &mut Stage, cleaned: &[(String, bool)], findings: &mut Findings) {
    let (captions, column) = match &mut stage.operator {
        Operator::EmbedCaptions(settings) => (&settings.captions, &mut settings.column),
        Operator::Align(settings) => (&settings.captions, &mut settings.column),
        Operator::TrainClip(settings) => (&settings.captions, &mut settings.column),
        _ => return,
    };
    // Captions that are not there are reported already.
    let Some((table, clean)) = cleaned.iter().find(|(table, _)| *table == captions.value) else {
        return;
    };
    if column.value.is_empty() {
        let name = if *clean { "clean_text" } else { "text" };
        *column = Spanned::new(name.to_owned(), captions.span);
        return;
    }
    let Ok(contract) = contract::builtin(TableKind::Captions) else { return };
    match contract.column(column) {
        None => {
            let texts = contract.columns.iter().filter(|c| c.kind == ColumnType::String);
            let what = format!("column of `{table}`:");
            findings.add_unknown(column.span, &what, column, texts.map(|c| c.name.as_str()));
        }
        Some(found) if found.kind != ColumnType::String => {
            findings
                .add(column.span, format!("the column `{}` is {}", found.name, found.kind))
                .label("expected a column of type string");
        }
        Some(found) if found.name == "clean_text" && !clean => {
            findings
                .add(column.span, format!("`{table}` has no `clean_text`: it cleans nothing"))
                .label("is null in every row")
                .help(format!("add `clean = [\"whitespace\"]` to the stage `{table}`"));
        }
        Some(_) => {}
    }
}

/// Every stage after those it reads; reports each cycle once.
fn order(stages: &[Stage], models: &[Model], findings: &mut Findings) -> Vec<usize> {
    let mut walk = Walk { stages, models, state: vec![State::New; stages.len()], done: Vec::new() };
    for index in 0..stages.len() {
        if walk.state.get(index) != Some(&State::New) {
            continue;
        }
        walk.visit(index, &mut Vec::new(), findings);
    }
    walk.done
}

/// The stage that trains the model of another.
fn trainer<'a>(stage: &Stage, models: &'a [Model]) -> Option<&'a Spanned<String>> {
    let name = stage.operator.model()?;
    let model = models.iter().find(|model| model.name.value == name.value)?;
    match &model.layout {
        ModelLayout::Trained(trained) => Some(&trained.stage),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

struct Walk<'a> {
    stages: &'a [Stage],
    models: &'a [Model],
    state: Vec<State>,
    done: Vec<usize>,
}

impl Walk<'_> {
    /// Depth first; a definition's stages are few, and its text is capped, so recursion is too.
    fn visit(&mut self, index: usize, path: &mut Vec<usize>, findings: &mut Findings) {
        let Some(stage) = self.stages.get(index) else { return };
        if let Some(state) = self.state.get_mut(index) {
            *state = State::Open;
        }
        path.push(index);
        let reads = stage.operator.reads().into_iter().map(|(_, name, _)| name);
        let all: Vec<&Spanned<String>> = reads.chain(trainer(stage, self.models)).collect();
        for name in all {
            let next = self.stages.iter().position(|other| other.table.value == name.value);
            let Some(next) = next else { continue };
            match self.state.get(next).copied() {
                Some(State::New) => self.visit(next, path, findings),
                Some(State::Open) => self.report(next, path, name, findings),
                _ => {}
            }
        }
        path.pop();
        if let Some(state) = self.state.get_mut(index) {
            *state = State::Done;
        }
        self.done.push(index);
    }

    fn report(
        &self,
        first: usize,
        path: &[usize],
        name: &Spanned<String>,
        findings: &mut Findings,
    ) {
        let cycle = path.iter().skip_while(|index| **index != first).chain([&first]);
        let names: Vec<&str> = cycle
            .filter_map(|index| self.stages.get(*index))
            .map(|stage| stage.table.value.as_str())
            .collect();
        findings
            .add(name.span, format!("a cycle: {}", names.join(" reads ")))
            .label("leads back to this stage")
            .help("a stage reads tables of stages before it");
    }
}
