//! `clipmill restore`: a new version with the rows of an old one.

use serde_json::json;

use crate::base::Result;
use crate::base::units::count;
use crate::cli::args::{Format, Restore};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::table::Restored;

use super::store;

/// Restores the version.
///
/// # Errors
/// When another process writes the store, there is no such version, or its parts are gone.
pub(crate) fn perform(args: &Restore, session: &Session) -> Result<Code> {
    let found = store::find(&args.place.store, &args.place.set, session)?;
    found.tables(Some(&args.table))?;
    let _watch = session.stop_on_signals()?;
    let _lock = found.store.lock(false, &session.cancel)?;
    let restored = found.store.restore(&args.table, args.version, &session.cancel)?;
    let table = &args.table;
    if args.place.format == Format::Json {
        let mut object = json!({"command": "restore", "table": table, "from": args.version});
        let more = match restored {
            Restored::Already { version } => json!({"version": version, "published": false}),
            Restored::Published { version, rows, added, removed, changed } => json!({
                "version": version, "published": true, "rows": rows,
                "added": added, "removed": removed, "changed": changed,
            }),
        };
        if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
            object.extend(more.clone());
        }
        console::print(&object.to_string())?;
        return Ok(Code::Success);
    }
    let said = match restored {
        Restored::Already { version } => {
            format!("Nothing to do: version {version} of {table} is equal to {}.", args.version)
        }
        Restored::Published { version, rows, added, removed, changed } => format!(
            "Version {version} of {table} is equal to version {}: {} rows ({} came back, {} went, \
             {} changed).\nThe next run makes rows anew whose content or settings are others by now.",
            args.version,
            count(rows),
            count(added),
            count(removed),
            count(changed)
        ),
    };
    console::print(&said)?;
    Ok(Code::Success)
}
