//! One writer a store: a lock of the operating system, which a crash releases.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::clock::{Clock, rfc3339};
use crate::base::{Cancel, Error, Kind, Result};

const LOCK_FILE: &str = ".clipmill.lock";
const POLL: Duration = Duration::from_millis(20);
const CAP_BYTES: u64 = 4096;

/// Who holds a store; written into the lock file for whoever finds it locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Name of the machine.
    pub host: String,
    /// When it took the store, RFC 3339.
    pub since: String,
}

/// The right to write a store; given back when dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct StoreLock {
    file: File,
}

impl StoreLock {
    pub(super) fn take(
        root: &Path,
        clock: &dyn Clock,
        wait: bool,
        cancel: &Cancel,
    ) -> Result<Self> {
        let io = |what| move |cause| Error::io(what, root.join(LOCK_FILE).display(), cause);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join(LOCK_FILE))
            .map_err(io("cannot open the lock"))?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if wait => {
                    cancel.check()?;
                    std::thread::sleep(POLL);
                }
                Err(TryLockError::WouldBlock) => return Err(busy(root)),
                Err(TryLockError::Error(cause)) => return Err(io("cannot lock")(cause)),
            }
        }
        let holder =
            Holder { pid: std::process::id(), host: host(), since: rfc3339(clock.now_us()) };
        let text = serde_json::to_string(&holder).unwrap_or_default();
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(text.as_bytes()))
            .map_err(io("cannot write the lock"))?;
        Ok(Self { file })
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        // an empty file says nobody; closing would release the lock anyway
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

/// Who holds the store, if its lock file names somebody.
pub(super) fn holder(root: &Path) -> Option<Holder> {
    let bytes = crate::base::files::read_capped(&root.join(LOCK_FILE), CAP_BYTES).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn busy(root: &Path) -> Error {
    // Who has just taken the lock may not have written its name yet.
    let mut named = holder(root);
    for _ in 0..10 {
        if named.is_none() {
            std::thread::sleep(POLL / 4);
            named = holder(root);
        }
    }
    let who = match named {
        Some(holder) => format!(
            "is being written by process {} on {} since {}",
            holder.pid, holder.host, holder.since
        ),
        None => "is being written by another process".to_owned(),
    };
    Error::new(Kind::Busy, who).at(root.display()).help(
        "wait until it has finished, as `run --wait` does, or stop it; nothing of either is lost",
    )
}

fn host() -> String {
    const KERNEL_NAME: &str = "/proc/sys/kernel/hostname";
    let name = crate::base::files::read_text_capped(Path::new(KERNEL_NAME), CAP_BYTES);
    let name = name.unwrap_or_default().trim().to_owned();
    if name.is_empty() { "this machine".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;

    #[test]
    fn the_second_writer_learns_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::new();
        let first = StoreLock::take(dir.path(), &SystemClock, false, &cancel).unwrap();
        let error = StoreLock::take(dir.path(), &SystemClock, false, &cancel).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        assert!(error.what().contains(&format!("process {}", std::process::id())), "{error}");
        cancel.cancel();
        let stopped = StoreLock::take(dir.path(), &SystemClock, true, &cancel).unwrap_err();
        assert_eq!(stopped.kind(), Kind::Interrupted);
        drop(first);
        StoreLock::take(dir.path(), &SystemClock, false, &Cancel::new()).unwrap();
        assert_eq!(holder(dir.path()), None);
    }

    #[test]
    fn who_waits_gets_the_store_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let first = StoreLock::take(dir.path(), &SystemClock, false, &Cancel::new()).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                StoreLock::take(dir.path(), &SystemClock, true, &Cancel::new()).map(drop)
            });
            std::thread::sleep(Duration::from_millis(60));
            drop(first);
            second.join().unwrap().unwrap();
        });
    }
}
