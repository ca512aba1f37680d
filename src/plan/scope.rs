//! The part of a definition that some tables need.

use std::collections::BTreeSet;

use crate::base::{Error, Kind, Result};
use crate::definition::model::ModelLayout;
use crate::definition::pipeline::Pipeline;
use crate::definition::stage::{Operator, Stage};

/// The stages that a plan is limited to, and which of the files that these name have to be there.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// The tables that were asked for.
    pub(super) tables: Vec<String>,
    stages: BTreeSet<String>,
    sources: bool,
    contracts: bool,
}

impl Scope {
    /// Some tables and all that they are made from; none for no table, which means all.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a table that no stage makes.
    pub(super) fn of_tables(pipeline: &Pipeline, only: &[String]) -> Result<Option<Self>> {
        for table in only {
            if !pipeline.stages.iter().any(|stage| stage.table.value == *table) {
                let names: Vec<_> =
                    pipeline.order().map(|stage| stage.table.value.as_str()).collect();
                return Err(Error::new(Kind::Usage, format!("no stage makes a table `{table}`"))
                    .help(format!("the definition makes: {}", names.join(", "))));
            }
        }
        let scope = Self {
            tables: only.to_vec(),
            stages: closure(pipeline, only),
            sources: true,
            contracts: true,
        };
        Ok((!only.is_empty()).then_some(scope))
    }

    /// The models that a table's vectors are of, without data and contracts.
    pub(super) fn of_models(pipeline: &Pipeline, table: &str) -> Self {
        let tables = vec![table.to_owned()];
        let stages = closure(pipeline, &tables);
        Self { stages, tables, sources: false, contracts: false }
    }

    /// The stages that train captioners, or the one that makes the table `named`, with their models
    /// and contracts, and nothing that they read.
    pub(super) fn of_captioners(pipeline: &Pipeline, named: Option<&str>) -> Self {
        let tables = captioners(pipeline, named);
        let stages = tables.iter().cloned().collect();
        Self { stages, tables, sources: false, contracts: true }
    }

    /// As [`Self::of_captioners`], with the models of the features that they train on and with the
    /// stages that caption with them; without contracts.
    pub(super) fn of_captioning(pipeline: &Pipeline, named: Option<&str>) -> Self {
        let tables = captioners(pipeline, named);
        let mut stages = closure(pipeline, &tables);
        // These are looked at for their settings: what else they read is of no matter.
        stages.extend(pipeline.stages.iter().filter_map(|stage| match &stage.operator {
            Operator::Caption(s) if tables.contains(&s.captioner.value) => {
                Some(stage.table.value.clone())
            }
            _ => None,
        }));
        Self { stages, tables, sources: false, contracts: false }
    }

    pub(super) fn has(&self, stage: &Stage) -> bool {
        self.stages.contains(&stage.table.value)
    }

    /// Whether contracts have to be there.
    pub(super) fn needs_contracts(&self) -> bool {
        self.contracts
    }

    pub(super) fn needs_source(&self, pipeline: &Pipeline, name: &str) -> bool {
        let reads = |stage: &Stage| match &stage.operator {
            Operator::IndexImages(s) => s.source.value == name,
            Operator::ReadCaptions(s) => {
                s.source.value == name || s.splits.as_ref().is_some_and(|s| s.value == name)
            }
            _ => false,
        };
        self.sources && pipeline.stages.iter().any(|stage| self.has(stage) && reads(stage))
    }

    pub(super) fn needs_model(&self, pipeline: &Pipeline, name: &str) -> bool {
        let uses = |stage: &Stage| stage.operator.model().is_some_and(|model| model.value == name);
        pipeline.stages.iter().any(|stage| self.has(stage) && uses(stage))
    }
}

/// The tables of the stages that train captioners: the one `named`, where it is such a one, else all.
fn captioners(pipeline: &Pipeline, named: Option<&str>) -> Vec<String> {
    let trains = pipeline.order().filter(|stage| matches!(stage.operator, Operator::Train(_)));
    let all: Vec<String> = trains.map(|stage| stage.table.value.clone()).collect();
    match all.iter().find(|table| Some(table.as_str()) == named) {
        Some(one) => vec![one.clone()],
        None => all,
    }
}

fn closure(pipeline: &Pipeline, tables: &[String]) -> BTreeSet<String> {
    let mut stages: BTreeSet<String> = tables.iter().cloned().collect();
    let order: Vec<&Stage> = pipeline.order().collect();
    for stage in order.into_iter().rev() {
        if !stages.contains(&stage.table.value) {
            continue;
        }
        stages.extend(stage.operator.reads().into_iter().map(|(_, name, _)| name.value.clone()));
        let model = stage
            .operator
            .model()
            .and_then(|name| pipeline.models.iter().find(|model| model.name.value == name.value));
        if let Some(ModelLayout::Trained(of)) = model.map(|model| &model.layout) {
            stages.insert(of.stage.value.clone());
        }
    }
    stages
}
