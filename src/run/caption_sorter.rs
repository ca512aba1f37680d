//! Brings rows of captions into the order of their table. Rows that come in it go through. Once some
//! do not, the rest are sorted, so many at a time, into files that nobody else sees, and all of them
//! are merged at the end: a 64th of them is in memory then, at most.

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

/// Rows that are sorted together in memory: some 20 MB of them.
const RUN_ROWS: usize = 65_536;
/// Rows of a file that are in memory while files are merged.
const READ_ROWS: usize = 1024;

/// Rows on their way into order.
pub(super) struct Sorter {
    /// Where files may be made; none where all rows may be in memory.
    folder: Option<PathBuf>,
    run_rows: usize,
    /// The key of the last row that went through.
    last: Option<(String, i32)>,
    /// Whether the rows were found to be in another order.
    is_other: bool,
    held: Vec<CaptionRow>,
    /// Sorted rows and how many, in the order in which they came.
    runs: Vec<(File, usize)>,
}

impl Sorter {
    /// With a folder for its files, which is made if need be; without one, in memory alone.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            run_rows: RUN_ROWS,
            last: None,
            is_other: false,
            held: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// The rows that can be made now: none once some were out of order.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn take(&mut self, rows: Vec<CaptionRow>) -> Result<Vec<CaptionRow>> {
        let last = self.last.as_ref().map(|(id, index)| (id.as_str(), *index));
        let follows = rows.first().is_none_or(|first| last.is_none_or(|last| last < first.order()));
        self.is_other |= !follows || !rows.is_sorted_by(|a, b| a.order() < b.order());
        if self.is_other {
            self.held.extend(rows);
            if self.held.len() >= self.run_rows {
                self.set_down()?;
            }
            return Ok(Vec::new());
        }
        if let Some((id, index)) = rows.last().map(CaptionRow::order) {
            self.last = Some((id.to_owned(), index));
        }
        Ok(rows)
    }

    /// The others, in order, at most `rows` a call; of one key, first what came first.
    ///
    /// # Errors
    /// When a file cannot be written or read, and those of `take`.
    pub(super) fn rest(
        mut self,
        rows: usize,
        take: &mut dyn FnMut(Vec<CaptionRow>) -> Result<()>,
    ) -> Result<()> {
        if self.runs.is_empty() {
            sort(&mut self.held);
            let mut held = self.held.into_iter().peekable();
            while held.peek().is_some() {
                take(held.by_ref().take(rows).collect())?;
            }
            return Ok(());
        }
        self.set_down()?;
        let mut merge = Merge::new(self.runs, self.folder.unwrap_or_default())?;
        loop {
            let some = merge.next(rows)?;
            if some.is_empty() {
                return Ok(());
            }
            take(some)?;
        }
    }

    /// Writes what is held as one more sorted run.
    fn set_down(&mut self) -> Result<()> {
        let Some(folder) = self.folder.as_ref().filter(|_| !self.held.is_empty()) else {
            return Ok(());
        };
        let place = folder.display();
        std::fs::create_dir_all(folder).map_err(|c| Error::io("cannot make", place, c))?;
        // without a name: gone with this process, however that ends
        let file = tempfile::tempfile_in(folder).map_err(|cause| {
            Error::io("cannot make a temporary file in", folder.display(), cause)
        })?;
        sort(&mut self.held);
        let schema = schema();
        let io = |cause| failed("cannot write captions to be sorted in", folder, cause);
        let mut writer = StreamWriter::try_new(BufWriter::new(file), &schema).map_err(io)?;
        for rows in self.held.chunks(READ_ROWS) {
            writer.write(&batch(&schema, rows)?).map_err(io)?;
        }
        let mut writer = writer.into_inner().map_err(io)?;
        writer.flush().map_err(|cause| io(cause.into()))?;
        let mut file = writer.into_inner().map_err(|cause| io(cause.into_error().into()))?;
        file.rewind().map_err(|cause| io(cause.into()))?;
        self.runs.push((file, self.held.len()));
        self.held = Vec::new();
        Ok(())
    }
}

fn sort(rows: &mut [CaptionRow]) {
    rows.sort_by(|a, b| a.order().cmp(&b.order()));
}

/// Several sorted runs as one.
struct Merge {
    runs: Vec<Run>,
    /// Where the files are, for messages.
    folder: PathBuf,
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
    fn new(files: Vec<(File, usize)>, folder: PathBuf) -> Result<Self> {
        let mut merge = Self { runs: Vec::new(), folder, next: BinaryHeap::new() };
        for (number, (file, left)) in files.into_iter().enumerate() {
            let batches = StreamReader::try_new(BufReader::new(file), None)
                .map_err(|cause| unread(&merge.folder, cause))?;
            merge.runs.push(Run { batches, rows: Vec::new().into_iter(), left });
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

    /// At most so many rows; none at the end.
    fn next(&mut self, most: usize) -> Result<Vec<CaptionRow>> {
        let mut some = Vec::new();
        while some.len() < most {
            let Some(Reverse((_, _, number))) = self.next.pop() else { break };
            some.extend(self.runs[number].rows.next());
            self.wait(number)?;
        }
        Ok(some)
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
                        source: sources.value(at).to_owned(),
                        member: members.value(at).to_owned(),
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
    use crate::flow::Split;

    fn row(id: u8, index: i32, number: u64) -> CaptionRow {
        let text = format!("caption {number}");
        let digest = Digest::of(text.as_bytes());
        let splits = [None, Some(Split::Train), Some(Split::Val), Some(Split::Test)];
        let split = splits[usize::from(id % 4)];
        let (source, member) = ("a.token".to_owned(), format!("member {number}"));
        let origin = Origin { source, member, offset: number };
        let image_id = format!("image {id}");
        let caption = Caption { image_id, caption_index: index, text, origin, split: None };
        CaptionRow { caption, split, digest }
    }

    fn sorted(rows: Vec<CaptionRow>, chunk: usize, sorter: Sorter) -> Vec<CaptionRow> {
        let (mut sorter, mut out) = (sorter, Vec::new());
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            out.extend(sorter.take(rows.by_ref().take(chunk).collect()).unwrap());
        }
        sorter
            .rest(chunk, &mut |some| {
                assert!(!some.is_empty() && some.len() <= chunk);
                out.extend(some);
                Ok(())
            })
            .unwrap();
        out
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
            let on_disk = Sorter { run_rows, ..Sorter::new(Some(folder.path().join("new"))) };
            let on_disk = sorted(made(), chunk, on_disk);
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
