//! What is shown, told to the log as well.

use std::sync::Arc;

use crate::base::clock::Clock;
use crate::base::progress::Progress;
use crate::base::units::count;

use super::Lines;

/// Target of what the log's file is told and the terminal shows by other means: progress, notes,
/// what a command prints in the end.
pub const TOLD: &str = concat!(env!("CARGO_CRATE_NAME"), "::told");

/// Hands everything on, and tells the log how tasks begin and end, and the notes.
#[derive(Debug)]
pub struct Logged {
    shown: Arc<dyn Progress>,
    told: Lines,
}

impl Logged {
    /// Progress that `shown` shows; the log's rates are timed by `clock`.
    pub fn new(shown: Arc<dyn Progress>, clock: Arc<dyn Clock>) -> Self {
        Self { shown, told: Lines::at_ends(clock, |line| tracing::info!(target: TOLD, "{line}")) }
    }
}

impl Progress for Logged {
    fn begin(&self, task: &str, total: Option<u64>) {
        // No line and no bar says it: the log on the terminal may.
        match total {
            Some(total) => tracing::info!("{task}: begun, {} to do", count(total)),
            None => tracing::info!("{task}: begun"),
        }
        self.told.begin(task, total);
        self.shown.begin(task, total);
    }

    fn advance(&self, task: &str, done: u64) {
        self.told.advance(task, done);
        self.shown.advance(task, done);
    }

    fn status(&self, task: &str, words: &str) {
        self.shown.status(task, words);
    }

    fn end(&self, task: &str) {
        self.told.end(task);
        self.shown.end(task);
    }

    fn note(&self, line: &str) {
        self.told.note(line);
        self.shown.note(line);
    }
}
