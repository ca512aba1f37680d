//! `clipmill schema`: what editors need to complete definitions.

use crate::base::Result;
use crate::cli::console;
use crate::cli::exit::Code;

/// Prints the JSON schema of definitions.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn perform() -> Result<Code> {
    console::print(text()?.trim_end())?;
    Ok(Code::Success)
}

/// The schema.
pub(crate) fn text() -> Result<String> {
    Ok(crate::definition::json_schema())
}
