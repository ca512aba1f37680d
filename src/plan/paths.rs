//! Globs and brace ranges become files.

use std::collections::HashSet;
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
        // Where a folder on the way does not let anybody look, who opens it says so.
        if path.try_exists().unwrap_or(!is_glob(&name)) {
            found.paths.push(path);
        } else if is_glob(&name) {
            let matches = walk(&name, base)?;
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

/// Each file or folder once, however often and under whatever names it is named: the first stays.
#[must_use]
pub fn distinct(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    paths
}

/// All paths that match a glob relative to `base`, sorted by bytes.
fn walk(pattern: &str, base: &Path) -> Result<Vec<PathBuf>> {
    // Only the pattern's own parts are a glob: a folder on the way to the definition may hold
    // brackets or braces, and means them as they are.
    let mut root: PathBuf = base.components().collect();
    let mut parts = Vec::new();
    for part in Path::new(pattern).components() {
        let text = part.as_os_str().to_string_lossy();
        match part {
            Component::CurDir => {}
            _ if parts.is_empty() && !is_glob(&text) => root.push(part),
            _ => parts.push(text),
        }
    }
    let text = parts.join("/");
    let matcher = globset::GlobBuilder::new(&text)
        .literal_separator(true)
        .build()
        .map_err(|cause| {
            Error::new(Kind::Definition, format!("`{pattern}` is no glob")).caused_by(cause)
        })?
        .compile_matcher();
    let deep = text.contains("**");
    let depth = parts.len();
    // Parts before the first `**`: there are so many folders on the way and no more, so links to
    // folders can be followed. Below `**` a link to a parent would never end.
    let counted: Vec<_> = parts
        .iter()
        .take_while(|part| !part.contains("**"))
        .map(|part| globset::Glob::new(part).ok().map(|glob| glob.compile_matcher()))
        .collect();
    let mut matches = Vec::new();
    let mut folders = vec![(root.clone(), 0_usize)];
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
            if path.strip_prefix(&root).is_ok_and(|below| matcher.is_match(below)) {
                matches.push(path.clone());
            }
            let is_folder = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => {
                    let part = counted.get(at).and_then(Option::as_ref);
                    part.is_some_and(|part| part.is_match(entry.file_name())) && path.is_dir()
                }
                kind => kind.is_ok_and(|kind| kind.is_dir()),
            };
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

    #[test]
    fn a_file_that_is_named_twice_is_there_once() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.tar", "b.tar"] {
            crate::base::files::write_atomic(&dir.path().join(name), |_| Ok(())).unwrap();
        }
        std::os::unix::fs::symlink("a.tar", dir.path().join("link.tar")).unwrap();
        let paths = ["./b.tar", "a.tar", "b.tar", "link.tar", "gone", "gone"];
        let kept = distinct(paths.iter().map(|name| dir.path().join(name)).collect());
        assert_eq!(kept, ["./b.tar", "a.tar", "gone"].map(|name| dir.path().join(name)));
    }

    #[test]
    fn links_to_folders_are_followed_where_the_pattern_says_how_deep() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["real/a.tar", "gl/d0/b.tar", "gl/d0/in/c.tar"] {
            crate::base::files::write_atomic(&dir.path().join(name), |_| Ok(())).unwrap();
        }
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
        };
        link("../real", "gl/d1");
        link("..", "gl/d2");
        link("../real", "gl/other");
        link("nowhere", "gl/d3");
        link("d0/b.tar", "gl/d4");
        let names = |pattern: &str| -> Vec<String> {
            let found = expand(pattern, dir.path()).unwrap().paths;
            let name = |p: &PathBuf| p.strip_prefix(dir.path()).unwrap().display().to_string();
            found.iter().map(name).collect()
        };
        assert_eq!(names("gl/d*/*.tar"), ["gl/d0/b.tar", "gl/d1/a.tar"]);
        assert_eq!(names("gl/d*/*/*.tar"), ["gl/d0/in/c.tar", "gl/d2/real/a.tar"]);
        assert_eq!(names("gl/**/*.tar"), ["gl/d0/b.tar", "gl/d0/in/c.tar"]);
        assert_eq!(names("gl/*1/**/a.tar"), ["gl/d1/a.tar"]);
    }

    #[test]
    fn a_glob_is_the_pattern_alone_and_its_detours_do_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        for base in ["[work]", "{x}", "a*b", "plain"] {
            let base = dir.path().join(base);
            for name in ["data/a.tar", "data/b.tar", "data/sub/c.tar", "other/d.tar"] {
                crate::base::files::write_atomic(&base.join(name), |_| Ok(())).unwrap();
            }
            let names = |pattern: &str| {
                let found = expand(pattern, &base).unwrap().paths;
                let name = |p: &PathBuf| p.strip_prefix(&base).unwrap().display().to_string();
                found.iter().map(name).collect::<Vec<_>>()
            };
            let two = ["data/a.tar", "data/b.tar"];
            for pattern in ["data/*.tar", "./data/*.tar", "data/./*.tar", "data//*.tar"] {
                assert_eq!(names(pattern), two, "{pattern} in {}", base.display());
            }
            assert_eq!(names("d*/./*//c.tar"), ["data/sub/c.tar"]);
            assert_eq!(names("**/c.tar"), ["data/sub/c.tar"]);
            let beside = expand("../oth*/*.tar", &base.join("data")).unwrap().paths;
            assert_eq!(beside, [base.join("data/../other/d.tar")]);
        }
        let whole = dir.path().join("plain/data/*.tar");
        let found = expand(whole.to_str().unwrap(), Path::new("elsewhere/[x]")).unwrap().paths;
        assert_eq!(found, ["a.tar", "b.tar"].map(|name| dir.path().join("plain/data").join(name)));
    }
}
