//! `clipmill lock`: writes down what definitions are, what they read, and what they made.

use std::path::Path;

use serde_json::{Value, json};

use crate::base::Result;
use crate::cli::args::{Format, Lock};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::definition::lock::Locked;
use crate::plan::digests::{FileDigests, KnownFiles};
use crate::plan::locked::{self, Observed};
use crate::plan::paths::tidy;
use crate::plan::{resolve_partly, state_folder, store_folder};
use crate::run::locked::tables;
use crate::sources;
use crate::table::Store;

use super::{definition, lock_file};

/// What became of one definition's lock.
struct Written {
    locked: Locked,
    changed: bool,
    /// What was not there, and is not in the lock.
    absent: Vec<String>,
    /// What was not there, and is in the lock as it was before.
    kept: Vec<String>,
    /// Definitions that are not there any more, and left the lock.
    gone: Vec<String>,
    /// Why the lock that was there could not be read, and was written anew.
    spoilt: Option<String>,
}

/// Locks every file.
///
/// # Errors
/// When a definition is wrong, or something that is there cannot be read.
pub(crate) fn perform(args: &Lock, session: &Session) -> Result<Code> {
    let mut files = Vec::new();
    for file in &args.files {
        let written = lock(file, session)?;
        if args.format == Format::Human && !session.quiet {
            console::print(&sentence(file, &written))?;
        }
        files.push(object(file, &written));
    }
    if args.format == Format::Json {
        console::print(&json!({"command": "lock", "files": files}).to_string())?;
    }
    Ok(Code::Success)
}

/// What the runs of a store kept of the files of a source's folder.
pub(super) fn of_folder(store: &Path) -> impl Fn(&str, &Path) -> KnownFiles + use<> {
    let indexes = state_folder(store).join("index");
    move |source, folder| sources::known_files(source, folder, &indexes)
}

fn lock(file: &Path, session: &Session) -> Result<Written> {
    let pipeline = definition::read(file, &[], session)?;
    let folder = store_folder(&pipeline, file);
    let has_store = folder.join(crate::table::MARKER).is_file();
    let mut digests = FileDigests::open(&state_folder(&folder));
    let Observed { locked: mut now, mut absent } =
        locked::observe(&pipeline, file, &mut digests, &of_folder(&folder), &session.cancel)?;
    if has_store {
        // Digests of big files are a convenience: a store that cannot be written to is no fault.
        let _ = digests.save();
        let store = Store::open(&folder, session.clock.clone())?;
        let stages = resolve_partly(&pipeline, file, None)?.stages;
        let found = tables(&store, &stages, &now.stages)?;
        now.tables = found.tables;
        let why = "not made yet, or under other settings; run it, then lock";
        absent.extend(found.stale.iter().map(|table| format!("table {table}: {why}")));
    } else {
        absent.push(format!("tables: no store at {}", tidy(&folder).display()));
    }
    let (mut book, spoilt, gone) = lock_file::read_to_write(file)?;
    let key = lock_file::key(file);
    let kept = match book.definitions.get(&key) {
        Some(was) => locked::keep(was, &mut now, &pipeline),
        None => Vec::new(),
    };
    let of_kept = |line: &String| {
        kept.iter().any(|kept| {
            line.strip_prefix(kept.as_str()).is_some_and(|rest| rest.starts_with(':'))
                || kept.starts_with("table ") && line.starts_with("tables:")
        })
    };
    absent.retain(|line| !of_kept(line));
    book.definitions.insert(key, now.clone());
    let changed = lock_file::write(file, &book)?;
    Ok(Written { locked: now, changed, absent, kept, gone, spoilt })
}

fn sentence(file: &Path, written: &Written) -> String {
    let lock = lock_file::path(file);
    let verb = if written.changed { "wrote" } else { "is right about" };
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let locked = &written.locked;
    let mut out = format!(
        "{}: {verb} {}: {}, {}, {}, {}",
        lock.display(),
        lock_file::key(file),
        count(locked.sources.len(), "source"),
        count(locked.models.len(), "model"),
        count(locked.stages.len(), "stage"),
        count(locked.tables.len(), "table"),
    );
    if let Some(why) = &written.spoilt {
        out.push_str(&format!(
            "\n  written anew: the one that was there {why}; lock the other definitions beside it \
             again"
        ));
    }
    let lists = [
        ("not seen", &written.absent),
        ("kept as it was", &written.kept),
        ("left out, its file is gone", &written.gone),
    ];
    for (what, lines) in lists {
        for line in lines {
            out.push_str(&format!("\n  {what}: {line}"));
        }
    }
    out
}

fn object(file: &Path, written: &Written) -> Value {
    let tables = written.locked.tables.iter().map(|(name, table)| {
        let value = json!({"version": table.version, "rows": table.rows, "content": table.content});
        (name.clone(), value)
    });
    let tables: serde_json::Map<String, Value> = tables.collect();
    json!({
        "file": file, "lock": lock_file::path(file), "changed": written.changed,
        "absent": written.absent, "kept": written.kept, "gone": written.gone,
        "spoilt": written.spoilt, "tables": tables,
    })
}
