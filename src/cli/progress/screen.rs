//! Standard error, shared by bars, notes and the log.

use indicatif::{MultiProgress, ProgressDrawTarget};

/// The place where bars are drawn; others ask it to step aside before they write.
#[derive(Debug, Clone)]
pub struct Screen {
    bars: MultiProgress,
}

impl Screen {
    /// Standard error, where `drawn`; else a screen that shows no bars.
    #[must_use]
    pub fn new(drawn: bool) -> Self {
        let target =
            if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target) }
    }

    /// Runs `write` while no bar is on the screen.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bars.suspend(write)
    }

    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }
}
