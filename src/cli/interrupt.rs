//! Ctrl-C: the first asks the work to stop, the second does not ask.

use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::base::progress::Progress;
use crate::base::{Cancel, Error, Result};

use super::exit::Code;

/// Listens for SIGINT and SIGTERM while it lives.
#[derive(Debug)]
pub(crate) struct Watch {
    handle: Handle,
}

impl Watch {
    /// The first signal sets `cancel` and says through `progress` what happens; the second ends
    /// the process at once. What was committed is whole either way.
    ///
    /// # Errors
    /// When the system refuses the handlers or the thread that serves them.
    pub(crate) fn start(cancel: Cancel, progress: Arc<dyn Progress>) -> Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])
            .map_err(|cause| Error::io("cannot listen for", "SIGINT and SIGTERM", cause))?;
        let handle = signals.handle();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for _signal in &mut signals {
                    if cancel.is_cancelled() {
                        std::process::exit(i32::from(Code::Interrupted.number()));
                    }
                    cancel.cancel();
                    progress.note(
                        "stopping: the batches in flight are finished and kept; \
                         Ctrl-C again stops at once",
                    );
                }
            })
            .map_err(|cause| Error::io("cannot start a thread for", "signals", cause))?;
        Ok(Self { handle })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.handle.close();
    }
}
