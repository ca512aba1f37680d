//! Globs and brace ranges become files.

use std::path::{Path, PathBuf};

use crate::base::{Error, Kind, Result};

/// Most paths that one pattern may name.
const MOST_PATHS: usize = 1_000_000;

/// Expands `{a,b}` and `{000..031}`, also several and nested, in the order they are written.
///
/// A range keeps the width of its first number, as shells do. A pattern without braces gives
/// itself.
///
/// # Errors
/// When a brace is not closed, or there would be more than a million names.
pub fn braces(pattern: &str) -> Result<Vec<String>> {
    let Some((before, inside, after)) = outer_brace(pattern)? else {
        return Ok(vec![pattern.to_owned()]);
    };
    let choices = match range(inside) {
        Some(names) => names?,
        None => {
            let mut all = Vec::new();
            for choice in split_commas(inside) {
                all.extend(braces(choice)?);
            }
            all
        }
    };
    let mut out = Vec::new();
    for tail in braces(after)? {
        for choice in &choices {
            out.push((choice, tail.clone()));
        }
        if out.len() > MOST_PATHS {
            return Err(too_many(pattern));
        }
    }
    // The left-most brace varies slowest.
    let tails = out.len() / choices.len().max(1);
    let mut ordered = Vec::with_capacity(out.len());
    for c in 0..choices.len() {
        for t in 0..tails {
            if let Some((choice, tail)) = out.get(t * choices.len() + c) {
                ordered.push(format!("{before}{choice}{tail}"));
            }
        }
    }
    Ok(ordered)
}

fn too_many(pattern: &str) -> Error {
    Error::new(Kind::Definition, format!("`{pattern}` names more than {MOST_PATHS} files"))
}

/// Splits at the first `{` and its `}`.
fn outer_brace(pattern: &str) -> Result<Option<(&str, &str, &str)>> {
    let Some((before, rest)) = pattern.split_once('{') else { return Ok(None) };
    let mut depth = 1_u32;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let (inside, after) = rest.split_at(at);
            return Ok(Some((before, inside, after.strip_prefix('}').unwrap_or(after))));
        }
    }
    Err(Error::new(Kind::Definition, format!("`{pattern}` has a `{{` without its `}}`"))
        .help("write `{000..031}` or `{a,b}`"))
}

fn range(inside: &str) -> Option<Result<Vec<String>>> {
    let (first, last) = inside.split_once("..")?;
    let (from, to): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    if from.abs_diff(to) as usize >= MOST_PATHS {
        return Some(Err(too_many(inside)));
    }
    let width = if first.starts_with('0') || last.starts_with('0') {
        first.len().max(last.len())
    } else {
        0
    };
    let name = |n: u64| format!("{n:0width$}");
    Some(Ok(if from <= to {
        (from..=to).map(name).collect()
    } else {
        (to..=from).rev().map(name).collect()
    }))
}

fn split_commas(inside: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    inside
        .split(move |c: char| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })
        .collect()
}

/// Whether `pattern` holds a glob's special characters.
#[must_use]
pub fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
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
    for name in braces(pattern)? {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_expand_in_order() {
        assert_eq!(braces("a.tar").unwrap(), ["a.tar"]);
        assert_eq!(braces("{000..002}.tar").unwrap(), ["000.tar", "001.tar", "002.tar"]);
        assert_eq!(braces("{2..0}").unwrap(), ["2", "1", "0"]);
        assert_eq!(braces("{a,b}/{0..1}").unwrap(), ["a/0", "a/1", "b/0", "b/1"]);
        assert_eq!(braces("x{a,{1..2}}").unwrap(), ["xa", "x1", "x2"]);
        assert!(braces("{a").is_err());
        assert!(braces("{0..9999999999}").is_err());
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
