//! The sources, parsed, each with its place in the module tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::paths::{self, Mention};

/// A module as the segments of its path below `crate`.
pub(crate) type Module = Vec<String>;

/// One file.
pub(crate) struct File {
    /// Path below `src`, `/` between parts.
    pub(crate) path: String,
    /// The module it is.
    pub(crate) module: Module,
    /// Whether it is a `mod.rs`, or the crate's root.
    pub(crate) is_index: bool,
    /// Lines in it.
    pub(crate) lines: usize,
    /// The syntax, or why there is none.
    pub(crate) syntax: Result<syn::File, String>,
    /// Every path the file mentions.
    pub(crate) mentions: Vec<Mention>,
    /// Names that `use` brings in, so that a crate's name can be told from a module's.
    pub(crate) imported: BTreeSet<String>,
}

/// All files below `src`.
pub(crate) struct Tree {
    /// Sorted by path.
    pub(crate) files: Vec<File>,
    /// Modules that are files.
    pub(crate) modules: BTreeSet<Module>,
    /// What an index exports: module and name → the path it stands for.
    exports: BTreeMap<(Module, String), Vec<String>>,
}

impl Tree {
    /// Reads a folder.
    pub(crate) fn read(root: &Path) -> Self {
        let mut found = Vec::new();
        walk(root, "", &mut found);
        let found: Vec<(&str, &str)> =
            found.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        Self::of(&found)
    }

    /// A tree of texts, for planted violations.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut files: Vec<File> = files.iter().map(|(path, text)| parse(path, text)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let modules = files.iter().map(|file| file.module.clone()).collect();
        let mut exports = BTreeMap::new();
        for file in files.iter().filter(|file| file.is_index) {
            for (name, path) in file.syntax.iter().flat_map(paths::exports) {
                exports.insert((file.module.clone(), name), path);
            }
        }
        Self { files, modules, exports }
    }

    /// The absolute path (below `crate`) of a path that `file` mentions, if it is one of ours.
    pub(crate) fn absolute(&self, file: &File, mention: &Mention) -> Option<Vec<String>> {
        let first = mention.path.first()?;
        let mut base = file.module.clone();
        base.extend(mention.inner.iter().cloned());
        let mut rest = mention.path.as_slice();
        match first.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop()?;
                    rest = &rest[1..];
                }
            }
            child => {
                base.push(child.to_owned());
                let ours = self.modules.contains(&base);
                base.pop();
                if !ours {
                    return None;
                }
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The file that defines what an absolute path names, seen through the exports of indexes.
    pub(crate) fn home(&self, absolute: &[String]) -> Option<Module> {
        let mut path = absolute.to_vec();
        // An export may lead to an export; a ring of them would not compile.
        for _ in 0..8 {
            let depth = (0..=path.len()).rev().find(|n| self.modules.contains(&path[..*n]))?;
            let module = path[..depth].to_vec();
            let next = path.get(depth).and_then(|name| {
                let target = self.exports.get(&(module.clone(), name.clone()))?;
                let mention = Mention { path: target.clone(), inner: Vec::new(), test: false };
                let file = self.files.iter().find(|file| file.module == module)?;
                self.absolute(file, &mention)
            });
            match next {
                Some(next) => path = next,
                None => return Some(module),
            }
        }
        None
    }
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &format!("{path}/"), found);
        } else if name.ends_with(".rs") {
            #[expect(clippy::disallowed_methods, reason = "our own sources need no cap")]
            found.push((path, std::fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

fn parse(path: &str, text: &str) -> File {
    let mut module: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    let is_index = matches!(path, "lib.rs" | "main.rs") || path.ends_with("/mod.rs");
    if is_index {
        module.pop();
    }
    let syntax = syn::parse_file(text).map_err(|error| error.to_string());
    let mentions = syntax.as_ref().map(paths::mentions).unwrap_or_default();
    let imported = syntax.iter().flat_map(paths::exports_and_imports).collect();
    let lines = text.lines().count();
    File { path: path.to_owned(), module, is_index, lines, syntax, mentions, imported }
}
