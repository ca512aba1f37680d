//! Standard output and standard error, and what they can show.

use std::io::{self, IsTerminal, Write};

use crate::base::environment::Environment;
use crate::base::{Error, Result};

use super::args::Color;

/// What the two streams can show; decided once, at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Console {
    /// Whether standard output takes colours.
    pub(crate) out_color: bool,
    /// Whether standard error takes colours.
    pub(crate) err_color: bool,
    /// Whether somebody looks at standard output.
    pub(crate) out_terminal: bool,
    /// Whether somebody looks at standard error, where progress is drawn.
    pub(crate) err_terminal: bool,
}

impl Console {
    /// Asks the streams and the environment (`NO_COLOR`, `CLICOLOR_FORCE`, `TERM=dumb`); an
    /// explicit `--color` wins.
    #[must_use]
    pub(crate) fn new(color: Color, environment: &Environment) -> Self {
        let out_terminal = io::stdout().is_terminal();
        let err_terminal = io::stderr().is_terminal();
        let takes = |terminal| takes_color(color, environment, terminal);
        Self {
            out_color: takes(out_terminal),
            err_color: takes(err_terminal),
            out_terminal,
            err_terminal,
        }
    }
}

fn takes_color(color: Color, environment: &Environment, terminal: bool) -> bool {
    let set = |name| environment.get(name).is_some_and(|value| !value.is_empty());
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if set("NO_COLOR") => false,
        Color::Auto if environment.get("CLICOLOR_FORCE").is_some_and(|v| v != "0") => true,
        Color::Auto => terminal && environment.get("TERM") != Some("dumb"),
    }
}

/// Standard output whose reader may leave early: `clipmill query … | head` is no error.
#[derive(Debug)]
pub(crate) struct Stdout {
    inner: io::Stdout,
    gone: bool,
}

impl Stdout {
    /// Standard output with a reader.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { inner: io::stdout(), gone: false }
    }

    fn unless_gone<T>(&mut self, result: io::Result<T>, ignored: T) -> io::Result<T> {
        match result {
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(ignored)
            }
            other => other,
        }
    }
}

impl Default for Stdout {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone {
            return Ok(bytes.len());
        }
        let written = self.inner.write(bytes);
        self.unless_gone(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        let flushed = self.inner.flush();
        self.unless_gone(flushed, ())
    }
}

/// Writes `text` and a line's end to standard output.
///
/// # Errors
/// When standard output cannot be written for another reason than a reader that left.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = Stdout::new();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|cause| Error::io("cannot write", "standard output", cause))
}

/// Writes `text` and a line's end to standard error; nobody is left to tell if that fails.
pub(crate) fn complain(text: &str) {
    let _gone = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_flag_then_environment_then_terminal() {
        let none = Environment::default();
        let no_color = Environment::from_iter([("NO_COLOR", "1")]);
        let empty = Environment::from_iter([("NO_COLOR", "")]);
        let dumb = Environment::from_iter([("TERM", "dumb")]);
        let force = Environment::from_iter([("CLICOLOR_FORCE", "1")]);
        assert!(takes_color(Color::Auto, &none, true));
        assert!(!takes_color(Color::Auto, &none, false));
        assert!(!takes_color(Color::Auto, &no_color, true));
        assert!(takes_color(Color::Auto, &empty, true));
        assert!(!takes_color(Color::Auto, &dumb, true));
        assert!(takes_color(Color::Auto, &force, false));
        assert!(takes_color(Color::Always, &no_color, false));
        assert!(!takes_color(Color::Never, &force, true));
    }
}
