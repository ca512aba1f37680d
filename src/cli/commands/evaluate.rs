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
        for stage in &plain.stages {
            let Operator::Evaluate(scored) = &stage.operator else { continue };
            let table = &scored.generated.value;
            sets.push(format!("stages.{table}.split={}", split.name()));
            // One that captions every image does not say which table knows the splits.
            let all = plain.find_stage(table).is_some_and(
                |stage| matches!(&stage.operator, Operator::Caption(of) if of.captions.is_none()),
            );
            if all {
                sets.push(format!("stages.{table}.captions={}", scored.captions.value));
            }
        }
    }
    let pipeline = definition::read(&args.file, &sets, session)?;
    let report = train::make(&pipeline, &args.file, "evaluate", args.wait, session)?;
    let split = args.split.map(|split| split.name().to_owned());
    let again = CommandLine::new("evaluate", &args.file)
        .each("--split", split.as_slice())
        .each("--set", &args.set);
    train::say("evaluate", &report, &again, args.format, session)
}
