//! An event file: records appended, never changed.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::checksum::masked;
use super::event::Event;
use crate::base::{Error, Result, files};

/// An event file being written.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    out: BufWriter<File>,
    length_bytes: u64,
}

impl EventFile {
    /// Begins a file in `folder`, named so that TensorBoard reads it after all that are there.
    /// `done` are the steps before it; above 0 it says that a training goes on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(folder: &Path, done: u64, time_us: i64) -> Result<Self> {
        files::make_folder(folder)?;
        // TensorBoard takes files in the order of their names; two may begin in one second.
        let seconds = time_us.div_euclid(1_000_000);
        let mut number = 0_u32;
        let (path, file) = loop {
            let name = format!("events.out.tfevents.{seconds:010}.clipmill.{number:04}");
            let path = folder.join(name);
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(taken) if taken.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(cause) => return Err(Error::io("cannot make", path.display(), cause)),
            }
        };
        let mut events = Self { path, out: BufWriter::new(file), length_bytes: 0 };
        events.write(&Event::FileVersion, 0, time_us)?;
        if done > 0 {
            events.write(&Event::Restart, done + 1, time_us)?;
        }
        Ok(events)
    }

    /// Appends an event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, event: &Event<'_>, step: u64, time_us: i64) -> Result<()> {
        let data = event.encode(step, time_us);
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend(length);
        record.extend(masked(&length).to_le_bytes());
        record.extend(&data);
        record.extend(masked(&data).to_le_bytes());
        self.length_bytes += record.len() as u64;
        self.out.write_all(&record).map_err(|c| self.fault("cannot write", c))
    }

    /// Hands what was written to the operating system, so that TensorBoard sees it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(|c| self.fault("cannot write", c))
    }

    /// Makes what was written durable, and gives the file's name and its length.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sync(&mut self) -> Result<(String, u64)> {
        self.flush()?;
        self.out.get_ref().sync_data().map_err(|c| self.fault("cannot sync", c))?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, self.length_bytes))
    }

    fn fault(&self, what: &'static str, cause: std::io::Error) -> Error {
        Error::io(what, self.path.display(), cause)
    }
}
