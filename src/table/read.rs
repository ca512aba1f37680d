//! Reads one part's file.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::PageIndexPolicy;

use super::schema;
use crate::base::{Error, Kind, Result};

/// Rows of a batch; fewer where a row holds a list, so that a batch stays at a few MiB.
const BATCH_ROWS: usize = 8192;
const LIST_BATCH_ROWS: usize = 1024;

/// The batches of one part, with the columns of `schema` in its order.
pub(super) struct PartReader {
    path: PathBuf,
    table: String,
    schema: SchemaRef,
    batches: ParquetRecordBatchReader,
}

impl PartReader {
    pub(super) fn open(path: &Path, schema: SchemaRef, table: &str) -> Result<Self> {
        let builder = builder(path, PageIndexPolicy::Skip)?;
        let has_list = schema.fields().iter().any(|f| matches!(f.data_type(), DataType::List(_)));
        let rows = if has_list { LIST_BATCH_ROWS } else { BATCH_ROWS };
        let mask = projection(&builder, &schema);
        let batches = builder
            .with_projection(mask)
            .with_batch_size(rows)
            .build()
            .map_err(|cause| damaged(path, cause))?;
        Ok(Self { path: path.to_owned(), table: table.to_owned(), schema, batches })
    }
}

impl Iterator for PartReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.batches.next()? {
            // another file in its place may have other columns
            Ok(batch) => schema::conform(&batch, &self.schema, &self.table)
                .map_err(|cause| damaged(&self.path, cause)),
            Err(cause) => Err(damaged(&self.path, cause)),
        })
    }
}

/// Opens a part, its footer read.
pub(super) fn builder(
    path: &Path,
    pages: PageIndexPolicy,
) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => damaged(path, cause),
        _ => Error::io("cannot open", path.display(), cause),
    })?;
    let options = ArrowReaderOptions::new().with_page_index_policy(pages);
    ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .map_err(|cause| damaged(path, cause))
}

/// The columns of `schema` that the file has.
pub(super) fn projection(
    builder: &ParquetRecordBatchReaderBuilder<File>,
    schema: &SchemaRef,
) -> ProjectionMask {
    let there = builder.schema().fields().iter().enumerate();
    let wanted = there.filter(|(_, field)| schema.field_with_name(field.name()).is_ok());
    ProjectionMask::roots(builder.parquet_schema(), wanted.map(|(place, _)| place))
}

/// The error of a part that is not what was written.
pub(super) fn damaged(
    path: &Path,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(Kind::Store, "is missing or damaged")
        .at(path.display())
        .help(
            "`clipmill verify` notes every such part; run the pipeline again then: it computes \
             the rows of these parts, and only those",
        )
        .caused_by(cause)
}
