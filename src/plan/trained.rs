//! Models that a stage of the definition trains: where the newest one lies.
//!
//! A stage `train_clip` ends with a Hugging Face folder in the store, and with a note that points
//! at it. The folder is a model like any other: its files have digests, and features are made
//! again when these change.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::files::{read_capped, write_atomic};
use crate::base::{Error, Kind, Result};

const FORMAT: u32 = 1;
const CAP_BYTES: u64 = 1 << 20;

/// What stands in a fingerprint in place of a digest while a model is not trained yet.
pub const UNTRAINED: &str = "not trained yet";

/// The note of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trained {
    format: u32,
    /// Name of the model's folder, beside the note.
    pub folder: String,
    /// Fingerprint of the stage that trained it.
    pub fingerprint: String,
}

/// What every format of a note has.
#[derive(Deserialize)]
struct Numbered {
    format: u32,
}

/// The folder of the models that `table`'s stage trained.
#[must_use]
pub fn models_folder(state_folder: &Path, table: &str) -> PathBuf {
    all_models_folder(state_folder).join(table)
}

/// The folder in which each table whose stage trains has its [`models_folder`].
#[must_use]
pub fn all_models_folder(state_folder: &Path) -> PathBuf {
    state_folder.join("models")
}

fn note(state_folder: &Path, table: &str) -> PathBuf {
    models_folder(state_folder, table).join("newest.json")
}

impl Trained {
    /// What the newest training left behind; none where there was none, or its files are gone, or
    /// its note is damaged or of an older format.
    ///
    /// # Errors
    /// [`Kind::Store`] when the note is of a newer clipmill, [`Kind::Io`] when it is there and
    /// cannot be read: that nothing was trained would cost the training again.
    pub fn read(state_folder: &Path, table: &str) -> Result<Option<Self>> {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        let path = note(state_folder, table);
        match std::fs::metadata(&path) {
            Err(cause) if matches!(cause.kind(), NotFound | NotADirectory) => return Ok(None),
            Err(cause) => return Err(Error::io("cannot look at", path.display(), cause)),
            Ok(_) => {}
        }
        let bytes = read_capped(&path, CAP_BYTES)?;
        // the number alone: what else a newer format holds is not known here
        let number = serde_json::from_slice::<Numbered>(&bytes);
        if let Some(format) = number.ok().map(|of| of.format).filter(|format| *format > FORMAT) {
            let what = format!("is of format {format}, this clipmill reads {FORMAT}");
            return Err(Error::new(Kind::Store, what)
                .at(path.display())
                .apart_from_rows()
                .help("take a newer clipmill"));
        }
        let Ok(trained) = serde_json::from_slice::<Self>(&bytes) else { return Ok(None) };
        let plain = !trained.folder.contains(['/', '\\']) && !trained.folder.starts_with('.');
        let there = models_folder(state_folder, table).join(&trained.folder).is_dir();
        Ok((trained.format == FORMAT && plain && there).then_some(trained))
    }

    /// Points at the folder of this name.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn write(
        state_folder: &Path,
        table: &str,
        folder: &str,
        fingerprint: &str,
    ) -> Result<Self> {
        let trained =
            Self { format: FORMAT, folder: folder.to_owned(), fingerprint: fingerprint.to_owned() };
        let text = serde_json::to_string(&trained).map_err(|cause| {
            Error::new(Kind::Internal, "cannot write the note of a model").caused_by(cause)
        })?;
        let path = note(state_folder, table);
        write_atomic(&path, |to| {
            to.write_all(text.as_bytes())
                .map_err(|cause| Error::io("cannot write", path.display(), cause))
        })?;
        Ok(trained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_points_at_a_folder_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Trained::read(dir.path(), "clip").unwrap(), None);
        std::fs::create_dir_all(models_folder(dir.path(), "clip").join("abc")).unwrap();
        let written = Trained::write(dir.path(), "clip", "abc", "f").unwrap();
        assert_eq!(Trained::read(dir.path(), "clip").unwrap(), Some(written));
        assert_eq!(Trained::read(dir.path(), "other").unwrap(), None);
        Trained::write(dir.path(), "clip", "../clip/abc", "f").unwrap();
        assert_eq!(Trained::read(dir.path(), "clip").unwrap(), None);
        Trained::write(dir.path(), "clip", "gone", "f").unwrap();
        assert_eq!(Trained::read(dir.path(), "clip").unwrap(), None);
    }
    #[test]
    fn a_note_that_cannot_be_read_is_an_error_and_an_older_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(models_folder(dir.path(), "clip").join("abc")).unwrap();
        let put = |text: &str| {
            write_atomic(&note(dir.path(), "clip"), |to| {
                to.write_all(text.as_bytes()).unwrap();
                Ok(())
            })
            .unwrap();
        };
        put(r#"{"format":2,"models":["abc"]}"#);
        let error = Trained::read(dir.path(), "clip").unwrap_err();
        assert_eq!(error.kind(), Kind::Store);
        assert!(error.help_text().unwrap().contains("newer"));
        put(r#"{"format":0,"folder":"abc","fingerprint":"f"}"#);
        assert_eq!(Trained::read(dir.path(), "clip").unwrap(), None);
        put("{");
        assert_eq!(Trained::read(dir.path(), "clip").unwrap(), None);
        std::fs::remove_file(note(dir.path(), "clip")).unwrap();
        std::fs::create_dir(note(dir.path(), "clip")).unwrap();
        assert_eq!(Trained::read(dir.path(), "clip").unwrap_err().kind(), Kind::Io);
    }
}
