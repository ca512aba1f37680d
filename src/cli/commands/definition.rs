//! A definition's file, read with the replacements of the command line.

use std::path::Path;

use crate::base::files::read_text_capped;
use crate::base::{Error, Kind, Result};
use crate::cli::session::Session;
use crate::definition::{self, Pipeline};

/// No definition written by hand comes near it.
const CAP_BYTES: u64 = 4 << 20;

/// Reads and checks one definition; `sets` are `KEY=VALUE`.
///
/// # Errors
/// [`Kind::Usage`] for a `--set` without `=`, [`Kind::MissingInput`] when there is no such file,
/// [`Kind::Definition`] with everything that is wrong with it.
pub(crate) fn read(file: &Path, sets: &[String], session: &Session) -> Result<Pipeline> {
    let sets = replacements(sets)?;
    if !file.is_file() {
        let what = if file.is_dir() { "is a folder, not a definition" } else { "is not there" };
        return Err(Error::new(Kind::MissingInput, what).at(file.display()).help(
            "name a definition, such as pipelines/flickr30k.toml; `clipmill demo` makes one",
        ));
    }
    let text = read_text_capped(file, CAP_BYTES)?;
    definition::parse(&file.display().to_string(), &text, &session.environment, &sets)
}

/// The `KEY=VALUE` of the command line, taken apart.
///
/// # Errors
/// [`Kind::Usage`] for one without `=`.
pub(super) fn replacements(sets: &[String]) -> Result<Vec<(String, String)>> {
    let split = |set: &String| match set.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err(Error::new(Kind::Usage, format!("--set wants KEY=VALUE, got `{set}`"))
            .help("for example --set stages.image_features.batch_size=8")),
    };
    sets.iter().map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_split_at_its_first_equals_sign() {
        let sets = ["a.b=c=d".to_owned(), "x = ".to_owned()];
        assert_eq!(
            replacements(&sets).unwrap(),
            [("a.b".to_owned(), "c=d".to_owned()), ("x".to_owned(), " ".to_owned())]
        );
        for wrong in ["a.b", "=c"] {
            assert_eq!(replacements(&[wrong.to_owned()]).unwrap_err().kind(), Kind::Usage);
        }
    }
}
