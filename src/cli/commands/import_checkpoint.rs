//! `clipmill import-checkpoint`: a captioner of one of the PyTorch projects, taken over.

use serde_json::json;

use crate::base::Result;
use crate::cli::captioner_args::ImportCheckpoint;
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::run::import;

use super::{place, run, summary};

/// Takes the checkpoint over and says where it is now.
///
/// # Errors
/// When the file is no captioner, or one of another shape than the stage trains.
pub(crate) fn perform(args: &ImportCheckpoint, session: &Session) -> Result<Code> {
    let (named, end) = (args.stage.as_deref(), args.end.as_deref());
    let plan = place::captioners(&args.into, &args.set, named, session)?;
    let options = run::options(session);
    let imported = import(&plan, named, &args.checkpoint, end, &options)?;
    summary::complain(&imported.report, session);
    let code = summary::code(&imported.report);
    let path = imported.checkpoint.path.display().to_string();
    match args.format {
        Format::Human => console::print(&format!(
            "{} is the checkpoint of `{}` now: {path}",
            args.checkpoint.display(),
            imported.table
        ))?,
        Format::Json => {
            let object = json!({
                "command": "import-checkpoint",
                "table": imported.table,
                "path": path,
                "digest": imported.checkpoint.state.digest,
                "exit_code": code.number(),
            });
            console::print(&object.to_string())?;
        }
    }
    Ok(code)
}
