//! The rules.

use std::collections::{BTreeMap, BTreeSet};

use syn::Item;

use crate::tree::{File, Module, Tree};

/// Each room and the rooms it may import.
pub(crate) const ROOMS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("flow", &["base"]),
    ("definition", &["base"]),
    ("plan", &["definition", "flow", "base"]),
    ("sources", &["plan", "flow", "base"]),
    ("decode", &["plan", "flow", "base"]),
    ("nn", &["plan", "flow", "base"]),
    ("table", &["plan", "flow", "base"]),
    ("embed", &["nn", "plan", "flow", "base"]),
    ("train", &["nn", "table", "plan", "flow", "base"]),
    ("caption", &["nn", "table", "plan", "flow", "base"]),
    ("run", &["sources", "decode", "embed", "table", "train", "caption", "plan", "flow", "base"]),
    ("query", &["embed", "table", "plan", "flow", "base"]),
    (
        "cli",
        &[
            "query",
            "run",
            "caption",
            "train",
            "embed",
            "table",
            "nn",
            "decode",
            "sources",
            "plan",
            "definition",
            "flow",
            "base",
        ],
    ),
];

/// Third-party crates that only some rooms may name.
const OWNERS: &[(&str, &[&str])] = &[
    ("toml", &["definition"]),
    ("schemars", &["definition"]),
    ("tar", &["sources"]),
    ("flate2", &["sources", "nn"]),
    ("zstd", &["sources"]),
    ("zip", &["sources"]),
    ("csv", &["sources"]),
    ("image", &["decode"]),
    ("pulp", &["decode"]),
    ("candle_core", &["nn", "embed", "train", "caption"]),
    ("candle_nn", &["nn", "embed", "train", "caption"]),
    ("candle_transformers", &["nn", "embed", "train", "caption"]),
    ("tokenizers", &["nn", "embed"]),
    ("gemm", &["nn"]),
    ("jieba_rs", &["caption"]),
    ("quick_junit", &["cli"]),
    ("safetensors", &["nn", "embed", "train"]),
    ("deltalake_core", &["table"]),
    ("parquet", &["table"]),
    ("object_store", &["table"]),
    ("tokio", &["table"]),
    ("polars", &["query", "table"]),
    ("sqlparser", &["query"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("indicatif", &["cli"]),
    ("comfy_table", &["cli"]),
    ("rustyline", &["cli"]),
    ("miette", &["cli"]),
    ("signal_hook", &["cli"]),
    ("tracing_subscriber", &["cli"]),
];

/// What another room's tests may name: they write what its own reader reads.
const IN_TESTS: &[(&str, &str)] = &[("zip", "nn")];

/// Names of modules that say nothing of what is in them.
const VAGUE: &[&str] = &["utils", "util", "common", "helpers", "prelude", "imp", "misc"];

const MOST_LINES: usize = 600;

/// Every rule that is broken, one line each.
pub(crate) fn broken(tree: &Tree) -> Vec<String> {
    let mut out = Vec::new();
    for file in &tree.files {
        form(file, &mut out);
        rooms(tree, file, &mut out);
        owners(tree, file, &mut out);
    }
    cycles(tree, &mut out);
    out.sort();
    out.dedup();
    out
}

fn form(file: &File, out: &mut Vec<String>) {
    let path = &file.path;
    if file.lines > MOST_LINES {
        out.push(format!("{path}: {} lines; which two concepts does it hold?", file.lines));
    }
    if let Some(vague) = file.module.iter().find(|part| VAGUE.contains(&part.as_str())) {
        out.push(format!("{path}: a module called `{vague}` says nothing of what is in it"));
    }
    if let Some(room) = file.module.first()
        && !ROOMS.iter().any(|(name, _)| name == room)
    {
        out.push(format!("{path}: {room} is no room of the house"));
    }
    match &file.syntax {
        Err(error) => out.push(format!("{path}: cannot be parsed: {error}")),
        Ok(syntax) if file.is_index && path != "main.rs" => {
            let plain = |item: &Item| match item {
                Item::Mod(item) => item.content.is_none(),
                Item::Use(_) => true,
                _ => false,
            };
            if !syntax.items.iter().all(plain) {
                out.push(format!("{path}: holds more than docs and exports"));
            }
        }
        Ok(_) => {}
    }
}

fn rooms(tree: &Tree, file: &File, out: &mut Vec<String>) {
    let Some(room) = file.module.first() else { return };
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| name == room) else { return };
    for mention in &file.mentions {
        let Some(target) = tree.absolute(file, mention).and_then(|path| path.first().cloned())
        else {
            continue;
        };
        let known = ROOMS.iter().any(|(name, _)| *name == target);
        if known && target != *room && !allowed.contains(&target.as_str()) {
            out.push(format!("{}: {room} may not import {target}", file.path));
        }
    }
}

fn owners(tree: &Tree, file: &File, out: &mut Vec<String>) {
    let Some(room) = file.module.first() else { return };
    for mention in &file.mentions {
        let Some(first) = mention.path.first() else { continue };
        let Some((name, owners)) = OWNERS.iter().find(|(name, _)| name == first) else { continue };
        let ours = tree.absolute(file, mention).is_some() || file.imported.contains(*name);
        let is_lent = mention.test && IN_TESTS.contains(&(*name, room.as_str()));
        if !ours && !is_lent && !owners.contains(&room.as_str()) {
            out.push(format!("{}: {name} belongs to {}", file.path, owners.join(", ")));
        }
    }
}

/// Imports among files, tests and indexes left out: an index only passes names on.
fn cycles(tree: &Tree, out: &mut Vec<String>) {
    let indexes: BTreeSet<&Module> =
        tree.files.iter().filter(|file| file.is_index).map(|file| &file.module).collect();
    let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for file in tree.files.iter().filter(|file| !file.is_index) {
        for mention in file.mentions.iter().filter(|mention| !mention.test) {
            let target = tree.absolute(file, mention).and_then(|path| tree.home(&path));
            let Some(target) = target else { continue };
            let tests = target.last().is_some_and(|name| name == "tests")
                || file.module.last().is_some_and(|name| name == "tests");
            if target != file.module && !indexes.contains(&target) && !tests {
                edges.entry(file.module.clone()).or_default().insert(target);
            }
        }
    }
    // What is left after files without imports are taken away, again and again, is cyclic.
    loop {
        let leaves: Vec<Module> = edges
            .iter()
            .filter(|(_, targets)| targets.iter().all(|target| !edges.contains_key(target)))
            .map(|(module, _)| module.clone())
            .collect();
        if leaves.is_empty() {
            break;
        }
        leaves.iter().for_each(|leaf| {
            edges.remove(leaf);
        });
    }
    if let Some(cycle) = one_cycle(&edges) {
        let names: Vec<String> = cycle.iter().map(|module| module.join("::")).collect();
        out.push(format!("import cycle: {}", names.join(" → ")));
    }
}

/// Follows imports among files that all have one left, until a file comes again.
fn one_cycle(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut way = vec![edges.keys().next()?.clone()];
    loop {
        let last = way.last()?;
        let next = edges.get(last)?.iter().find(|target| edges.contains_key(*target))?.clone();
        if let Some(start) = way.iter().position(|module| *module == next) {
            let mut cycle = way.split_off(start);
            cycle.push(next);
            return Some(cycle);
        }
        way.push(next);
    }
}
