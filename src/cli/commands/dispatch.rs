//! From the parsed command line to the command.

use crate::base::Result;
use crate::cli::args::Command;
use crate::cli::exit::Code;
use crate::cli::session::Session;

use super::{check, completions, demo, lock, query, run, schema};

/// Does one command.
///
/// # Errors
/// Whatever ends the command early.
pub(crate) fn perform(command: &Command, session: &Session) -> Result<Code> {
    match command {
        Command::Demo(args) => demo::perform(args, session),
        Command::Check(args) => check::perform(args, session),
        Command::Run(args) => run::perform(args, session),
        Command::Lock(args) => lock::perform(args, session),
        Command::Query(args) => query::perform(args, session),
        Command::Completions(args) => completions::perform(args),
        Command::Schema => schema::perform(),
    }
}
