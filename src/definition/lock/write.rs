//! [`LockFile`] to text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::facts::{LockFile, Locked};

const HEAD: &str = "\
# Written by `clipmill lock`; not to be edited. One fact a line, sorted, so that git merges it.
# In a conflict: settle the definition, take either side of this file, run `clipmill lock` again.
";

/// The text of a lock: the same facts are always the same bytes.
#[must_use]
pub fn write(file: &LockFile) -> String {
    let mut out = Text(HEAD.to_owned());
    out.fact("format", file.format);
    for (name, locked) in &file.definitions {
        definition(&mut out, &["definitions", name], locked);
    }
    out.0
}

fn definition(out: &mut Text, path: &[&str], locked: &Locked) {
    for (name, model) in &locked.models {
        let path = [path, &["models", name]].concat();
        out.section(&path);
        out.fact("definition", quoted(&model.definition.to_string()));
        let files = model.files.iter();
        out.list(&path, "files", files.map(|(file, digest)| (file, quoted(&digest.to_string()))));
    }
    for (name, source) in &locked.sources {
        let path = [path, &["sources", name]].concat();
        out.section(&path);
        out.fact("definition", quoted(&source.definition.to_string()));
        let files = source.files.iter().map(|(file, fact)| {
            let blake3 = quoted(&fact.blake3.to_string());
            (file, format!("{{ blake3 = {blake3}, size_bytes = {} }}", fact.size_bytes))
        });
        out.list(&path, "files", files);
    }
    for (name, stage) in &locked.stages {
        let path = [path, &["stages", name]].concat();
        out.section(&path);
        out.fact("contract", quoted(&stage.contract.to_string()));
        out.fact("definition", quoted(&stage.definition.to_string()));
        if let Some(fingerprint) = &stage.fingerprint {
            out.fact("fingerprint", quoted(&fingerprint.to_string()));
        }
        let parts = stage.parts.iter().map(|(part, value)| (part, quoted(value)));
        out.list(&path, "parts", parts);
    }
    for (name, table) in &locked.tables {
        out.section(&[path, &["tables", name]].concat());
        out.fact("content", quoted(&table.content.to_string()));
        out.fact("rows", table.rows);
        out.fact("version", table.version);
    }
}

struct Text(String);

impl Text {
    /// The blank line and the header keep changes of neighbours apart, which git would not merge
    /// if their lines touched.
    fn section(&mut self, path: &[&str]) {
        let keys: Vec<String> = path.iter().map(|key| key_of(key)).collect();
        self.0.push_str(&format!("\n[{}]\n", keys.join(".")));
    }

    fn fact(&mut self, key: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("{} = {value}\n", key_of(key)));
    }

    fn list<'a>(
        &mut self,
        path: &[&str],
        name: &str,
        facts: impl Iterator<Item = (&'a String, String)>,
    ) {
        let facts: BTreeMap<&String, String> = facts.collect();
        if facts.is_empty() {
            return;
        }
        self.section(&[path, &[name]].concat());
        for (key, value) in facts {
            self.fact(key, value);
        }
    }
}

fn key_of(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quoted(key) }
}

/// A TOML basic string, on one line whatever it holds.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::super::facts::{FileFact, LockedModel, LockedSource, LockedStage, LockedTable};
    use super::super::read;
    use super::*;
    use crate::base::Digest;

    fn full() -> LockFile {
        let digest = Digest::of(b"x");
        let files = BTreeMap::from([
            ("../data/ü \"a\"\n\\.tar".to_owned(), FileFact { blake3: digest, size_bytes: 7 }),
            ("${DATA}/b.tar".to_owned(), FileFact { blake3: digest, size_bytes: u32::MAX.into() }),
        ]);
        let locked = Locked {
            models: BTreeMap::from([(
                "clip".to_owned(),
                LockedModel {
                    definition: digest,
                    files: BTreeMap::from([("clip/config.json".to_owned(), digest)]),
                },
            )]),
            sources: BTreeMap::from([(
                "photos".to_owned(),
                LockedSource { definition: digest, files },
            )]),
            stages: BTreeMap::from([(
                "images".to_owned(),
                LockedStage {
                    contract: digest,
                    definition: digest,
                    fingerprint: Some(digest),
                    parts: BTreeMap::from([
                        ("settings.clean".to_owned(), "Whitespace,ZeroWidth".to_owned()),
                        ("operator".to_owned(), "index_images/1".to_owned()),
                    ]),
                },
            )]),
            tables: BTreeMap::from([(
                "images".to_owned(),
                LockedTable { content: digest, rows: 3, version: 12 },
            )]),
        };
        let mut file = LockFile::default();
        file.definitions.insert("a b.toml".to_owned(), locked);
        file.definitions.insert("z.toml".to_owned(), Locked::default());
        file
    }

    #[test]
    fn what_is_written_is_read() {
        let mut file = full();
        let text = write(&file);
        let again = read("clipmill.lock", &text).unwrap();
        // A definition of which nothing is known has no section.
        file.definitions.remove("z.toml");
        assert_eq!(again, file);
        assert_eq!(write(&again), text);
    }

    #[test]
    fn every_fact_has_one_line_and_sections_are_sorted() {
        let text = write(&full());
        let headers: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')).collect();
        let mut sorted = headers.clone();
        sorted.sort_unstable();
        assert_eq!(headers, sorted);
        assert!(text.contains("\n[definitions.\"a b.toml\".sources.photos.files]\n"), "{text}");
        assert!(text.contains("\n\"../data/ü \\\"a\\\"\\u000A\\\\.tar\" = { blake3 = "), "{text}");
    }
}
