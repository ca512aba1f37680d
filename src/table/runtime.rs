//! The one tokio runtime, and how blocking code asks it.

use std::future::Future;
use std::sync::{OnceLock, mpsc};

use tokio::runtime::{Builder, Runtime};

use crate::base::{Error, Kind, Result};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

fn runtime() -> Result<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // several threads, because the log is read by blocking tasks that wait for others
    let built = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("clipmill-table")
        .build()
        .map_err(|cause| Error::io("cannot start threads for", "the tables", cause))?;
    if let Err(second) = RUNTIME.set(built) {
        second.shutdown_background();
    }
    RUNTIME.get().ok_or_else(|| Error::new(Kind::Internal, "lost the runtime of the tables"))
}

/// Runs `work` on the private runtime and waits for it.
///
/// The caller's thread only waits on a channel: it may belong to rayon, or even to another
/// runtime, and nothing is ever nested.
pub(super) fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let (send, receive) = mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        let _ = send.send(work.await);
    });
    receive.recv().map_err(|cause| {
        Error::new(Kind::Internal, "a task of the tables stopped in the middle").caused_by(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn may_be_asked_from_inside_another_runtime_and_from_rayon() {
        let other = Builder::new_current_thread().build().unwrap();
        assert_eq!(other.block_on(async { wait(async { 1 }).unwrap() }), 1);
        let (a, b) = rayon::join(|| wait(async { 2 }).unwrap(), || wait(async { 3 }).unwrap());
        assert_eq!((a, b), (2, 3));
    }

    #[test]
    fn a_panic_inside_is_an_error_outside() {
        let error = wait(async { panic!("boom") }).map(|(): ()| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
    }
}
