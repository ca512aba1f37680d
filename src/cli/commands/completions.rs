//! `clipmill completions`: a script for a shell.

use crate::base::Result;
use crate::cli::args::Completions;
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::grammar;

/// Prints the script.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn perform(args: &Completions) -> Result<Code> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut grammar(), "clipmill", &mut script);
    console::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Code::Success)
}
