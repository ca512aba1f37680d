//! interim
use super::completions;
use crate::base::Result;
use crate::cli::args::Command;
use crate::cli::exit::Code;
use crate::cli::session::Session;
/// Does one command.
///
/// # Errors
/// Whatever ends the command early.
pub(crate) fn perform(command: &Command, session: &Session) -> Result<Code> {
    session.say("x");
    let _w = session.stop_on_signals()?;
    match command {
        Command::Completions(args) => completions::perform(args),
        _ => Ok(Code::Failure),
    }
}
