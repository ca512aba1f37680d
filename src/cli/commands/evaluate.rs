//! `clipmill evaluate`: captions of a part of the data, scored.

use crate::base::Result;
use crate::cli::captioner_args::Evaluate;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::cli::shell::CommandLine;
use crate::definition::Operator;

use super::{definition, train};

/// Makes the tables of scores, and what they need, and prints the scores.
///
/// # Errors
/// As `run`, and when the definition scores nothing.
pub(crate) fn perform(args: &Evaluate, session: &Session) -> Result<Code> {
    let mut sets = args.set.clone();
    if let Some(split) = args.split {
        let plain = definition::read(&args.file, &sets, session)?;
        let scored: Vec<&str> = plain
            .stages
            .iter()
            .filter_map(|stage| match &stage.operator {
                Operator::Evaluate(settings) => Some(settings.generated.value.as_str()),
                _ => None,
            })
            .collect();
        sets.extend(scored.iter().map(|table| format!("stages.{table}.split={}", split.name())));
    }
    let pipeline = definition::read(&args.file, &sets, session)?;
    let report = train::make(&pipeline, &args.file, "evaluate", args.wait, session)?;
    let split = args.split.map(|split| split.name().to_owned());
    let again = CommandLine::new("evaluate", &args.file)
        .each("--split", split.as_slice())
        .each("--set", &args.set);
    train::say("evaluate", &report, &again, args.format, session)
}
