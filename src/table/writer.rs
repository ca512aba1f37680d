//! Writes one part: rows gathered, sorted by key, made durable, and announced by a manifest.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{
    BloomFilterPosition, EnabledStatistics, WriterProperties, WriterVersion,
};
use parquet::schema::types::ColumnPath;

use super::folder::Folder;
use super::key::Keys;
use super::part::{PartLabel, Seal, StagedPart, TAIL_BYTES};
use super::storage::{StoredFile, temporary_beside};
use super::{manifest, schema, stats};
use crate::base::digest::Digester;
use crate::base::{Digest, Error, Kind, Result};
use crate::flow::Fidelity;
use crate::plan::contract::Contract;

/// Rows of a row group: small, so that a point look-up reads little, and still megabytes of
/// features, so that a scan reads in long strokes.
const ROW_GROUP_ROWS: usize = 8192;
/// Rows of a page: what a point look-up decodes of each column.
const PAGE_ROWS: usize = 512;

/// Collects the rows of one part. Nothing is on disk before [`finish`](Self::finish): what is
/// given is held in memory, so that whoever writes decides how much a crash may cost.
#[derive(Debug)]
pub struct PartWriter {
    folder: Folder,
    contract: Contract,
    schema: SchemaRef,
    label: PartLabel,
    fidelity: Option<Fidelity>,
    batches: Vec<RecordBatch>,
    rows: u64,
}

impl PartWriter {
    pub(super) fn new(folder: Folder, contract: &Contract, label: PartLabel) -> Self {
        Self {
            folder,
            contract: contract.clone(),
            schema: schema::arrow_schema(contract),
            label,
            fidelity: None,
            batches: Vec::new(),
            rows: 0,
        }
    }

    /// Notes beside the rows how near they are to those in f32.
    #[must_use]
    pub fn with_fidelity(mut self, fidelity: Option<Fidelity>) -> Self {
        self.fidelity = fidelity;
        self
    }

    /// Adds rows, in any order. Columns are found by name; see
    /// [`arrow_schema`](super::schema::arrow_schema) for the types.
    ///
    /// # Errors
    /// When a column lacks, is of another type, or holds a null it may not hold.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = schema::conform(batch, &self.schema, self.folder.table())?;
        self.rows += batch.num_rows() as u64;
        self.batches.push(batch);
        Ok(())
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Sorts and writes the rows; when it returns, they survive a crash, and
    /// [`Store::staged`](super::Store::staged) shows the part until a version has it.
    ///
    /// # Errors
    /// When the disk refuses; nothing is then left but, after a crash, a hidden file.
    pub fn finish(self) -> Result<StagedPart> {
        let table = self.folder.table().to_owned();
        let fault = |what: &'static str| {
            let table = table.clone();
            move |cause: arrow::error::ArrowError| {
                Error::new(Kind::Internal, what).at(&table).caused_by(cause)
            }
        };
        let unsorted =
            concat_batches(&self.schema, &self.batches).map_err(fault("cannot join rows"))?;
        drop(self.batches);
        let rows = sort(&unsorted, &self.contract.key, &table)?;
        drop(unsorted);
        let keys = Keys::of(&rows, &self.contract.key, &table)?;
        let last = rows.num_rows().saturating_sub(1);
        let some = rows.num_rows() > 0;

        let staging = self.folder.staging();
        let storage = self.folder.storage();
        let written_us = self.folder.now_us();
        self.folder.make(&staging)?;
        let temporary = temporary_beside(&staging.join("part.parquet"));
        let properties = properties(&self.contract, &self.label);
        let refused: Refused = Refused::default();
        let written = storage
            .create(&temporary)
            .map_err(|cause| remember(&refused, cause).into())
            .and_then(|file| write_file(file, &rows, properties, &refused));
        let Written { size_bytes, digest, tail } = written.map_err(|cause| {
            let _ = storage.remove(&temporary);
            failed(&temporary, &refused, &cause)
        })?;
        let path = self.folder.free_name(written_us, digest);
        let named = storage
            .rename(&temporary, &staging.join(&path))
            .and_then(|()| storage.sync_folder(&staging));
        named.map_err(|cause| {
            let _ = storage.remove(&temporary);
            Error::io("cannot name a part", staging.join(&path).display(), cause)
        })?;
        let part = StagedPart {
            path,
            rows: rows.num_rows() as u64,
            size_bytes,
            label: self.label,
            fidelity: self.fidelity,
            seal: Seal {
                digest,
                tail,
                min_key: if some { keys.at(0) } else { Vec::new() },
                max_key: if some { keys.at(last) } else { Vec::new() },
            },
            stats: stats::of(&rows),
            written_us,
        };
        manifest::write(&self.folder, &part)?;
        Ok(part)
    }
}

fn sort(rows: &RecordBatch, key: &[String], table: &str) -> Result<RecordBatch> {
    let columns = key
        .iter()
        .filter_map(|name| rows.column_by_name(name))
        .map(|column| SortColumn { values: Arc::clone(column), options: None })
        .collect::<Vec<_>>();
    if columns.is_empty() || is_sorted(rows, key, table)? {
        return Ok(rows.clone());
    }
    let fault = |cause: arrow::error::ArrowError| {
        Error::new(Kind::Internal, "cannot sort rows by their key").at(table).caused_by(cause)
    };
    let order = lexsort_to_indices(&columns, None).map_err(fault)?;
    take_record_batch(rows, &order).map_err(fault)
}

/// Spares sorted rows the copy.
fn is_sorted(rows: &RecordBatch, key: &[String], table: &str) -> Result<bool> {
    let keys = Keys::of(rows, key, table)?;
    Ok((1..rows.num_rows()).all(|row| keys.at(row - 1) <= keys.at(row)))
}

fn properties(contract: &Contract, label: &PartLabel) -> WriterProperties {
    let known =
        |name: &str, value: &str| KeyValue::new(format!("clipmill.{name}"), value.to_owned());
    let sorting = contract.key.iter().filter_map(|name| {
        let place = contract.columns.iter().position(|column| &column.name == name)?;
        Some(SortingColumn {
            column_idx: i32::try_from(place).ok()?,
            descending: false,
            nulls_first: true,
        })
    });
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(format!("clipmill {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        // pages are cut only between written batches
        .set_write_batch_size(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_sorting_columns(Some(sorting.collect()))
        .set_key_value_metadata(Some(vec![
            known("format", &super::part::FORMAT.to_string()),
            known("contract", &contract.name),
            known("fingerprint", &label.fingerprint),
            known("unit", &label.unit),
        ]));
    for column in &contract.columns {
        let kind = schema::data_type(column.kind);
        if let DataType::List(element) = kind {
            let path = ["list", element.name()].map(str::to_owned);
            let path = ColumnPath::new([std::slice::from_ref(&column.name), &path[..]].concat());
            if element.data_type().is_floating() {
                // no two features are equal, and the smallest of all numbers helps nobody
                builder = builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_statistics_enabled(path, EnabledStatistics::None);
            }
        }
    }
    if let Some(first) = contract.key.first() {
        let path = ColumnPath::from(first.as_str());
        builder = builder
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path.clone(), 0.01)
            .set_column_bloom_filter_max_ndv(path, ROW_GROUP_ROWS as u64);
    }
    builder.build()
}

struct Written {
    size_bytes: u64,
    digest: Digest,
    tail: Digest,
}

fn write_file(
    file: Box<dyn StoredFile>,
    rows: &RecordBatch,
    properties: WriterProperties,
    refused: &Refused,
) -> parquet::errors::Result<Written> {
    let sealing = Sealing {
        file,
        digester: Digester::new(),
        tail: Vec::new(),
        size_bytes: 0,
        refused: Arc::clone(refused),
    };
    let mut writer = ArrowWriter::try_new(sealing, rows.schema(), Some(properties))?;
    writer.write(rows)?;
    let mut sealing = writer.into_inner()?;
    sealing.flush()?;
    sealing.file.sync().map_err(|cause| remember(refused, cause))?;
    Ok(Written {
        size_bytes: sealing.size_bytes,
        digest: sealing.digester.finish(),
        tail: Digester::new().bytes(sealing.end()).finish(),
    })
}

/// Digests what passes: what was meant to be written, whatever the disk made of it.
struct Sealing {
    file: Box<dyn StoredFile>,
    digester: Digester,
    tail: Vec<u8>,
    size_bytes: u64,
    refused: Refused,
}

/// What the disk said: the Parquet writer keeps only its words, and a full disk must be known.
type Refused = Arc<OnceLock<io::ErrorKind>>;

fn remember(refused: &Refused, cause: io::Error) -> io::Error {
    let _ = refused.set(cause.kind());
    cause
}

#[expect(clippy::cast_possible_truncation, reason = "16 KiB")]
const TAIL: usize = TAIL_BYTES as usize;

impl Sealing {
    fn end(&self) -> &[u8] {
        self.tail.get(self.tail.len().saturating_sub(TAIL)..).unwrap_or_default()
    }
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes).map_err(|cause| remember(&self.refused, cause))?;
        let bytes = bytes.get(..written).unwrap_or_default();
        self.digester.bytes(bytes);
        self.tail
            .extend_from_slice(bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default());
        if self.tail.len() > 4 * TAIL {
            self.tail = self.end().to_vec();
        }
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|cause| remember(&self.refused, cause))
    }
}

fn failed(path: &Path, refused: &Refused, cause: &parquet::errors::ParquetError) -> Error {
    let kind = refused.get().copied().unwrap_or(io::ErrorKind::Other);
    Error::io("cannot write a part", path.display(), io::Error::new(kind, cause.to_string()))
}
