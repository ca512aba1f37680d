//! A definition as a whole.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::findings::Findings;
use super::model::Model;
use super::reader::TableReader;
use super::source::Source;
use super::span::{Span, Spanned};
use super::stage::Stage;
use super::tree::Table;
use super::variables::Variable;
use crate::base::diagnostic::{Finding, Report, SourceText};
use crate::base::digest::Digest;
use crate::base::error::{Error, Kind};

/// A definition: checked as far as its text allows, with nothing looked up in the world.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its name.
    pub name: Spanned<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Folder of the tables, as written: relative to the definition's folder.
    pub store: Spanned<String>,
    /// How computed rows are cut into durable parts; no value of any row depends on it, and the
    /// definition's digest does not cover it.
    pub parts: PartSize,
    /// In the order of the text.
    pub sources: Vec<Source>,
    /// In the order of the text.
    pub models: Vec<Model>,
    /// In the order of the text; [`Pipeline::order`] has the order of the data.
    pub stages: Vec<Stage>,
    /// The text, as it was read.
    pub source: Arc<SourceText>,
    /// Strings that held environment variables.
    pub variables: Vec<Variable>,
    /// The `--set` arguments, as given; spans may point into these.
    pub sets: Vec<Arc<SourceText>>,
    /// Indices into `stages`, every stage after those it reads.
    pub(super) order: Vec<usize>,
    pub(super) digest: Digest,
}

/// When rows that were computed become a durable part: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSize {
    /// So many rows.
    pub rows: u64,
    /// So many seconds after its first row.
    pub seconds: u64,
}

impl Default for PartSize {
    fn default() -> Self {
        Self { rows: part_rows(), seconds: part_seconds() }
    }
}

fn part_rows() -> u64 {
    4096
}

fn part_seconds() -> u64 {
    30
}

/// Most rows of a part: a change of one row rewrites its part.
const MAX_PART_ROWS: u64 = 1 << 20;
const MAX_PART_SECONDS: u64 = 3600;

/// `[pipeline]`
#[derive(Debug, Clone, JsonSchema)]
pub(super) struct PipelineBlock {
    /// The pipeline's name.
    pub(super) name: Spanned<String>,
    /// What it is for.
    pub(super) description: Option<String>,
    /// Folder of the tables, relative to the definition; made by the first run.
    pub(super) store: Spanned<String>,
    /// Rows of a durable part; a run that dies loses at most the rows of its open parts.
    #[schemars(default = "part_rows", range(min = 1, max = 1048576))]
    pub(super) part_rows: u64,
    /// Seconds after which a part is made durable, however few rows it has.
    #[schemars(default = "part_seconds", range(min = 0, max = 3600))]
    pub(super) part_seconds: u64,
}

/// What could be read of `[pipeline]`.
pub(super) struct Header {
    pub(super) complete: Option<PipelineBlock>,
    /// Where it stands.
    pub(super) span: Span,
}

impl Header {
    pub(super) fn read(root: &Table, findings: &mut Findings) -> Self {
        let Some(entry) = root.get("pipeline") else {
            findings
                .add_absence(Span::default(), "no `[pipeline]`")
                .label("expected `[pipeline]` with `name` and `store`");
            return Self { complete: None, span: Span::default() };
        };
        let span = entry.key_span;
        let table = TableReader::open(&entry.node, "pipeline".into(), span, findings);
        Self { complete: table.and_then(PipelineBlock::read), span }
    }
}

impl PipelineBlock {
    pub(super) fn read(mut table: TableReader<'_, '_>) -> Option<Self> {
        let name = table.required("name");
        let description = table.optional("description");
        let store = table.required("store");
        let part_rows = table.number_or("part_rows", part_rows(), 1, MAX_PART_ROWS);
        let part_seconds = table.number_or("part_seconds", part_seconds(), 0, MAX_PART_SECONDS);
        table.finish();
        Some(Self { name: name?, description, store: store?, part_rows, part_seconds })
    }
}

/// What the digest of a definition is made of; blocks in the order of their names.
#[derive(Serialize)]
struct Canonical<'a> {
    version: u32,
    name: &'a str,
    description: Option<&'a str>,
    store: &'a str,
    sources: Vec<&'a Source>,
    models: Vec<&'a Model>,
    stages: Vec<&'a Stage>,
}

impl Pipeline {
    pub(super) fn new(
        block: PipelineBlock,
        sources: Vec<Source>,
        models: Vec<Model>,
        stages: Vec<Stage>,
        order: Vec<usize>,
        source: Arc<SourceText>,
        sets: Vec<Arc<SourceText>>,
    ) -> Self {
        let PipelineBlock { name, description, store, part_rows, part_seconds } = block;
        let parts = PartSize { rows: part_rows, seconds: part_seconds };
        let digest = Digest::of(&[]);
        let mut pipeline = Self {
            name,
            description,
            store,
            parts,
            sources,
            models,
            stages,
            source,
            variables: Vec::new(),
            sets,
            order,
            digest,
        };
        pipeline.digest = pipeline.canonical_digest();
        pipeline
    }

    fn canonical_digest(&self) -> Digest {
        let mut canonical = Canonical {
            version: 1,
            name: &self.name,
            description: self.description.as_deref(),
            store: &self.store,
            sources: self.sources.iter().collect(),
            models: self.models.iter().collect(),
            stages: self.stages.iter().collect(),
        };
        canonical.sources.sort_by(|a, b| a.name.value.cmp(&b.name.value));
        canonical.models.sort_by(|a, b| a.name.value.cmp(&b.name.value));
        canonical.stages.sort_by(|a, b| a.table.value.cmp(&b.table.value));
        // Plain values always serialise; were it not so, the text would still tell them apart.
        match serde_json::to_vec(&canonical) {
            Ok(bytes) => Digest::of(&bytes),
            Err(_) => Digest::of(self.source.text.as_bytes()),
        }
    }

    /// The stages, each after those it reads; else in the order of the text.
    pub fn order(&self) -> impl Iterator<Item = &Stage> {
        self.order.iter().filter_map(|index| self.stages.get(*index))
    }

    /// Identifies the definition's values, after `--set` and `${NAME}`: comments, layout and the
    /// order of blocks and keys leave it as it is, and so does the size of parts; any other value does
    /// not. A default that is written out counts as the default.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The source named `name`.
    #[must_use]
    pub fn find_source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| *source.name == name)
    }

    /// The model named `name`.
    #[must_use]
    pub fn find_model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| *model.name == name)
    }

    /// The stage that makes the table `table`.
    #[must_use]
    pub fn find_stage(&self, table: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| *stage.table == table)
    }

    /// A finding at a place of this definition, for what only the world can tell.
    #[must_use]
    pub fn finding(
        &self,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) -> Finding {
        Finding {
            message: message.into(),
            span: span.range(),
            label: label.into(),
            help,
            text: span.text.checked_sub(1).and_then(|set| self.sets.get(set)).cloned(),
        }
    }

    /// An error of `kind` with all `findings`, in the order of the text.
    #[must_use]
    pub fn error(&self, kind: Kind, mut findings: Vec<Finding>) -> Error {
        findings.sort_by_key(|finding| (finding.text.is_some(), finding.span.start));
        Error::from_report(kind, Report { source: Arc::clone(&self.source), findings })
    }
}
