//! A storage that fails, tears, delays, or is full.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clipmill::table::storage::{Disk, Storage, StoredFile};

/// What happens to one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and does nothing.
    Fail,
    /// It is done, and fails all the same: of a write, half the bytes are done.
    Torn,
    /// A folder cannot be listed. Only listings count.
    List,
    /// Each operation takes a while, as of a seed.
    Delay(u64),
    /// From here on there is no space: whatever makes a file or a folder longer fails.
    Full,
}

/// Counts the operations that change something; the one of a number, or all from it on, are hit.
#[derive(Debug)]
pub struct Faulty {
    fault: Option<(Fault, u64)>,
    done: Arc<AtomicU64>,
    listed: AtomicU64,
}

impl Faulty {
    pub fn new(fault: Option<(Fault, u64)>) -> Self {
        Self { fault, done: Arc::default(), listed: AtomicU64::new(0) }
    }

    /// Operations so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Listings so far.
    pub fn listed(&self) -> u64 {
        self.listed.load(Ordering::SeqCst)
    }

    fn step<T>(&self, grows: bool, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        step(self.fault, &self.done, grows, act)
    }
}

fn step<T>(
    fault: Option<(Fault, u64)>,
    done: &AtomicU64,
    grows: bool,
    act: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let number = done.fetch_add(1, Ordering::SeqCst);
    match fault {
        Some((Fault::Fail, at)) if at == number => Err(io::Error::other("the disk said no")),
        Some((Fault::Torn, at)) if at == number => {
            act()?;
            Err(io::Error::other("the disk said no, and had done it"))
        }
        Some((Fault::Delay(seed), _)) => {
            let wait = number.wrapping_add(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
            std::thread::sleep(Duration::from_micros(wait));
            act()
        }
        Some((Fault::Full, at)) if at <= number && grows => {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        _ => act(),
    }
}

struct FaultyFile {
    file: Box<dyn StoredFile>,
    fault: Option<(Fault, u64)>,
    done: Arc<AtomicU64>,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let torn = matches!(self.fault, Some((Fault::Torn, at))
            if at == self.done.load(Ordering::SeqCst));
        let bytes = if torn { &bytes[..bytes.len() / 2] } else { bytes };
        step(self.fault, &self.done, true, || self.file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl StoredFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        step(self.fault, &self.done, false, || self.file.sync())
    }
}

impl Storage for Faulty {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        self.step(true, || Disk.create_folder(folder))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let file = self.step(true, || Disk.create(path))?;
        Ok(Box::new(FaultyFile { file, fault: self.fault, done: Arc::clone(&self.done) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(false, || Disk.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(true, || Disk.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(false, || Disk.remove(path))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step(false, || Disk.sync_folder(folder))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let number = self.listed.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Some((Fault::List, at)) if at == number => Err(io::Error::other("the disk said no")),
            _ => Disk.list(folder),
        }
    }
}

/// A place in an error that helps: below the store's folder.
pub fn is_below(place: Option<&str>, store: &Path) -> bool {
    let store = store.canonicalize().unwrap_or_else(|_| PathBuf::from(store));
    place.is_some_and(|place| Path::new(place).starts_with(&store))
}
