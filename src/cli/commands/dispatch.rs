//! From the parsed command line to the command.

use crate::base::Result;
use crate::cli::args::Command;
use crate::cli::exit::Code;
use crate::cli::session::Session;

use super::{
    caption, check, completions, demo, diff, evaluate, explain, export_checkpoint, history,
    import_checkpoint, lock, plan, query, restore, run, schema, train, vacuum, verify, work,
};

/// Does one command.
///
/// # Errors
/// Whatever ends the command early.
pub(crate) fn perform(command: &Command, session: &Session) -> Result<Code> {
    match command {
        Command::Demo(args) => demo::perform(args, session),
        Command::Check(args) => check::perform(args, session),
        Command::Plan(args) => plan::perform(args, session),
        Command::Explain(args) => explain::perform(args, session),
        Command::Run(args) => run::perform(args, session),
        Command::Train(args) => train::perform(args, session),
        Command::Caption(args) => caption::perform(args, session),
        Command::Evaluate(args) => evaluate::perform(args, session),
        Command::ImportCheckpoint(args) => import_checkpoint::perform(args, session),
        Command::ExportCheckpoint(args) => export_checkpoint::perform(args, session),
        Command::Work(args) => work::perform(args, session),
        Command::Lock(args) => lock::perform(args, session),
        Command::Query(args) => query::perform(args, session),
        Command::History(args) => history::perform(args, session),
        Command::Diff(args) => diff::perform(args, session),
        Command::Restore(args) => restore::perform(args, session),
        Command::Vacuum(args) => vacuum::perform(args, session),
        Command::Verify(args) => verify::perform(args, session),
        Command::Completions(args) => completions::perform(args),
        Command::Schema => schema::perform(),
    }
}
