//! Command lines that a shell reads back as they are meant.

use std::fmt;
use std::path::{Path, PathBuf};

/// `clipmill COMMAND FILE …`, to be copied into a shell.
#[derive(Debug, Clone)]
pub(crate) struct CommandLine {
    line: String,
    file: PathBuf,
    /// What of the file was set otherwise, for other commands too.
    sets: String,
}

impl CommandLine {
    /// The command over a file.
    #[must_use]
    pub(crate) fn new(command: &str, file: &Path) -> Self {
        let line = format!("clipmill {command} {}", word(&file.display().to_string()));
        Self { line, file: file.to_owned(), sets: String::new() }
    }

    /// A question to the tables of the same file.
    #[must_use]
    pub(crate) fn query(&self, sql: &str) -> Self {
        let mut query = Self::new("query", &self.file);
        query.line.push_str(&format!("{} {}", self.sets, word(sql)));
        query
    }

    /// The flag with each of the values.
    #[must_use]
    pub(crate) fn each(mut self, flag: &str, values: &[String]) -> Self {
        for value in values {
            let more = format!(" {flag} {}", word(value));
            self.line.push_str(&more);
            if flag == "--set" {
                self.sets.push_str(&more);
            }
        }
        self
    }

    /// The flag, where it was given.
    #[must_use]
    pub(crate) fn flag(mut self, flag: &str, given: bool) -> Self {
        if given {
            self.line.push_str(&format!(" {flag}"));
        }
        self
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// One word, in quotes where a shell would read it otherwise.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=,+@%".contains(c);
    if !text.is_empty() && !text.starts_with('=') && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_back() {
        let words = [
            "pipelines/flickr30k.toml",
            "stages.images.source=photos",
            "été/ü.toml",
            "",
            "a b",
            "it's",
            "$HOME/*.toml",
            "~/x",
            "a;b",
            "=ls",
            "two\nlines",
            "\\",
            "\"",
        ];
        for kept in words.iter().take(3) {
            assert_eq!(word(kept), *kept);
        }
        let line: Vec<String> = words.iter().map(|text| word(text)).collect();
        let script = format!("printf '%s\\0' {}", line.join(" "));
        let out = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();
        let read = String::from_utf8(out.stdout).unwrap();
        assert_eq!(read.split_terminator('\0').collect::<Vec<_>>(), words, "{script}");
    }

    #[test]
    fn flags_that_were_given_come_again() {
        let sets = ["a.b=c d".to_owned(), "x=1".to_owned()];
        let line = CommandLine::new("run", Path::new("my data/p.toml"))
            .each("--set", &sets)
            .each("--only", &[])
            .flag("--locked", false)
            .flag("--retry-rejects", true);
        let query = line.query("SELECT 1").to_string();
        assert_eq!(query, "clipmill query 'my data/p.toml' --set 'a.b=c d' --set x=1 'SELECT 1'");
        let said = "clipmill run 'my data/p.toml' --set 'a.b=c d' --set x=1 --retry-rejects";
        assert_eq!(line.to_string(), said);
    }
}
