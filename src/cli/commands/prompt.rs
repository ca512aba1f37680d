//! The prompt of `clipmill query`: statements end with `;`, names complete, lines are kept.

use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Editor, Helper, Highlighter, Hinter};

use crate::base::environment::Environment;
use crate::base::{Error, Kind, Result};
use crate::cli::session::Session;
use crate::cli::{console, render};
use crate::query::{self, Answer, split_statements};

const PROMPT: &str = "clipmill> ";
const GREETING: &str = "SQL ends with `;`. SHOW TABLES; DESCRIBE t; Tab completes. \
                        `help` says more, Ctrl-D leaves.";
const HELP: &str = "SHOW TABLES;                  what there is\n\
DESCRIBE captions;            columns, units, meanings\n\
SELECT … ;                    any SQL that Polars reads\n\
cosine(embedding, clip_text('two dogs on grass')), clip_image('path.jpg'), l2, dot\n\
quit                          leaves, as Ctrl-D does";

/// Completes names and waits for the semicolon.
#[derive(Helper, Highlighter, Hinter)]
struct Typing<'a> {
    tables: &'a query::Session,
}

impl Completer for Typing<'_> {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..position).unwrap_or_default();
        let start = word_start(typed);
        let word = typed.get(start..).unwrap_or_default();
        Ok((start, query::complete(self.tables.catalog(), word)))
    }
}

/// Where the word at the text's end begins.
fn word_start(typed: &str) -> usize {
    typed
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '.'))
        .last()
        .map_or(typed.len(), |(at, _)| at)
}

impl Validator for Typing<'_> {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_whole(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// Whether nothing is left to type: a word for the prompt, or statements that all end.
fn is_whole(input: &str) -> bool {
    word(input).is_some() || split_statements(input).rest.trim().is_empty()
}

/// What the prompt itself answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Quit,
    Help,
}

fn word(input: &str) -> Option<Word> {
    match input.trim().trim_end_matches(';').to_ascii_lowercase().as_str() {
        "quit" | "exit" | "\\q" | ".quit" => Some(Word::Quit),
        "help" | "\\h" | ".help" | "?" => Some(Word::Help),
        _ => None,
    }
}

/// Reads and answers until the user leaves.
///
/// `write` shows an answer.
///
/// # Errors
/// When the terminal fails; a wrong statement is said and the prompt goes on.
pub(crate) fn serve(
    tables: &query::Session,
    write: &dyn Fn(&Answer) -> Result<()>,
    session: &Session,
) -> Result<()> {
    let failed = |cause: ReadlineError| {
        Error::new(Kind::Io, "cannot read from the terminal").caused_by(cause)
    };
    let mut editor: Editor<Typing<'_>, DefaultHistory> = Editor::new().map_err(failed)?;
    editor.set_helper(Some(Typing { tables }));
    let history = history_file(&session.environment);
    if let Some(path) = &history {
        // A first session has no history; a broken one is not worth more than a line in the log.
        if let Err(cause) = editor.load_history(path) {
            tracing::debug!("no history from {}: {cause}", path.display());
        }
    }
    session.say(GREETING);
    loop {
        match editor.readline(PROMPT) {
            Ok(input) => {
                let _kept = editor.add_history_entry(input.as_str());
                match word(&input) {
                    Some(Word::Quit) => break,
                    Some(Word::Help) => console::print(HELP)?,
                    None => answer_all(tables, &input, write, session)?,
                }
            }
            // Ctrl-C throws away what was typed, as in a shell.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(cause) => return Err(failed(cause)),
        }
    }
    if let Some(path) = &history {
        let saved = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(cause) =
            saved.map_err(ReadlineError::from).and_then(|()| editor.save_history(path))
        {
            tracing::warn!("the history was not kept in {}: {cause}", path.display());
        }
    }
    Ok(())
}

fn answer_all(
    tables: &query::Session,
    input: &str,
    write: &dyn Fn(&Answer) -> Result<()>,
    session: &Session,
) -> Result<()> {
    for statement in split_statements(input).statements {
        match tables.sql(&statement) {
            Ok(answer) => write(&answer)?,
            Err(error) => {
                console::complain(&render::error_human(&error, session.console.err_color));
            }
        }
    }
    Ok(())
}

/// `$XDG_STATE_HOME/clipmill/query-history`, below `~/.local/state` where that is not set.
fn history_file(environment: &Environment) -> Option<PathBuf> {
    let set = |name| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("clipmill/query-history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_begins_after_the_last_separator() {
        assert_eq!(word_start("SELECT capt"), 7);
        assert_eq!(word_start("SELECT captions.te"), 7);
        assert_eq!(word_start("SELECT 'é' , max("), 18);
        assert_eq!(word_start(""), 0);
    }

    #[test]
    fn statements_are_whole_at_their_semicolon() {
        assert!(is_whole("SELECT 1;") && is_whole("") && is_whole("quit") && is_whole("HELP;"));
        assert!(!is_whole("SELECT 1") && !is_whole("SELECT ';"));
        assert_eq!(word("exit;"), Some(Word::Quit));
        assert_eq!(word("SELECT quit;"), None);
    }

    #[test]
    fn the_history_is_in_the_state_folder() {
        let home = Environment::from_iter([("HOME", "/h")]);
        let xdg = Environment::from_iter([("HOME", "/h"), ("XDG_STATE_HOME", "/s")]);
        assert_eq!(
            history_file(&home),
            Some(PathBuf::from("/h/.local/state/clipmill/query-history"))
        );
        assert_eq!(history_file(&xdg), Some(PathBuf::from("/s/clipmill/query-history")));
        assert_eq!(history_file(&Environment::default()), None);
    }
}
