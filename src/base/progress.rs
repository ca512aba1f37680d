//! What long work tells whoever watches it.

use std::fmt::Debug;

/// Receives what a run does; the terminal draws bars, a log writes lines, tests count.
///
/// Calls come from several threads, must not block, and may be far apart.
pub trait Progress: Debug + Send + Sync {
    /// Work named `task` begins; `total` units are expected, where that is known.
    fn begin(&self, task: &str, total: Option<u64>);
    /// `done` more units of `task` are finished.
    fn advance(&self, task: &str, done: u64);
    /// How `task` stands, in a few words beside its bar; the newest ones count.
    fn status(&self, _task: &str, _words: &str) {}
    /// `task` is over.
    fn end(&self, task: &str);
    /// One line for the user, beside the bars.
    fn note(&self, line: &str);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _task: &str, _total: Option<u64>) {}
    fn advance(&self, _task: &str, _done: u64) {}
    fn end(&self, _task: &str) {}
    fn note(&self, _line: &str) {}
}
