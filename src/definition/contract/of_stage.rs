//! The contract that a stage's table has to keep.

use super::builtin::builtin;
use super::check::CheckKind;
use super::covers;
use super::table::Contract;
use crate::base::error::Result;
use crate::definition::stage::{Operator, Stage};

/// The contract of a stage's table, named as the table: `custom` (file name and text) where the
/// stage names one, else the built-in one of its operator, without the checks that its settings
/// make untrue (the L2 norm of features that are not normalised).
///
/// # Errors
/// [`crate::base::Kind::Definition`] with a report when `custom` is no contract, or lacks what the operator
/// needs (see [`super::custom`]).
pub fn for_stage(stage: &Stage, custom: Option<(&str, &str)>) -> Result<Contract> {
    let kind = stage.operator.makes();
    let mut contract = match custom {
        Some((name, text)) => covers::custom(kind, name, text)?,
        None => {
            let mut contract = builtin(kind)?;
            if !normalised(&stage.operator) {
                contract.checks.retain(|check| !matches!(check.kind, CheckKind::L2Norm { .. }));
            }
            contract
        }
    };
    contract.name.clone_from(&stage.table.value);
    Ok(contract)
}

fn normalised(operator: &Operator) -> bool {
    match operator {
        Operator::EmbedImages(settings) => settings.normalize,
        Operator::EmbedCaptions(settings) => settings.normalize,
        // An example's vector is whatever its features are.
        Operator::Align(_) => false,
        Operator::IndexImages(_)
        | Operator::ReadCaptions(_)
        | Operator::TrainClip(_)
        | Operator::Train(_)
        | Operator::Caption(_)
        | Operator::Evaluate(_) => true,
    }
}
