//! Brings rows of captions into the order of their table. Rows that come in it go through. Once some
//! do not, the rest are sorted, so many at a time, into files that nobody else sees, and those are
//! merged: what is in memory is bounded by [`Sizes`], whatever the number of captions.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array as _, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::base::{Error, Kind, Result};
use crate::flow::{Caption, Origin};

use super::caption_row::CaptionRow;
use super::rows;

/// How much is in memory at once.
#[derive(Clone, Copy)]
struct Sizes {
    /// Rows, and bytes of their texts, that are sorted together.
    run: (usize, usize),
    /// The same of a file that are in memory while files are merged.
    batch: (usize, usize),
    /// Files that become one, so that few are open.
    together: usize,
}

/// Some 20 MB of usual captions a run, and a third of a megabyte of each file while they are merged.
const SIZES: Sizes = Sizes { run: (65_536, 32 << 20), batch: (1024, 1 << 20), together: 64 };

/// Rows on their way into order.
pub(super) struct Sorter {
    /// Where files may be made; none where all rows may be in memory.
    folder: Option<PathBuf>,
    sizes: Sizes,
    /// The key of the last row that went through.
    last: Option<(String, i32)>,
    /// Whether the rows were found to be in another order.
    is_other: bool,
    held: Vec<CaptionRow>,
    /// Bytes of the texts of `held`.
    held_bytes: usize,
    /// In the order in which their rows came.
    runs: Vec<SortedRun>,
}

/// Sorted rows in a file.
struct SortedRun {
    file: File,
    rows: usize,
    /// How often its rows were merged.
    level: u32,
}

impl Sorter {
    /// With a folder for its files, which is made if need be; without one, in memory alone.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            sizes: SIZES,
            last: None,
            is_other: false,
            held: Vec::new(),
            held_bytes: 0,
            runs: Vec::new(),
        }
    }

    /// The rows that can be made now: none once some were out of order.
    ///
    /// # Errors
    /// When a file cannot be written, or one that was cannot be read.
    pub(super) fn take(&mut self, rows: Vec<CaptionRow>) -> Result<Vec<CaptionRow>> {
        let last = self.last.as_ref().map(|(id, index)| (id.as_str(), *index));
        let follows = rows.first().is_none_or(|first| last.is_none_or(|last| last < first.order()));
        self.is_other |= !follows || !rows.is_sorted_by(|a, b| a.order() < b.order());
        if self.is_other {
            self.held_bytes += rows.iter().map(|row| row.caption.text.len()).sum::<usize>();
            self.held.extend(rows);
            if self.held.len() >= self.sizes.run.0 || self.held_bytes >= self.sizes.run.1 {
                self.set_down()?;
            }
            return Ok(Vec::new());
        }
        if let Some((id, index)) = rows.last().map(CaptionRow::order) {
            self.last = Some((id.to_owned(), index));
        }
        Ok(rows)
    }

    /// The others, in order, some at a time.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn rest(mut self) -> Result<Sorted> {
        if self.runs.is_empty() {
            sort(&mut self.held);
            return Ok(Sorted::Held(self.held.into_iter()));
        }
        self.set_down()?;
        let folder = self.folder.unwrap_or_default();
        Merge::new(self.runs, folder, self.sizes).map(Sorted::Merged)
    }

    /// Writes what is held as one more sorted run.
    fn set_down(&mut self) -> Result<()> {
        let Some(folder) = self.folder.as_ref().filter(|_| !self.held.is_empty()) else {
            return Ok(());
        };
        let mut held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        sort(&mut held);
        let mut held = held.into_iter();
        let sizes = self.sizes;
        self.runs.push(written(folder, 0, &mut || Ok(some(&mut held, sizes.batch)))?);
        // neighbours alone are merged, so that of one key first stays what came first
        while let Some(first) = self.runs.len().checked_sub(sizes.together)
            && let Some(level) = self.runs.last().map(|run| run.level)
            && self.runs[first..].iter().all(|run| run.level == level)
        {
            let mut merge = Merge::new(self.runs.split_off(first), folder.clone(), sizes)?;
            self.runs.push(written(folder, level + 1, &mut || merge.next(sizes.batch))?);
        }
        Ok(())
    }
}

/// Rows in order.
pub(super) enum Sorted {
    Held(std::vec::IntoIter<CaptionRow>),
    Merged(Merge),
}

impl Sorted {
    /// The next rows, so many at most; none at the end. Of one key, first what came first.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn next(&mut self, rows: usize) -> Result<Vec<CaptionRow>> {
        match self {
            Self::Held(held) => Ok(held.by_ref().take(rows).collect()),
            Self::Merged(merge) => merge.next((rows, merge.sizes.run.1)),
        }
    }
}

fn sort(rows: &mut [CaptionRow]) {
    rows.sort_by(|a, b| a.order().cmp(&b.order()));
}

/// So many rows with so many bytes of text at most, but one where there is one.
fn some(
    rows: &mut impl Iterator<Item = CaptionRow>,
    (most, most_bytes): (usize, usize),
) -> Vec<CaptionRow> {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while taken.len() < most && bytes < most_bytes {
        let Some(row) = rows.next() else { break };
        bytes += row.caption.text.len();
        taken.push(row);
    }
    taken
}

/// Writes rows, some at a time until there are none, into a file without a name: it is gone with
/// this process, however that ends.
fn written(
    folder: &Path,
    level: u32,
    next: &mut dyn FnMut() -> Result<Vec<CaptionRow>>,
) -> Result<SortedRun> {
    let place = || folder.display();
    crate::base::files::make_folder(folder)?;
    let file = tempfile::tempfile_in(folder)
        .map_err(|cause| Error::io("cannot make a temporary file in", place(), cause))?;
    let schema = schema();
    let io = |cause| failed("cannot write captions to be sorted in", folder, cause);
    let mut writer = StreamWriter::try_new(BufWriter::new(file), &schema).map_err(io)?;
    let mut total = 0;
    loop {
        let rows = next()?;
        if rows.is_empty() {
            break;
        }
        writer.write(&batch(&schema, &rows)?).map_err(io)?;
        total += rows.len();
    }
    let mut writer = writer.into_inner().map_err(io)?;
    writer.flush().map_err(|cause| io(cause.into()))?;
    let mut file = writer.into_inner().map_err(|cause| io(cause.into_error().into()))?;
    file.rewind().map_err(|cause| io(cause.into()))?;
    Ok(SortedRun { file, rows: total, level })
}

/// Several sorted runs as one.
pub(super) struct Merge {
    runs: Vec<Run>,
    /// Where the files are, for messages.
    folder: PathBuf,
    sizes: Sizes,
    /// The next row of each run that has one: its key, then which run.
    next: BinaryHeap<Reverse<(String, i32, usize)>>,
}

/// A run that is read.
struct Run {
    batches: StreamReader<BufReader<File>>,
    rows: std::vec::IntoIter<CaptionRow>,
    /// Rows that were written and not read: a file that lost some may look as if it ended.
    left: usize,
}

impl Merge {
    fn new(runs: Vec<SortedRun>, folder: PathBuf, sizes: Sizes) -> Result<Self> {
        let mut merge = Self { runs: Vec::new(), folder, sizes, next: BinaryHeap::new() };
        for (number, run) in runs.into_iter().enumerate() {
            let batches = StreamReader::try_new(BufReader::new(run.file), None)
                .map_err(|cause| unread(&merge.folder, cause))?;
            merge.runs.push(Run { batches, rows: Vec::new().into_iter(), left: run.rows });
            merge.wait(number)?;
        }
        Ok(merge)
    }

    /// Puts a run in its place, if it has more.
    fn wait(&mut self, number: usize) -> Result<()> {
        let run = &mut self.runs[number];
        if run.rows.as_slice().is_empty() {
            let Some(batch) = run.batches.next() else {
                if run.left == 0 {
                    return Ok(());
                }
                let lost = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return Err(unread(&self.folder, lost.into()));
            };
            let batch = batch.map_err(|cause| unread(&self.folder, cause))?;
            run.left = run.left.saturating_sub(batch.num_rows());
            run.rows = rows_of(&batch)?.into_iter();
        }
        if let Some(row) = run.rows.as_slice().first() {
            let (id, index) = row.order();
            self.next.push(Reverse((id.to_owned(), index, number)));
        }
        Ok(())
    }

    /// As [`some`].
    fn next(&mut self, (most, most_bytes): (usize, usize)) -> Result<Vec<CaptionRow>> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < most && bytes < most_bytes {
            let Some(Reverse((_, _, number))) = self.next.pop() else { break };
            if let Some(row) = self.runs[number].rows.next() {
                bytes += row.caption.text.len();
                taken.push(row);
            }
            self.wait(number)?;
        }
        Ok(taken)
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, kind| Field::new(name, kind, name == "split");
    Arc::new(Schema::new(vec![
        field("image_id", DataType::Utf8),
        field("caption_index", DataType::Int32),
        field("text", DataType::Utf8),
        field("source", DataType::Utf8),
        field("member", DataType::Utf8),
        field("offset", DataType::Int64),
        field("split", DataType::Utf8),
        field("digest", DataType::Utf8),
    ]))
}

fn batch(schema: &SchemaRef, of: &[CaptionRow]) -> Result<RecordBatch> {
    let captions = || of.iter().map(|row| &row.caption);
    let split = |row: &CaptionRow| row.split.map(crate::flow::Split::name);
    rows::batch(
        schema,
        &[
            ("image_id", rows::strings(captions().map(|c| &c.image_id))),
            ("caption_index", rows::int32s(captions().map(|c| c.caption_index))),
            ("text", rows::strings(captions().map(|c| &c.text))),
            ("source", rows::strings(captions().map(|c| &c.origin.source))),
            ("member", rows::strings(captions().map(|c| &c.origin.member))),
            ("offset", rows::int64s(captions().map(|c| c.origin.offset.cast_signed()))),
            ("split", rows::optional_strings(of.iter().map(split))),
            ("digest", rows::strings(of.iter().map(|row| row.digest.to_string()))),
        ],
    )
}

/// What [`batch`] wrote. What a file of captions says of the split is in the row's own by now.
fn rows_of(batch: &RecordBatch) -> Result<Vec<CaptionRow>> {
    let strings = |name| rows::column::<StringArray>(batch, name);
    let (ids, texts, sources) = (strings("image_id")?, strings("text")?, strings("source")?);
    let (members, splits, digests) = (strings("member")?, strings("split")?, strings("digest")?);
    let indices = rows::column::<Int32Array>(batch, "caption_index")?;
    let offsets = rows::column::<Int64Array>(batch, "offset")?;
    (0..batch.num_rows())
        .map(|at| {
            let split = splits.is_valid(at).then(|| splits.value(at).parse()).transpose();
            Ok(CaptionRow {
                caption: Caption {
                    image_id: ids.value(at).to_owned(),
                    caption_index: indices.value(at),
                    text: texts.value(at).to_owned(),
                    origin: Origin {
                        source: sources.value(at).into(),
                        member: members.value(at).into(),
                        offset: offsets.value(at).cast_unsigned(),
                    },
                    split: None,
                },
                split: split.map_err(|what: String| Error::new(Kind::Internal, what))?,
                digest: digests.value(at).parse()?,
            })
        })
        .collect()
}

fn unread(folder: &Path, cause: ArrowError) -> Error {
    failed("cannot read captions that were sorted in", folder, cause)
}

fn failed(what: &'static str, folder: &Path, cause: ArrowError) -> Error {
    match cause {
        // so that a full disk is said as such
        ArrowError::IoError(_, cause) => Error::io(what, folder.display(), cause),
        cause => Error::new(Kind::Internal, what).at(folder.display()).caused_by(cause),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::Digest;
    use crate::base::files::write_atomic;
    use crate::flow::Split;

    fn row(id: u8, index: i32, number: u64) -> CaptionRow {
        let text = format!("caption {number}");
        let digest = Digest::of(text.as_bytes());
        let splits = [None, Some(Split::Train), Some(Split::Val), Some(Split::Test)];
        let split = splits[usize::from(id % 4)];
        let (source, member) = ("a.token".into(), format!("member {number}").into());
        let origin = Origin { source, member, offset: number };
        let image_id = format!("image {id}");
        let caption = Caption { image_id, caption_index: index, text, origin, split: None };
        CaptionRow { caption, split, digest }
    }

    fn small(folder: &Path, run_rows: usize) -> Sorter {
        // a text has ten bytes or more: both bounds are met
        let sizes = Sizes { run: (run_rows, 700), batch: (7, 60), together: 3 };
        Sorter { sizes, ..Sorter::new(Some(folder.join("new"))) }
    }

    fn sorted(rows: Vec<CaptionRow>, chunk: usize, mut sorter: Sorter) -> Vec<CaptionRow> {
        let mut out = Vec::new();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            out.extend(sorter.take(rows.by_ref().take(chunk).collect()).unwrap());
            // levels of two runs at most, and one more while it is merged
            assert!(sorter.runs.len() <= 16);
        }
        let mut rest = sorter.rest().unwrap();
        loop {
            let some = rest.next(chunk).unwrap();
            if some.is_empty() {
                return out;
            }
            assert!(some.len() <= chunk);
            out.extend(some);
        }
    }

    /// Rows against the order, on disk.
    fn set_down(folder: &Path) -> Sorter {
        let mut sorter = small(folder, 10);
        for number in 0..20 {
            sorter.take(vec![row(0, -number, 0)]).unwrap();
        }
        assert!(!sorter.runs.is_empty());
        sorter
    }

    #[test]
    fn a_file_that_lost_its_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = set_down(folder.path());
        // as it ends where a batch does
        let run = &mut sorter.runs[0];
        let (schema, none) = (schema(), Vec::new());
        let mut writer = StreamWriter::try_new(none, &schema).unwrap();
        writer.write(&batch(&schema, &[row(0, 0, 0)]).unwrap()).unwrap();
        let bytes = writer.into_inner().unwrap();
        run.file.set_len(0).unwrap();
        run.file.rewind().unwrap();
        run.file.write_all(&bytes).unwrap();
        run.file.rewind().unwrap();
        let read = sorter.rest().and_then(|mut rest| rest.next(100));
        let error = read.err().unwrap();
        assert_eq!(error.kind(), Kind::Io);
        assert!(error.to_string().contains("cannot read captions that were sorted"), "{error}");
    }

    #[test]
    fn where_no_file_can_be_made_is_said() {
        let folder = tempfile::tempdir().unwrap();
        write_atomic(&folder.path().join("new"), |_| Ok(())).unwrap();
        let mut sorter = small(folder.path(), 1);
        sorter.take(vec![row(0, 1, 0)]).unwrap();
        let error = sorter.take(vec![row(0, 0, 0)]).err().unwrap();
        assert_eq!(error.kind(), Kind::Io);
    }

    #[test]
    fn a_full_disk_is_said_as_such() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = failed("cannot write", Path::new("store"), full.into());
        assert_eq!(error.kind(), Kind::Io);
        assert!(format!("{error:?}").contains("make space"), "{error:?}");
    }

    proptest! {
        #[test]
        fn rows_come_out_as_a_stable_sort_gives_them(
            keys in prop::collection::vec((any::<u8>(), 0..3_i32), 0..300),
            chunk in 1..40_usize,
            run_rows in 1..100_usize,
            in_order in 0..100_usize,
        ) {
            let mut keys = keys;
            let many = in_order.min(keys.len());
            keys[..many].sort_by_key(|(id, index)| (format!("image {id}"), *index));
            let made = || -> Vec<_> {
                keys.iter().zip(0..).map(|((id, index), n)| row(*id, *index, n)).collect()
            };
            let folder = tempfile::tempdir().unwrap();
            let on_disk = sorted(made(), chunk, small(folder.path(), run_rows));
            let in_memory = sorted(made(), chunk, Sorter::new(None));
            prop_assert_eq!(format!("{on_disk:?}"), format!("{in_memory:?}"));
            // what went through before some were out of order stays before
            let through = keys.chunks(chunk).scan(None, |last: &mut Option<(String, i32)>, some| {
                let some: Vec<_> =
                    some.iter().map(|(id, index)| (format!("image {id}"), *index)).collect();
                let follows = some.first().is_none_or(|first| {
                    last.as_ref().is_none_or(|last| last < first)
                });
                *last = some.last().cloned();
                (follows && some.is_sorted_by(|a, b| a < b)).then_some(some.len())
            });
            let through = through.sum::<usize>();
            let mut expected = made();
            sort(&mut expected[through..]);
            prop_assert_eq!(format!("{in_memory:?}"), format!("{expected:?}"));
            let new = std::fs::read_dir(folder.path().join("new"));
            let left = new.map_or(0, Iterator::count);
            prop_assert_eq!(left, 0);
        }
    }
}
