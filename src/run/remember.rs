//! The definition that a store was last made by, kept beside its tables.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::{Error, Kind, Result, files};
use crate::plan::{Plan, state_folder};

const FORMAT: u32 = 1;
const CAP_BYTES: u64 = 16 << 20;

/// What a store knows of its definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    format: u32,
    /// File of the definition, absolute.
    pub definition: PathBuf,
    /// Its text at the last run.
    pub text: String,
    /// The `--set` arguments of the last run.
    pub sets: Vec<(String, String)>,
}

/// The part of it that every format has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

fn path(state: &Path) -> PathBuf {
    state.join("definition.json")
}

/// Keeps the definition in the store, so that queries over a folder find its models.
pub(super) fn write(plan: &Plan) -> Result<()> {
    let state = state_folder(&plan.store);
    let definition = std::path::absolute(&plan.definition)
        .map_err(|cause| Error::io("cannot name", plan.definition.display(), cause))?;
    let now =
        Remembered { format: FORMAT, definition, text: plan.text.clone(), sets: plan.sets.clone() };
    match read(&state) {
        Ok(kept) if kept.as_ref() == Some(&now) => return Ok(()),
        // What is left of a file that broke off helps nobody.
        Err(error) if error.kind() == Kind::Store && is_no_json(&path(&state)) => {
            tracing::warn!(%error, "it is written anew");
        }
        other => {
            other?;
        }
    }
    files::write_atomic(&path(&state), |w| {
        serde_json::to_writer_pretty(w, &now).map_err(|cause| {
            Error::new(Kind::Io, "cannot write the kept definition").caused_by(cause)
        })
    })
}

/// Whether a file holds nothing that any clipmill wrote to its end.
fn is_no_json(path: &Path) -> bool {
    let bytes = files::read_capped(path, CAP_BYTES);
    bytes.is_ok_and(|bytes| serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_err())
}

/// What the store with this state folder was last made by; none for a store that no run made.
///
/// # Errors
/// [`Kind::Store`] when what is kept cannot be read, or is of a newer clipmill.
pub fn read(state: &Path) -> Result<Option<Remembered>> {
    let path = path(state);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = files::read_capped(&path, CAP_BYTES)?;
    let damaged = |cause| {
        Error::new(Kind::Store, "is damaged")
            .at(path.display())
            .help("delete it: the next run writes it again")
            .caused_by(cause)
    };
    let Version { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if format > FORMAT {
        let what = format!("is of format {format}, this clipmill reads up to {FORMAT}");
        return Err(Error::new(Kind::Store, what)
            .at(path.display())
            .help("use the clipmill that wrote it or a newer one, or name the definition"));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_a_newer_clipmill_keeps_is_refused_and_not_called_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let put = |text: &str| {
            files::write_atomic(&path(dir.path()), |w| {
                w.write_all(text.as_bytes()).map_err(|cause| Error::io("no", "test", cause))
            })
            .unwrap();
        };
        assert_eq!(read(dir.path()).unwrap(), None);
        for newer in
            [r#"{"format":2,"steps":[]}"#, r#"{"format":2,"text":"","definition":"p","sets":[]}"#]
        {
            put(newer);
            let error = read(dir.path()).unwrap_err();
            assert_eq!(error.what(), "is of format 2, this clipmill reads up to 1");
            assert!(error.help_text().unwrap().contains("newer"), "{error:?}");
        }
        for damaged in ["{", r#"{"format":1}"#] {
            put(damaged);
            assert_eq!(read(dir.path()).unwrap_err().what(), "is damaged");
        }
        put(r#"{"format":1,"text":"t","definition":"p","sets":[]}"#);
        assert_eq!(read(dir.path()).unwrap().unwrap().text, "t");
    }
}
