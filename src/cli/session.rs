//! What every command is handed: streams, progress, environment, clock, and the wish to stop.

use std::ffi::OsString;
use std::sync::Arc;

use crate::base::clock::{Clock, SystemClock};
use crate::base::environment::Environment;
use crate::base::progress::{Progress, Silent};
use crate::base::{Cancel, Result};

use super::args::Global;
use super::console::{self, Console};
use super::interrupt::Watch;
use super::progress::{Bars, Lines, Logged, Screen};

/// The surroundings of one command.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// What the streams can show.
    pub(crate) console: Console,
    /// Whether only failures are said.
    pub(crate) quiet: bool,
    /// The process's variables.
    pub(crate) environment: Environment,
    /// The machine's clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// Set by Ctrl-C, once [`Session::stop_on_signals`] listens.
    pub(crate) cancel: Cancel,
    /// Where work says how far it is: bars on a terminal, lines elsewhere, nothing when quiet; and
    /// the log.
    pub(crate) progress: Arc<dyn Progress>,
    /// The flags of the log, for processes that this one starts.
    pub(crate) logging: Vec<OsString>,
}

impl Session {
    /// Surroundings as the flags and the streams want them.
    #[must_use]
    pub(crate) fn new(
        global: &Global,
        console: Console,
        screen: &Screen,
        environment: &Environment,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let shown: Arc<dyn Progress> = if global.quiet {
            Arc::new(Silent)
        } else if console.err_terminal {
            Arc::new(Bars::new(screen.clone()))
        } else {
            Arc::new(Lines::new(clock.clone(), console::complain))
        };
        Self {
            console,
            quiet: global.quiet,
            environment: environment.clone(),
            cancel: Cancel::new(),
            progress: Arc::new(Logged::new(shown, clock.clone())),
            clock,
            logging: super::logging::flags(global),
        }
    }

    /// From here on, while the result lives, Ctrl-C asks the work to stop.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub(crate) fn stop_on_signals(&self) -> Result<Watch> {
        Watch::start(self.cancel.clone(), self.progress.clone())
    }

    /// A line for people, on standard error, unless only failures are wanted.
    pub(crate) fn say(&self, line: &str) {
        self.progress.note(line);
    }
}
