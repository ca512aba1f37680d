//! Text to [`LockFile`].

use serde::Deserialize;

use super::facts::{FORMAT, LockFile};
use crate::base::{Error, Kind, Result};

/// What every format of a lock says.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// Whether a text has git's conflict markers; the first of their lines, from 0.
fn marked(text: &str) -> Option<usize> {
    text.lines().position(|line| line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>"))
}

/// The format of a lock that a newer clipmill wrote.
fn newer(text: &str) -> Option<u32> {
    toml::from_str::<Head>(text).ok().map(|head| head.format).filter(|format| *format > FORMAT)
}

/// Whether a text is no lock at all, so that it may be written anew: it holds no conflict that
/// somebody has to settle, and no newer clipmill wrote it.
#[must_use]
pub fn is_spoilt(text: &str) -> bool {
    marked(text).is_none() && newer(text).is_none() && read("", text).is_err()
}

/// Reads a lock; `name` is the file's, for messages.
///
/// # Errors
/// [`Kind::BadInput`] when it is no lock, is one of a newer clipmill, or holds a conflict that git
/// could not merge.
pub fn read(name: &str, text: &str) -> Result<LockFile> {
    let fault = |what: &str, help: &str| Error::new(Kind::BadInput, what).at(name).help(help);
    if let Some(line) = marked(text) {
        return Err(fault(
            &format!("has git's conflict markers in line {}", line + 1),
            "both sides changed the same thing: settle the definition, take either side of the \
             lock, and run `clipmill lock`",
        ));
    }
    if let Some(format) = newer(text) {
        return Err(fault(
            &format!("has format {format}, and this clipmill reads {FORMAT}"),
            "use the clipmill that wrote it; or delete it, then run `clipmill lock` on the \
             definitions beside it",
        ));
    }
    let spoilt = "it is not meant to be edited: `clipmill lock` on the definitions beside it writes \
                  it anew";
    let file: LockFile = toml::from_str(text).map_err(|cause| {
        let message = cause.message().to_owned();
        let line = cause.span().and_then(|span| text.get(..span.start));
        let line = line.map_or(1, |before| before.matches('\n').count() + 1);
        fault(&format!("is no lock of this clipmill: line {line}: {message}"), spoilt)
    })?;
    if file.format != FORMAT {
        let what = format!("has format {}, and this clipmill reads {FORMAT}", file.format);
        return Err(fault(&what, spoilt));
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
            ("format = 0\n", "has format 0, and this clipmill reads 1"),
            ("format = 2\n", "has format 2, and this clipmill reads 1"),
            ("format = 2\nunheard_of = 1\n", "has format 2, and this clipmill reads 1"),
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
            // What somebody else has to settle is not written over.
            let kept = why.contains("format 2") || why.contains("conflict");
            assert_eq!(is_spoilt(text), !kept, "{text:?}");
        }
        assert!(!is_spoilt("format = 1\n"));
    }
}
