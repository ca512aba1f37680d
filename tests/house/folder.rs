//! Where tests of pipelines put their files.

/// A folder of its own; in memory, where the system has room there: syncs to a disk took a fifth of
/// the time of tests that kill runs. A killed process loses no more in it than on a disk.
pub fn folder() -> tempfile::TempDir {
    in_memory().unwrap_or_else(|| tempfile::tempdir().unwrap())
}

#[cfg(target_os = "linux")]
fn in_memory() -> Option<tempfile::TempDir> {
    /// A store has some megabytes, and several tests run at once.
    const ROOM_BYTES: u64 = 4 << 30;
    const MEMORY: &str = "/dev/shm";
    if std::env::var_os("TMPDIR").is_some() {
        return None;
    }
    let about = rustix::fs::statvfs(MEMORY).ok()?;
    let has_room = about.f_bavail.saturating_mul(about.f_frsize) >= ROOM_BYTES;
    has_room.then(|| tempfile::tempdir_in(MEMORY).ok()).flatten()
}

#[cfg(not(target_os = "linux"))]
fn in_memory() -> Option<tempfile::TempDir> {
    None
}
