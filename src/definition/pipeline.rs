//! A definition as a whole.

use std::sync::Arc;

use super::model::Model;
use super::source::Source;
use super::span::{Span, Spanned};
use super::stage::Stage;
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
    /// In the order of the text.
    pub sources: Vec<Source>,
    /// In the order of the text.
    pub models: Vec<Model>,
    /// In the order of the text; [`Pipeline::order`] has the order of the data.
    pub stages: Vec<Stage>,
    /// The text, as it was read.
    pub source: Arc<SourceText>,
    /// The `--set` arguments, as given; spans may point into these.
    pub sets: Vec<Arc<SourceText>>,
    /// Indices into `stages`, every stage after those it reads.
    pub(super) order: Vec<usize>,
    pub(super) digest: Digest,
}

impl Pipeline {
    /// The stages, each after those it reads; else in the order of the text.
    pub fn order(&self) -> impl Iterator<Item = &Stage> {
        self.order.iter().filter_map(|index| self.stages.get(*index))
    }

    /// Identifies the definition's values, after `--set` and `${NAME}`: comments, layout and the
    /// order of blocks and keys leave it as it is, any other value does not. A default that is
    /// written out counts as the default.
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
