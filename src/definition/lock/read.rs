//! Text to [`LockFile`].

use super::facts::{FORMAT, LockFile};
use crate::base::{Error, Kind, Result};

/// Reads a lock; `name` is the file's, for messages.
///
/// # Errors
/// [`Kind::BadInput`] when it is no lock, is one of a newer clipmill, or holds a conflict that git
/// could not merge.
pub fn read(name: &str, text: &str) -> Result<LockFile> {
    let fault = |what: &str, help: &str| Error::new(Kind::BadInput, what).at(name).help(help);
    let marked = |line: &str| line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>");
    if let Some(line) = text.lines().position(marked) {
        return Err(fault(
            &format!("has git's conflict markers in line {}", line + 1),
            "both sides changed the same thing: settle the definition, take either side of the \
             lock, and run `clipmill lock`",
        ));
    }
    let file: LockFile = toml::from_str(text).map_err(|cause| {
        let message = cause.message().to_owned();
        let line = cause.span().and_then(|span| text.get(..span.start));
        let line = line.map_or(1, |before| before.matches('\n').count() + 1);
        fault(
            &format!("is no lock of this clipmill: line {line}: {message}"),
            "it is not meant to be edited: run `clipmill lock` on its definitions",
        )
    })?;
    if file.format != FORMAT {
        return Err(fault(
            &format!("has format {}, and this clipmill reads {FORMAT}", file.format),
            "use the clipmill that wrote it, or run `clipmill lock` again",
        ));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_lock_says_why() {
        for (text, why) in [
            ("", "missing field `format`"),
            ("format = 2\n", "has format 2, and this clipmill reads 1"),
            ("format = 1\n<<<<<<< ours\n", "conflict markers in line 2"),
            (
                "format = 1\n[definitions.\"a\".tables.t]\ncontent = \"12\"\n",
                "line 3: `12` is no digest",
            ),
            ("format = 1\nextra = 2\n", "unknown field `extra`"),
        ] {
            let error = read("clipmill.lock", text).unwrap_err();
            assert_eq!(error.kind(), Kind::BadInput);
            assert!(error.to_string().contains(why), "{text:?}: {error}");
            assert!(error.help_text().is_some());
        }
    }
}
