//! What a training measures: for TensorBoard while it runs, for the table `metrics` at its end.
//!
//! Both files are cut back to where a checkpoint left them before a training goes on from it, so
//! that no step is told twice and no record is half there.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tensorboard::{Event, EventFile};
use crate::base::{Error, Kind, Result, files};

/// One number that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Steps of the optimiser so far.
    pub step: u64,
    /// Epoch, from 1.
    pub epoch: u32,
    /// What it is.
    pub name: String,
    /// The number; of f32's precision, which is TensorBoard's.
    pub value: f64,
    /// Microseconds since 1970.
    pub time_us: i64,
}

/// How long the files were when a checkpoint was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    metrics_bytes: u64,
    /// Event files by name.
    events: BTreeMap<String, u64>,
}

const METRICS: &str = "metrics.jsonl";
const CAP_BYTES: u64 = 4 << 30;

/// The files of a training, being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    metrics: BufWriter<File>,
    metrics_bytes: u64,
    earlier: BTreeMap<String, u64>,
    events: EventFile,
}

impl Journal {
    /// Opens the files of a training: metrics in `kept`, event files in `shown`. `mark` is that of
    /// the checkpoint it goes on from, after `done` steps; what was written since then goes.
    ///
    /// # Errors
    /// When a file cannot be opened or cut.
    pub fn open(kept: &Path, shown: &Path, mark: &Mark, done: u64, time_us: i64) -> Result<Self> {
        for folder in [kept, shown] {
            files::make_folder(folder)?;
        }
        let path = kept.join(METRICS);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|cause| Error::io("cannot open", path.display(), cause))?;
        cut(&file, &path, mark.metrics_bytes)?;
        cut_events(shown, mark)?;
        Ok(Self {
            path,
            metrics: BufWriter::new(file),
            metrics_bytes: mark.metrics_bytes,
            earlier: mark.events.clone(),
            events: EventFile::begin(shown, done, time_us)?,
        })
    }

    /// Notes numbers of one moment, and hands them on.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn record(
        &mut self,
        step: u64,
        epoch: u32,
        numbers: &[(&str, f64)],
        time_us: i64,
    ) -> Result<()> {
        for (name, value) in numbers {
            #[expect(clippy::cast_possible_truncation, reason = "TensorBoard's scalars are f32")]
            let value = *value as f32;
            self.events.write(&Event::Scalar { tag: name, value }, step, time_us)?;
            let metric =
                Metric { step, epoch, name: (*name).to_owned(), value: value.into(), time_us };
            let mut line = serde_json::to_vec(&metric).map_err(|cause| {
                Error::new(Kind::Internal, "a metric is no JSON").caused_by(cause)
            })?;
            line.push(b'\n');
            self.metrics
                .write_all(&line)
                .map_err(|cause| Error::io("cannot write", self.path.display(), cause))?;
            self.metrics_bytes += line.len() as u64;
        }
        self.events.flush()
    }

    /// Notes a text for TensorBoard.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn text(&mut self, step: u64, tag: &str, text: &str, time_us: i64) -> Result<()> {
        self.events.write(&Event::Text { tag, text }, step, time_us)?;
        self.events.flush()
    }

    /// Makes all of it durable and says how long the files are.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn sync(&mut self) -> Result<Mark> {
        self.metrics
            .flush()
            .and_then(|()| self.metrics.get_ref().sync_data())
            .map_err(|cause| Error::io("cannot sync", self.path.display(), cause))?;
        let mut events = self.earlier.clone();
        events.extend([self.events.sync()?]);
        Ok(Mark { metrics_bytes: self.metrics_bytes, events })
    }
}

/// Everything that a training whose metrics lie in `kept` measured; a last line that a crash cut
/// short is left out. So is any other that is broken, which is said: no training is lost for it.
///
/// # Errors
/// When the file cannot be read.
pub fn read(kept: &Path) -> Result<Vec<Metric>> {
    let path = kept.join(METRICS);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let (metrics, broken) = parse(&files::read_capped(&path, CAP_BYTES)?);
    if let Some(first) = broken.first() {
        let (place, lines) = (path.display(), broken.len());
        tracing::warn!("{place}:{first}: {lines} damaged lines, from this one on, are left out");
    }
    Ok(metrics)
}

/// The numbers, and the lines that are broken, from 1. Every whole line ends with a newline.
fn parse(bytes: &[u8]) -> (Vec<Metric>, Vec<usize>) {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').and_then(|end| bytes.get(..end));
    let lines = whole.into_iter().flat_map(|whole| whole.split(|byte| *byte == b'\n'));
    let (mut metrics, mut broken) = (Vec::new(), Vec::new());
    for (number, line) in lines.enumerate() {
        match serde_json::from_slice(line) {
            Ok(metric) => metrics.push(metric),
            Err(_) => broken.push(number + 1),
        }
    }
    (metrics, broken)
}

/// Event files that the checkpoint knows lose what came after it, others go.
fn cut_events(shown: &Path, mark: &Mark) -> Result<()> {
    let io = |cause| Error::io("cannot tidy", shown.display(), cause);
    for entry in std::fs::read_dir(shown).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("events.out.tfevents.") {
            continue;
        }
        match mark.events.get(&name) {
            Some(length_bytes) => {
                let file = OpenOptions::new().append(true).open(entry.path()).map_err(io)?;
                cut(&file, &entry.path(), *length_bytes)?;
            }
            None => std::fs::remove_file(entry.path()).map_err(io)?,
        }
    }
    Ok(())
}

fn cut(file: &File, path: &Path, length_bytes: u64) -> Result<()> {
    let io = |cause| Error::io("cannot cut", path.display(), cause);
    if file.metadata().map_err(io)?.len() > length_bytes {
        file.set_len(length_bytes).map_err(io)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_short_is_left_out_and_a_broken_one_before_it_is_told_of() {
        let line = |step: u64| {
            let metric = Metric { step, epoch: 1, name: "loss".to_owned(), value: 2.5, time_us: 9 };
            serde_json::to_string(&metric).unwrap() + "\n"
        };
        let found = |text: &str| {
            let (metrics, broken) = parse(text.as_bytes());
            (metrics.iter().map(|metric| metric.step).collect::<Vec<_>>(), broken)
        };
        let whole = line(1) + &line(2);
        assert_eq!(found(""), (vec![], vec![]));
        assert_eq!(found("{\"step\":3,"), (vec![], vec![]));
        assert_eq!(found(&whole), (vec![1, 2], vec![]));
        assert_eq!(found(&(whole.clone() + "{\"step\":3,")), (vec![1, 2], vec![]));
        for broken in ["{\"step\":3,\n", "\n", "\0\0\n"] {
            assert_eq!(found(&(whole.clone() + broken + &line(4))), (vec![1, 2, 4], vec![3]));
        }
    }

    #[test]
    fn a_journal_goes_on_where_a_checkpoint_left_it() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, shown) = (dir.path().join("kept"), dir.path().join("runs"));
        let open = |mark: &Mark, step| Journal::open(&kept, &shown, mark, step, 5_000_000).unwrap();
        let mut journal = open(&Mark::default(), 0);
        journal.record(1, 1, &[("loss", 2.5)], 1).unwrap();
        let mark = journal.sync().unwrap();
        journal.record(2, 1, &[("loss", 2.25)], 2).unwrap();
        drop(journal);
        assert_eq!(read(&kept).unwrap().len(), 2);
        let mut journal = open(&mark, 2);
        journal.record(2, 1, &[("loss", 2.0)], 3).unwrap();
        let mark = journal.sync().unwrap();
        let values: Vec<f64> = read(&kept).unwrap().iter().map(|m| m.value).collect();
        assert_eq!(values, [2.5, 2.0]);
        assert_eq!(mark.events.len(), 2);
        for (name, length_bytes) in &mark.events {
            assert_eq!(std::fs::metadata(shown.join(name)).unwrap().len(), *length_bytes);
        }
    }
}
