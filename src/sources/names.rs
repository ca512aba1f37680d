//! Member names: how they are shown, which are images, and the image ids in them.

use std::fmt::Write;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::base::{Error, Kind, Result};
use crate::plan::source::IdRule;

/// Extensions of the image formats that are read, and of those that are not: such a file is
/// rejected in words, where leaving it out would lose an image in silence.
const IMAGE_EXTENSIONS: &[&str] = &[
    "jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "gif", "bmp", "dib", "tif", "tiff",
    "avif", "heic", "heif", "jxl", "jp2", "j2k", "pbm", "pgm", "ppm", "pnm", "tga", "ico", "psd",
];

/// A name as text; bytes that are no UTF-8 become `\xNN`.
pub(crate) fn display(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // writing to a String cannot fail
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The part after the last `/`.
pub(crate) fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// What archivers and file managers leave behind; nobody means it.
pub(crate) fn is_junk(name: &str) -> bool {
    let base = base_name(name);
    name.split('/').any(|part| part == "__MACOSX")
        || base.starts_with("._")
        || matches!(base, ".DS_Store" | "Thumbs.db" | "desktop.ini")
}

/// Whether a name may be that of an image: it ends like one, or, outside shards (where the
/// extension is the field's name), it has no extension and its content is asked.
pub(crate) fn is_image(name: &str, named: Named) -> bool {
    match extension(name) {
        Some((_, extension)) => is_image_extension(extension),
        None => named == Named::File && !base_name(name).starts_with('.'),
    }
}

fn is_image_extension(extension: &str) -> bool {
    IMAGE_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// Stem and extension of the last part; a leading dot makes no extension.
fn extension(name: &str) -> Option<(&str, &str)> {
    base_name(name).rsplit_once('.').filter(|(stem, _)| !stem.is_empty())
}

/// Where a name comes from, which decides what its stem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// A file: whatever follows the last dot goes.
    File,
    /// A member of a WebDataset shard: whatever follows the first dot goes.
    Shard,
    /// A name inside a text, which may have no extension: only that of an image goes, so that
    /// `v1.5_0001` stays whole.
    Text,
}

/// The image id in `name`.
///
/// # Errors
/// Says why there is none.
pub(crate) fn image_id(name: &str, rule: &IdRule, named: Named) -> Result<String, String> {
    let id = match rule {
        IdRule::Pattern(pattern) => {
            let captures = pattern.captures(name);
            let group = captures.as_ref().and_then(|captures| captures.get(1));
            group.ok_or_else(|| format!("`{name}` does not match `{pattern}`"))?.as_str()
        }
        IdRule::Stem => match (named, extension(name)) {
            (Named::File, Some((stem, _))) => stem,
            (Named::Shard, Some(_)) => base_name(name).split('.').next().unwrap_or_default(),
            (Named::Text, Some((stem, extension))) if is_image_extension(extension) => stem,
            _ => base_name(name),
        },
    };
    if id.trim().is_empty() {
        return Err(format!("`{name}` gives an empty image id"));
    }
    // many readers of a table end a text there
    if id.contains('\0') {
        return Err("its image id holds a zero byte".to_string());
    }
    Ok(id.to_string())
}

/// Globs over member names. A glob without `/` is about the last part of a name, one with `/`
/// about the whole of it.
#[derive(Debug, Clone)]
pub(crate) struct Globs {
    whole: GlobSet,
    base: GlobSet,
}

impl Globs {
    /// Compiles `patterns`.
    ///
    /// # Errors
    /// [`Kind::Definition`] naming the pattern that is none.
    pub(crate) fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self> {
        let (mut whole, mut base) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let wrong = |cause: globset::Error| {
                Error::new(Kind::Definition, format!("`{pattern}` is no glob")).caused_by(cause)
            };
            let glob = GlobBuilder::new(pattern.trim_start_matches("./"))
                .literal_separator(true)
                .case_insensitive(true)
                .build()
                .map_err(wrong)?;
            if pattern.contains('/') {
                whole.add(glob)
            } else {
                base.add(glob)
            };
        }
        let wrong = |cause| Error::new(Kind::Definition, "globs are too many").caused_by(cause);
        Ok(Self { whole: whole.build().map_err(wrong)?, base: base.build().map_err(wrong)? })
    }

    /// Whether any of them matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let name = name.trim_start_matches("./");
        self.whole.is_match(name) || self.base.is_match(base_name(name))
    }
}

/// A name for each archive of a source: the fewest last parts of its path that tell all apart.
pub(crate) fn labels(paths: &[std::path::PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = paths
        .iter()
        .map(|path| {
            path.components().map(|part| display(part.as_os_str().as_encoded_bytes())).collect()
        })
        .collect();
    let most = parts.iter().map(Vec::len).max().unwrap_or(1);
    let tail = |parts: &[String], count: usize| {
        parts.get(parts.len().saturating_sub(count)..).unwrap_or_default().join("/")
    };
    for count in 1..most {
        let labels: Vec<String> = parts.iter().map(|parts| tail(parts, count)).collect();
        let distinct: std::collections::BTreeSet<&String> = labels.iter().collect();
        if distinct.len() == labels.len() {
            return labels;
        }
    }
    parts.iter().map(|parts| tail(parts, most)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stems_by_where_the_name_stands() {
        let id = |name: &str, named| image_id(name, &IdRule::Stem, named);
        assert_eq!(id("a/1000092795.jpg", Named::File).unwrap(), "1000092795");
        assert_eq!(id("x.jpg.1", Named::File).unwrap(), "x.jpg");
        assert_eq!(id("x.jpg.1", Named::Text).unwrap(), "x.jpg.1");
        assert_eq!(id("v1.5_0001", Named::Text).unwrap(), "v1.5_0001");
        assert_eq!(id("d/000.left.jpg", Named::Shard).unwrap(), "000");
        assert_eq!(id(".jpg", Named::File).unwrap(), ".jpg");
        assert!(id("a/", Named::File).is_err());
        let rule = IdRule::Pattern(regex::Regex::new(r"(\d+)\.jpg$").unwrap());
        assert_eq!(image_id("p/img_12.jpg", &rule, Named::File).unwrap(), "12");
        assert!(image_id("p/img.png", &rule, Named::File).unwrap_err().contains("img.png"));
    }

    #[test]
    fn globs_are_about_the_last_part_unless_they_have_a_slash() {
        let globs = Globs::new(&["*.jpg", "keep/*.bin"]).unwrap();
        assert!(globs.matches("./a/b/c.JPG"));
        assert!(globs.matches("keep/x.bin"));
        assert!(!globs.matches("keep/deep/x.bin"));
        assert!(!globs.matches("x.bin"));
        assert!(Globs::new(&["["]).is_err());
    }

    #[test]
    fn names_that_are_no_text_are_escaped() {
        assert_eq!(display(b"caf\xe9.jpg"), "caf\\xe9.jpg");
        assert!(is_junk("__MACOSX/a.jpg") && is_junk("d/._a.jpg") && !is_junk("a._b.jpg"));
    }

    #[test]
    fn labels_tell_archives_apart() {
        let labels = |paths: &[&str]| {
            labels(&paths.iter().map(std::path::PathBuf::from).collect::<Vec<_>>())
        };
        assert_eq!(labels(&["/d/a.tar", "/d/b.tar"]), ["a.tar", "b.tar"]);
        assert_eq!(labels(&["/x/a.tar", "/y/a.tar"]), ["x/a.tar", "y/a.tar"]);
    }
}
