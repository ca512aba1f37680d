//! Answers in every format, and what is refused.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type};
use bytes::Bytes;
use clipmill::flow::Pixels;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::shop::{IMAGES, clipmill, code, object, query, shop, stderr, stdout};

const SQL: &str = "SELECT c.image_id, c.caption_index, c.text, f.embedding FROM captions c \
                   JOIN image_features f ON c.image_id = f.image_id \
                   ORDER BY c.image_id, c.caption_index LIMIT 50";

/// `image_id` and `caption_index` of each row, and the numbers in each embedding.
type Rows = Vec<(String, i64, usize)>;

fn of_json(rows: &[Value]) -> Rows {
    rows.iter()
        .map(|row| {
            let id = row["image_id"].as_str().unwrap().to_owned();
            let width = row["embedding"].as_array().unwrap().len();
            (id, row["caption_index"].as_i64().unwrap(), width)
        })
        .collect()
}

fn of_batches(batches: &[RecordBatch]) -> Rows {
    let mut rows = Vec::new();
    for batch in batches {
        let ids = arrow::compute::cast(batch.column_by_name("image_id").unwrap(), &DataType::Utf8);
        let ids = ids.unwrap();
        let indices = batch.column_by_name("caption_index").unwrap();
        let vectors = batch.column_by_name("embedding").unwrap();
        for at in 0..batch.num_rows() {
            let width = match vectors.data_type() {
                DataType::LargeList(_) => vectors.as_list::<i64>().value(at).len(),
                _ => vectors.as_list::<i32>().value(at).len(),
            };
            let index = indices.as_primitive::<Int32Type>().value(at);
            rows.push((ids.as_string::<i32>().value(at).to_owned(), i64::from(index), width));
        }
    }
    rows
}

#[test]
fn every_format_parses_back_to_the_same_rows() {
    let store = shop().store();
    let ask = |format| query(&store, SQL, format);
    let json: Vec<Value> = serde_json::from_slice(&ask("json")).unwrap();
    let rows = of_json(&json);
    assert_eq!(rows.len(), 50);
    assert!(rows[0].2 > 1 && rows.iter().all(|row| row.2 == rows[0].2));

    let lines = String::from_utf8(ask("jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, json);

    let csv_bytes = ask("csv");
    let mut csv = csv::Reader::from_reader(csv_bytes.as_slice());
    let header: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header, ["image_id", "caption_index", "text", "embedding"]);
    let of_csv: Rows = csv
        .records()
        .map(|record| {
            let record = record.unwrap();
            let vector: Vec<f32> = serde_json::from_str(&record[3]).unwrap();
            (record[0].to_owned(), record[1].parse().unwrap(), vector.len())
        })
        .collect();
    assert_eq!(of_csv, rows);

    let parquet = Bytes::from(ask("parquet"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(of_batches(&batches), rows);

    let ipc = std::io::Cursor::new(ask("arrow"));
    let reader = arrow::ipc::reader::FileReader::try_new(ipc, None).unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(of_batches(&batches), rows);
}

#[test]
fn a_definition_and_its_store_answer_alike() {
    let shop = shop();
    let sql = "SELECT split, COUNT(*) AS n FROM captions GROUP BY split ORDER BY split";
    let of_store = query(&shop.store(), sql, "csv");
    assert_eq!(query(&shop.definition(), sql, "csv"), of_store);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("splits.csv");
    let out = clipmill()
        .arg("query")
        .arg(shop.store())
        .args([sql, "--format", "csv", "-o"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!((code(&out), stdout(&out)), (0, String::new()));
    assert_eq!(std::fs::read(&file).unwrap(), of_store);
}

#[test]
fn a_text_finds_itself_first() {
    let shop = shop();
    let sql = "SELECT image_id, text FROM captions ORDER BY image_id, caption_index LIMIT 1";
    let one: Value = serde_json::from_slice(&query(&shop.store(), sql, "json")).unwrap();
    let text = one[0]["text"].as_str().unwrap().replace('\'', "''");
    let sql = format!(
        "SELECT c.text, cosine(f.embedding, clip_text('{text}')) AS score FROM caption_features f \
         JOIN captions c ON c.image_id = f.image_id AND c.caption_index = f.caption_index \
         ORDER BY score DESC LIMIT 1"
    );
    let best: Value = serde_json::from_slice(&query(&shop.definition(), &sql, "json")).unwrap();
    assert_eq!(best[0]["text"], one[0]["text"]);
    assert!((best[0]["score"].as_f64().unwrap() - 1.0).abs() < 1e-5, "{best}");
}

#[test]
fn an_image_of_a_query_has_the_caps_of_the_images_that_it_is_compared_with() {
    let shop = shop();
    let dir = tempfile::tempdir().unwrap();
    let photo = dir.path().join("photo.jpg");
    let pixels = Pixels { width_px: 40, height_px: 30, data: vec![90; 40 * 30 * 3] };
    std::fs::write(&photo, clipmill::decode::encode_jpeg(&pixels, 90).unwrap()).unwrap();
    let of = |table: &str, more: &[&str]| {
        let vector = format!("clip_image('{}')", photo.display());
        let sql = format!("SELECT cosine(embedding, {vector}) AS s FROM {table} LIMIT 1");
        clipmill().arg("query").arg(shop.definition()).arg(sql).args(more).output().unwrap()
    };
    for (set, said) in [
        ("stages.images.max_pixels=1199", "40 × 30 px is more than 1199 px"),
        ("sources.photos.max_member_bytes=100", "photo.jpg"),
    ] {
        for table in ["image_features", "examples"] {
            let out = of(table, &["--set", set]);
            assert_eq!(code(&out), 1, "{set}, {table}: {}", stdout(&out));
            assert!(stderr(&out).contains(said), "{set}, {table}: {}", stderr(&out));
        }
    }
    for (table, more) in [
        ("image_features", &["--set", "stages.images.max_pixels=1200"][..]),
        ("image_features", &[]),
        ("caption_features", &["--set", "stages.images.max_pixels=1"]),
    ] {
        let out = of(table, more);
        assert_eq!(code(&out), 0, "{more:?}, {table}: {}", stderr(&out));
    }
}

#[test]
fn tables_and_columns_are_told() {
    let store = shop().store();
    let tables: Vec<Value> = serde_json::from_slice(&query(&store, "SHOW TABLES", "json")).unwrap();
    let names: Vec<&str> = tables.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["caption_features", "captions", "examples", "image_features", "images", "rejects"]
    );
    assert_eq!(tables[4]["rows"], IMAGES);
    let columns = query(&store, "DESCRIBE image_features", "json");
    let columns: Vec<Value> = serde_json::from_slice(&columns).unwrap();
    assert_eq!(columns[1]["column"], "embedding");
    assert_eq!(columns[1]["type"], "list<float32>");
    assert_eq!(columns[1]["nullable"], false);
    assert!(columns.iter().all(|column| !column["meaning"].as_str().unwrap().is_empty()));
}

#[test]
fn what_only_reads_is_answered_and_all_else_is_refused() {
    let shop = shop();
    let before = super::shop::all_rows(&shop.store());
    for (sql, said) in [
        ("DELETE FROM images", "DELETE"),
        ("DROP TABLE images", "DROP"),
        ("CREATE TABLE t AS SELECT * FROM images", "CREATE"),
        ("INSERT INTO images SELECT * FROM images", "INSERT"),
        ("UPDATE images SET mode = 'L'", "UPDATE"),
        ("SELECT nope FROM images", "there is no column 'nope'"),
        ("SELECT * FROM imags", "did you mean"),
        ("SELECT FROM WHERE", "query:1:"),
        ("SELECT image_id FROM images ORDER BY 0", "there is no column 0"),
        ("", "no statement"),
    ] {
        let out = clipmill().arg("query").arg(shop.store()).arg(sql).output().unwrap();
        assert_eq!(code(&out), 1, "{sql}: {}", stderr(&out));
        assert_eq!(stdout(&out), "", "{sql}");
        assert!(stderr(&out).contains(said), "{sql}: {}", stderr(&out));
        assert!(!stderr(&out).contains("panicked"), "{sql}: {}", stderr(&out));
    }
    assert_eq!(super::shop::all_rows(&shop.store()), before);
    let out = clipmill()
        .arg("query")
        .arg(shop.store())
        .args(["SELECT nope FROM images", "--format", "json"])
        .output()
        .unwrap();
    assert_eq!(object(&out)["error"]["code"], "query");
}

#[test]
fn statements_come_from_standard_input_and_a_plan_is_shown() {
    let shop = shop();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.sql");
    std::fs::write(&file, "-- SHOW TABLES;\nSELECT 1\n  AS one; ;\n-- that is all;\n").unwrap();
    let out = clipmill()
        .arg("query")
        .arg(shop.store())
        .args(["-", "--format", "csv"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!((code(&out), stdout(&out).trim()), (0, "one\r\n1"), "{}", stderr(&out));
    // Of several only one answer could be shown: none is carried out.
    for explain in [&[][..], &["--explain"]] {
        let mut command = clipmill();
        command.arg("query").arg(shop.store()).arg("SELECT 1 AS one;\nSELECT 2 AS two;");
        let out = command.args(explain).output().unwrap();
        assert_eq!((code(&out), stdout(&out)), (1, String::new()));
        assert!(stderr(&out).contains("more than one statement"), "{}", stderr(&out));
        assert!(stderr(&out).contains("query:2:1"), "{}", stderr(&out));
    }
    let out = clipmill()
        .arg("query")
        .arg(shop.store())
        .args(["SELECT image_id FROM images WHERE width_px > 10", "--explain"])
        .output()
        .unwrap();
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    assert!(stdout(&out).contains("width_px"), "{}", stdout(&out));
}

#[test]
fn a_plan_names_vector_functions_as_the_statement_does() {
    let sql = "SELECT image_id, cosine(embedding, clip_text('a star''s edge')) AS s \
               FROM image_features";
    let out = clipmill()
        .arg("query")
        .arg(shop().store())
        .args([sql, "--explain", "--format", "jsonl"])
        .output()
        .unwrap();
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let plan = stdout(&out);
    assert!(plan.contains(".cosine([clip_text('a star''s edge')])"), "{plan}");
}

#[test]
fn a_folder_that_is_not_there_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rseults/rows.csv");
    let out = clipmill()
        .arg("query")
        .arg(shop().store())
        .args(["SELECT 1 AS x", "--format", "csv", "--output"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(code(&out), 3);
    assert!(stderr(&out).contains("the folder is not there"), "{}", stderr(&out));
    assert!(!file.parent().unwrap().exists());
}

#[cfg(unix)]
#[test]
fn a_pipe_or_a_link_that_takes_the_rows_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let ask = |to: &std::path::Path| {
        let mut command = clipmill();
        command.arg("query").arg(shop().store());
        command.args(["SELECT 1 AS x", "--format", "csv", "--output"]).arg(to).output().unwrap()
    };
    assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = path("pipe");
        move || std::fs::read(pipe).unwrap()
    });
    let out = ask(&path("pipe"));
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    assert_eq!(reader.join().unwrap(), b"x\r\n1\r\n");
    assert!(!path("pipe").is_file());

    std::os::unix::fs::symlink("rows.csv", path("link")).unwrap();
    assert_eq!(code(&ask(&path("link"))), 0);
    assert!(path("link").is_symlink());
    assert_eq!(std::fs::read(path("rows.csv")).unwrap(), b"x\r\n1\r\n");
}

#[test]
fn an_old_version_by_other_weights_is_refused_as_a_new_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    super::shop::make(dir.path(), 8, 1);
    super::shop::make(other.path(), 8, 2);
    for entry in std::fs::read_dir(other.path().join("clip")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join("clip").join(entry.file_name())).unwrap();
    }
    let out = super::shop::run_in(dir.path(), &[]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    assert!(object(&out)["tables"]["image_features"]["computed"] == 8, "{}", stdout(&out));
    for table in ["image_features", "caption_features", "examples"] {
        let sql = format!("SELECT cosine(embedding, clip_text('a star')) AS s FROM {table}");
        let ask = |more: &[&str]| {
            let mut command = clipmill();
            command.arg("query").arg(dir.path().join("store")).arg(&sql).args(more);
            command.output().unwrap()
        };
        assert_eq!(code(&ask(&[])), 0, "{table}: {}", stderr(&ask(&[])));
        let old = ask(&["--at", &format!("{table}=0")]);
        assert_eq!(code(&old), 1, "{table}");
        assert!(
            stderr(&old).contains(&format!("`{table}` was made by weights")),
            "{}",
            stderr(&old)
        );
    }
}

/// The one score of a statement, or what is said in place of it.
fn score(folder: &std::path::Path, score: &str, table: &str, set: &[&str]) -> Result<f64, String> {
    let sql = format!("SELECT {score} AS s FROM {table} ORDER BY s DESC LIMIT 1");
    let mut command = clipmill();
    command.arg("query").arg(folder.join("pipeline.toml")).arg(sql).args(["--format", "json"]);
    let out = command.args(set).output().unwrap();
    match code(&out) {
        0 => Ok(object(&out)[0]["s"].as_f64().unwrap()),
        _ => Err(stderr(&out)),
    }
}

#[test]
fn a_vector_by_other_files_than_the_columns_is_refused_and_says_which() {
    let dir = tempfile::tempdir().unwrap();
    super::shop::make(dir.path(), 8, 3);
    let photo = dir.path().join("photo.jpg");
    let pixels = Pixels { width_px: 40, height_px: 30, data: vec![90; 40 * 30 * 3] };
    std::fs::write(&photo, clipmill::decode::encode_jpeg(&pixels, 90).unwrap()).unwrap();
    let text = "cosine(embedding, clip_text('a star'))".to_owned();
    let image = format!("cosine(embedding, clip_image('{}'))", photo.display());
    let (images, captions) = ("image_features", "caption_features");
    let all = [
        (&text, images),
        (&text, captions),
        (&text, "examples"),
        (&image, images),
        (&image, captions),
        (&image, "examples"),
    ];
    let asked = || all.map(|(of, table)| score(dir.path(), of, table, &[]));
    let before = asked().map(Result::unwrap);
    // What is edited, its old and new text, and what is said in place of each score.
    for (file, (old, new), fact, refused) in [
        ("config.json", ("\"quick_gelu\"", "\"gelu\""), "config", [true; 6]),
        ("tokenizer.json", ("{", "{ "), "tokenizer", [true, true, true, false, false, false]),
        (
            "preprocessor_config.json",
            ("{", "{ "),
            "preprocessing",
            [false, false, false, true, true, true],
        ),
    ] {
        let path = dir.path().join("clip").join(file);
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(kept.contains(old), "{file}: {kept}");
        std::fs::write(&path, kept.replace(old, new)).unwrap();
        for (number, got) in asked().into_iter().enumerate() {
            let (of, table) = all[number];
            match got {
                Ok(score) => {
                    assert!(!refused[number], "{file}: {of} of {table} is answered");
                    assert_eq!(score, before[number], "{file}: {of} of {table}");
                }
                Err(said) => {
                    assert!(refused[number], "{file}: {of} of {table}: {said}");
                    assert!(said.contains(&format!("was made by {fact} ")), "{file}: {said}");
                    assert!(said.contains("that at hand is"), "{file}: {said}");
                    assert!(said.contains("run the pipeline"), "{file}: {said}");
                }
            }
        }
        // The images' table cannot tell of the tokenizer: that of captions by the same model does.
        if fact == "tokenizer" {
            let said = score(dir.path(), &text, images, &[]).unwrap_err();
            assert!(said.contains("`caption_features` was made by tokenizer"), "{said}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, kept).unwrap();
        assert_eq!(asked().map(Result::unwrap), before, "{file} is as it was");
    }
    // An edit that a run followed is answered.
    let path = dir.path().join("clip/config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("\"quick_gelu\"", "\"gelu\"")).unwrap();
    assert_eq!(code(&super::shop::run_in(dir.path(), &[])), 0);
    let after = asked().map(Result::unwrap);
    assert!(after[1] != before[1], "{after:?}");
}

#[test]
fn a_vector_is_scaled_as_the_column_was() {
    let dir = tempfile::tempdir().unwrap();
    super::shop::make(dir.path(), 8, 3);
    for table in ["image_features", "caption_features", "examples"] {
        let stage = if table == "examples" { "image_features" } else { table };
        let dot = |value: &str| {
            let set = format!("stages.{stage}.normalize={value}");
            score(dir.path(), "dot(embedding, clip_text('a star'))", table, &["--set", &set])
        };
        assert_eq!(dot("false").unwrap(), dot("true").unwrap(), "{table}");
    }
    // Another numeric type is the same model.
    let set = ["--set", "models.clip.dtype=int8"];
    let of = |set: &[&str]| {
        score(dir.path(), "cosine(embedding, clip_text('a star'))", "image_features", set).unwrap()
    };
    assert!((of(&set) - of(&[])).abs() < 0.05);
}
