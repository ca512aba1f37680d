//! Globs and brace ranges become files.

use std::path::{Component, Path, PathBuf};

use crate::base::{Error, Kind, Result};
use crate::definition::braces::expand_braces;

/// Whether `pattern` holds a glob's special characters.
#[must_use]
pub fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// The path as people write it: no `.`, and no `..` after a name. For showing only: where a folder
/// on the way is a link, the system may go elsewhere.
#[must_use]
pub fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            // Above the root is the root.
            Component::ParentDir if out.has_root() => {}
            part => out.push(part),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

/// What a path of a definition names: files in a steady order, or the names that are missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is there, in the order of the pattern; a glob's matches sorted by bytes.
    pub paths: Vec<PathBuf>,
    /// What is not: plain names that do not exist, or globs that match nothing.
    pub missing: Vec<PathBuf>,
}

/// Resolves one path of a definition, relative to `base`.
///
/// # Errors
/// When a brace or glob is malformed, or a folder on the way cannot be listed.
pub fn expand(pattern: &str, base: &Path) -> Result<Found> {
    let mut found = Found::default();
    let names = expand_braces(pattern)
        .map_err(|what| Error::new(Kind::Definition, format!("`{pattern}`: {what}")))?;
    for name in names {
        let path = base.join(&name);
        // A file of just that name wins: real names hold brackets.
        if path.exists() {
            found.paths.push(path);
        } else if is_glob(&name) {
            let matches = walk(&path)?;
            if matches.is_empty() {
                found.missing.push(path);
            }
            found.paths.extend(matches);
        } else {
            found.missing.push(path);
        }
    }
    Ok(found)
}

/// All paths that match a glob, sorted by bytes.
fn walk(pattern: &Path) -> Result<Vec<PathBuf>> {
    let text = pattern.to_string_lossy().into_owned();
    let matcher = globset::GlobBuilder::new(&text)
        .literal_separator(true)
        .build()
        .map_err(|cause| {
            Error::new(Kind::Definition, format!("`{text}` is no glob")).caused_by(cause)
        })?
        .compile_matcher();
    let root: PathBuf =
        pattern.components().take_while(|c| !is_glob(&c.as_os_str().to_string_lossy())).collect();
    let deep = text.contains("**");
    let depth = pattern.components().count() - root.components().count();
    let mut matches = Vec::new();
    let mut folders = vec![(root, 0_usize)];
    while let Some((folder, at)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => continue,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotADirectory => continue,
            Err(cause) => return Err(Error::io("cannot list", folder.display(), cause)),
        };
        for entry in entries {
            let entry = entry.map_err(|c| Error::io("cannot list", folder.display(), c))?;
            let path = entry.path();
            if matcher.is_match(&path) {
                matches.push(path.clone());
            }
            // Links are not followed: a link to a parent would never end.
            let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
            if is_folder && (deep || at + 1 < depth) {
                folders.push((path, at + 1));
            }
        }
    }
    matches.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(matches)
}

/// The folder that paths of a definition are relative to.
pub(super) fn folder_of(definition: &Path) -> PathBuf {
    match definition.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_without_detours() {
        for (path, shown) in [
            ("pipelines/../data/a.tar", "data/a.tar"),
            ("./a.tar", "a.tar"),
            ("../data/./b/../a.tar", "../data/a.tar"),
            ("p/../../a", "../a"),
            ("/../a", "/a"),
            ("p/..", "."),
        ] {
            assert_eq!(tidy(Path::new(path)), Path::new(shown), "{path}");
        }
    }

    #[test]
    fn globs_are_sorted_and_missing_names_named() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.tar", "a.tar", "sub/c.tar", "n[1].tar"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::base::files::write_atomic(&path, |_| Ok(())).unwrap();
        }
        let names = |pattern: &str| {
            let found = expand(pattern, dir.path()).unwrap();
            let name = |p: &PathBuf| p.strip_prefix(dir.path()).unwrap().display().to_string();
            (
                found.paths.iter().map(name).collect::<Vec<_>>(),
                found.missing.iter().map(name).collect::<Vec<_>>(),
            )
        };
        assert_eq!(names("*.tar").0, ["a.tar", "b.tar", "n[1].tar"]);
        assert_eq!(names("**/*.tar").0, ["a.tar", "b.tar", "n[1].tar", "sub/c.tar"]);
        assert_eq!(names("n[1].tar").0, ["n[1].tar"]);
        assert_eq!(names("{a,z}.tar"), (vec!["a.tar".into()], vec!["z.tar".into()]));
        assert_eq!(names("no/*.tar").1, ["no/*.tar"]);
    }
}
