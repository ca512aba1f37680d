//! `clipmill restore`: a new version with the rows of an old one.

use serde_json::json;

use crate::base::units::count;
use crate::base::{Error, Kind, Result};
use crate::cli::args::{Format, Restore};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::run::checkpoints;
use crate::table::{Restored, Store};

use super::store;

/// Restores the version.
///
/// # Errors
/// When another process writes the store, there is no such version, or its parts or the checkpoints
/// that it names are gone.
pub(crate) fn perform(args: &Restore, session: &Session) -> Result<Code> {
    let found = store::find(&args.place.store, &args.place.set, session)?;
    found.tables(Some(&args.table))?;
    let _watch = session.stop_on_signals()?;
    let _lock = found.store.lock(false, &session.cancel)?;
    checkpoints_are_there(&found.store, &args.table, args.version)?;
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

/// Refuses a version whose rows name checkpoints that are gone: its rows could come back, and
/// nothing could caption with them.
fn checkpoints_are_there(store: &Store, table: &str, version: i64) -> Result<()> {
    let then = store.snapshot_at(table, version)?;
    // where parts are gone the rows cannot be read, and the store says so itself
    let wrong = if then.gone().is_empty() { checkpoints::missing(store, &then)? } else { vec![] };
    match wrong.first() {
        None => Ok(()),
        Some(first) => {
            let what = format!("version {version} cannot be restored: its checkpoint {first}");
            Err(Error::new(Kind::Store, what).at(table).help(
                "a training removes the checkpoints of those before it; with the settings of that \
                 version a run trains them anew, `clipmill history` says which versions there are",
            ))
        }
    }
}
