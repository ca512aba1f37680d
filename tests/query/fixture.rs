//! A handful of tables as plain Parquet files, and vectors from a dictionary.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow::array::{
    ArrayRef, Float32Builder, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::Schema;
use clipmill::base::{Error, Kind, Result};
use clipmill::query::{Catalog, ColumnEntry, QueryVector, Session, TableEntry, VectorSource};
use parquet::arrow::ArrowWriter;

type Vector = Option<Vec<Option<f32>>>;

pub(crate) struct Fixture {
    _folder: tempfile::TempDir,
    catalog: Catalog,
    vectors: Arc<Dictionary>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("store[1]").tempdir().unwrap();
        let mut tables = Tables { root: folder.path().to_owned(), entries: Vec::new() };
        tables.add(
            "images",
            None,
            &[batch(&[
                ("image_id", strings(&["1", "2", "3", "4"])),
                ("width_px", Arc::new(Int32Array::from(vec![500, 333, 500, 640]))),
                ("format", strings(&["jpeg", "jpeg", "png", "jpeg"])),
            ])],
        );
        tables.add(
            "image_features",
            Some("weights-a"),
            &[
                batch(&[
                    ("image_id", strings(&["1", "2"])),
                    ("embedding", whole(&[&[1.0, 0.0], &[0.6, 0.8]])),
                ]),
                batch(&[
                    ("image_id", strings(&["3", "4"])),
                    ("embedding", whole(&[&[0.0, 1.0], &[-1.0, 0.0]])),
                ]),
            ],
        );
        tables.add(
            "captions",
            None,
            &[batch(&[
                ("image_id", strings(&["1", "1", "2", "2", "3", "9"])),
                ("caption_index", Arc::new(Int32Array::from(vec![0, 1, 0, 1, 0, 0]))),
                (
                    "text",
                    strings(&[
                        "A red dog",
                        "a dog runs",
                        "Two cats",
                        "cats asleep, \"curled\"",
                        "两只狗",
                        "nobody",
                    ]),
                ),
                ("split", strings(&["train", "train", "val", "val", "test", "train"])),
            ])],
        );
        tables.add(
            "caption_features",
            Some("weights-a"),
            &[batch(&[
                ("image_id", strings(&["1", "1", "2"])),
                ("caption_index", Arc::new(Int32Array::from(vec![0, 1, 0]))),
                ("embedding", whole(&[&[0.8, 0.6], &[1.0, 0.0], &[0.0, 1.0]])),
            ])],
        );
        tables.add(
            "wide_features",
            Some("weights-b"),
            &[batch(&[("image_id", strings(&["1"])), ("embedding", whole(&[&[1.0, 0.0, 0.0]]))])],
        );
        tables.add(
            "odd",
            None,
            &[batch(&[
                (
                    "id",
                    Arc::new(Int64Array::from(vec![Some(9_007_199_254_740_993), Some(1), None])),
                ),
                (
                    "vector",
                    vectors(&[
                        Some(vec![Some(0.5), Some(f32::NAN)]),
                        None,
                        Some(vec![Some(1.0), None]),
                    ]),
                ),
                (
                    "seen",
                    Arc::new(
                        TimestampMicrosecondArray::from(vec![
                            Some(1_700_000_000_000_001),
                            None,
                            Some(0),
                        ])
                        .with_timezone("UTC"),
                    ),
                ),
            ])],
        );
        tables.add(
            "rejects",
            None,
            &[RecordBatch::new_empty(
                batch(&[
                    ("source", strings(&[""])),
                    ("attempts", Arc::new(Int32Array::from(vec![0]))),
                    (
                        "seen",
                        Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC")),
                    ),
                    ("vector", vectors(&[None])),
                ])
                .schema(),
            )],
        );
        let ids: Vec<i64> = (0..20_000).collect();
        tables.add(
            "many",
            None,
            &[batch(&[
                (
                    "shard",
                    Arc::new(ids.iter().map(|id| Some(id * 7919 % 1009)).collect::<Int64Array>()),
                ),
                ("size", Arc::new(ids.iter().map(|id| Some(id % 3)).collect::<Int64Array>())),
                ("id", Arc::new(Int64Array::from(ids))),
            ])],
        );
        Self {
            _folder: folder,
            catalog: Catalog::new(tables.entries),
            vectors: Arc::new(Dictionary::default()),
        }
    }

    pub(crate) fn session(&self) -> Session {
        Session::over(self.catalog.clone(), Arc::clone(&self.vectors) as Arc<dyn VectorSource>)
    }

    /// The files of a table.
    pub(crate) fn parts(&self, table: &str) -> Vec<PathBuf> {
        self.catalog.table(table).unwrap().parts.clone()
    }

    /// What was encoded, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.vectors.0.lock().unwrap().clone()
    }
}

struct Tables {
    root: PathBuf,
    entries: Vec<TableEntry>,
}

impl Tables {
    /// One part a batch; a batch without rows makes a table without parts.
    fn add(&mut self, name: &str, model: Option<&str>, batches: &[RecordBatch]) {
        let mut parts = Vec::new();
        for (number, batch) in batches.iter().filter(|batch| batch.num_rows() > 0).enumerate() {
            let path = self.root.join(format!("{name}-{number}.parquet"));
            let file = std::fs::File::create(&path).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(batch).unwrap();
            writer.close().unwrap();
            parts.push(path);
        }
        let mut columns = ColumnEntry::of_schema(&batches[0].schema());
        for column in &mut columns {
            (column.unit, column.meaning) = match column.name.as_str() {
                "width_px" => ("px".into(), "width as stored".into()),
                "image_id" => (String::new(), "id of the image".into()),
                _ => (String::new(), String::new()),
            };
        }
        self.entries.push(TableEntry {
            name: name.into(),
            version: 3,
            rows: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
            parts,
            columns,
            model: model.map(str::to_owned),
            made_under: None,
        });
    }
}

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    // Types are those of the data; whether NULL is allowed is told by the data too.
    let fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec()).unwrap()
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn whole(rows: &[&[f32]]) -> ArrayRef {
    vectors(
        &rows.iter().map(|row| Some(row.iter().map(|x| Some(*x)).collect())).collect::<Vec<_>>(),
    )
}

fn vectors(rows: &[Vector]) -> ArrayRef {
    let mut list = ListBuilder::new(Float32Builder::new());
    for row in rows {
        match row {
            Some(values) => list.append_value(values.iter().copied()),
            None => list.append_null(),
        }
    }
    Arc::new(list.finish())
}

/// Texts that have vectors; as wide as the table's.
#[derive(Default)]
struct Dictionary(Mutex<Vec<String>>);

impl Dictionary {
    fn vector(&self, table: &str, kind: &str, word: &str) -> Result<QueryVector> {
        self.0.lock().unwrap().push(format!("{table} {kind} {word}"));
        let values = match (table, word) {
            ("wide_features", "red") => vec![0.0, 1.0, 0.0],
            (_, "red" | "red.jpg") => vec![1.0, 0.0],
            (_, "blue") => vec![0.0, 1.0],
            (_, "it's; \"quoted\"") => vec![0.6, 0.8],
            (_, "three") => vec![1.0, 2.0, 3.0],
            _ => {
                return Err(Error::new(
                    Kind::BadInput,
                    format!("{table} was made by other weights"),
                )
                .help("use the model that made it"));
            }
        };
        Ok(QueryVector { values })
    }
}

impl VectorSource for Dictionary {
    fn text(&self, table: &str, text: &str) -> Result<QueryVector> {
        self.vector(table, "text", text)
    }

    fn image(&self, table: &str, path: &str) -> Result<QueryVector> {
        self.vector(table, "image", path)
    }
}
