//! SQL against small tables. The cases are text: `tests/query/*.slt`.
//!
//! A case is `query` or `error`, optionally with an output format (`query json`), the statement,
//! `----`, and what comes out; a blank line ends it and `#` begins a comment line.
//! `CLIPMILL_UPDATE=1 cargo test --test query` writes what comes out into the files: read the
//! difference before you commit it.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

#[path = "query/fixture.rs"]
mod fixture;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clipmill::base::environment::Environment;
use clipmill::base::{Error, Kind};
use clipmill::query::{Format, Session, TableStyle};

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/query");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "slt"))
        .collect();
    files.sort();
    files
}

fn answer(session: &Session, kind: &str, statement: &str) -> String {
    let answer = match session.sql(statement) {
        Ok(answer) => answer,
        Err(error) => return told(&error),
    };
    let format = match kind.split_once(' ').map(|(_, format)| format) {
        None => {
            let preview = answer.preview(TableStyle { rows: Some(12) });
            let header: Vec<_> = preview.columns.iter().map(|c| c.name.as_str()).collect();
            let mut text = header.join(" | ");
            for row in &preview.rows {
                write!(text, "\n{}", row.join(" | ")).unwrap();
            }
            if preview.left_out_rows > 0 {
                write!(text, "\n({} more rows)", preview.left_out_rows).unwrap();
            }
            return text;
        }
        Some("json") => Format::Json,
        Some("jsonl") => Format::Jsonl,
        Some("csv") => Format::Csv,
        Some(other) => panic!("unknown format {other}"),
    };
    let mut out = Vec::new();
    answer.write(format, &mut out).unwrap();
    String::from_utf8(out).unwrap().replace("\r\n", "\n").trim_end().to_owned()
}

fn told(error: &Error) -> String {
    let mut text = format!("{:?}: {error}", error.kind());
    for finding in error.report().iter().flat_map(|report| &report.findings) {
        let source = &error.report().unwrap().source;
        let (line, column) = source.line_column(finding.span.start);
        let drawn = source.text.lines().nth(line - 1).unwrap_or_default();
        let marks = source.text.get(finding.span.clone()).unwrap().chars().count().max(1);
        write!(
            text,
            "\n  {drawn}\n  {}{} {}",
            " ".repeat(column - 1),
            "^".repeat(marks),
            finding.label
        )
        .unwrap();
    }
    if let Some(help) = error.help_text() {
        write!(text, "\nhelp: {help}").unwrap();
    }
    text
}

/// Runs the cases of a file; returns the file with what really came out.
fn replay(session: &Session, text: &str, wrong: &mut Vec<String>) -> String {
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let kind = line;
        assert!(
            kind.starts_with("query") || kind == "error",
            "a case begins with query or error: {line}"
        );
        let mut statement = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != "----") {
            statement.push(line);
        }
        // What was expected is replaced by what came out.
        while lines.peek().is_some_and(|line| !line.is_empty()) {
            lines.next();
        }
        let statement = statement.join("\n");
        let mut said = answer(session, kind, &statement);
        if said.is_empty() {
            said.push_str("(nothing)");
        }
        let failed = session.sql(&statement).is_err();
        if failed != (kind == "error") {
            wrong.push(format!("{kind}: {statement}\n{said}"));
        }
        writeln!(out, "{statement}\n----\n{said}").unwrap();
    }
    out
}

#[test]
fn cases() {
    let store = fixture::Fixture::new();
    let session = store.session();
    let update = Environment::of_process().get("CLIPMILL_UPDATE").is_some();
    let files = case_files();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for path in files {
        let expected = std::fs::read_to_string(&path).unwrap();
        let got = replay(&session, &expected, &mut wrong);
        if update {
            std::fs::write(&path, &got).unwrap();
        } else if got != expected {
            let first = got.lines().zip(expected.lines()).position(|(a, b)| a != b);
            let at = first.unwrap_or_else(|| got.lines().count().min(expected.lines().count()));
            panic!(
                "{}:{}\nexpected: {:?}\n     got: {:?}\n(CLIPMILL_UPDATE=1 accepts what comes out)",
                path.display(),
                at + 1,
                expected.lines().nth(at),
                got.lines().nth(at)
            );
        }
    }
    assert!(
        wrong.is_empty(),
        "failed where it should not, or the other way round:\n{}",
        wrong.join("\n\n")
    );
}

#[test]
fn files_for_programs_are_read_back() {
    let store = fixture::Fixture::new();
    let session = store.session();
    let answer = session.sql("SELECT image_id, embedding FROM image_features").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (format, name) in [(Format::Parquet, "a.parquet"), (Format::Arrow, "a.arrow")] {
        let path = folder.path().join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        answer.write(format, &mut file).unwrap();
        let reader = if format == Format::Parquet { "read_parquet" } else { "read_ipc" };
        let back = session
            .sql(&format!("SELECT image_id, embedding FROM {reader}('{}')", path.display()))
            .unwrap();
        let text = |answer: &clipmill::query::Answer| {
            let mut out = Vec::new();
            answer.write(Format::Json, &mut out).unwrap();
            out
        };
        assert_eq!(text(&back), text(&answer), "{name}");
    }
    // Without Polars: the crates that wrote the tables read the answer too.
    let file = std::fs::File::open(folder.path().join("a.parquet")).unwrap();
    let rows: usize = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap()
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert_eq!(rows, answer.rows());
    let file = std::fs::File::open(folder.path().join("a.arrow")).unwrap();
    let rows: usize = arrow::ipc::reader::FileReader::try_new(file, None)
        .unwrap()
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert_eq!(rows, answer.rows());
}

#[test]
fn each_text_is_encoded_once_a_table() {
    let store = fixture::Fixture::new();
    let session = store.session();
    let statement =
        "SELECT cosine(embedding, clip_text('red')) AS a, dot(embedding, clip_text('red')) AS b,
        l2(embedding, clip_text('blue')) AS c FROM image_features
        WHERE cosine(embedding, clip_text('red')) > 0 ORDER BY cosine(embedding, clip_text('red'))";
    session.sql(statement).unwrap();
    assert_eq!(store.asked(), ["image_features text red", "image_features text blue"]);
}

#[test]
fn a_damaged_part_is_named_with_what_to_do() {
    let statement = "SELECT count(*) FROM image_features JOIN captions USING (image_id)";
    let fixture = fixture::Fixture::new();
    let part = &fixture.parts("image_features")[1];
    let whole = std::fs::read(part).unwrap();
    let mut flipped = whole.clone();
    // the first page, behind the magic number
    flipped[4..40].fill(0xff);
    for damage in [&b"no parquet"[..], &whole[..whole.len() / 2], &[], &flipped] {
        std::fs::write(part, damage).unwrap();
        let error = fixture.session().sql(statement).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Store, "{error}");
        assert!(error.what().contains("'image_features' is missing or damaged"), "{error}");
        assert!(error.to_string().contains(part.to_str().unwrap()), "{error}");
        assert!(error.help_text().unwrap().contains("clipmill run"), "{error}");
        // What is wrong with a statement is said all the same, and other tables answer.
        let session = fixture.session();
        let error = session.sql("SELECT nope FROM captions").map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Query, "{error}");
        let error = session.sql("SELECT text + 1 FROM captions").map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Query, "{error}");
        session.sql("SELECT text FROM captions").unwrap();
    }
    std::fs::remove_file(part).unwrap();
    let error = fixture.session().sql(statement).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains(part.to_str().unwrap()), "{error}");
    // Of two such parts the one that the statement reads is named.
    let captions = &fixture.parts("captions")[0];
    let kept = std::fs::read(captions).unwrap();
    std::fs::write(captions, b"no parquet").unwrap();
    let error = fixture.session().sql("SELECT text FROM captions").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains(captions.to_str().unwrap()), "{error}");
    std::fs::write(captions, kept).unwrap();
    std::fs::write(part, whole).unwrap();
    fixture.session().sql(statement).unwrap();
}

#[test]
fn answers_do_not_depend_on_chance() {
    let store = fixture::Fixture::new();
    let session = store.session();
    for statement in [
        "SELECT shard, count(*) AS n FROM many GROUP BY shard",
        "SELECT DISTINCT shard FROM many",
        "SELECT shard FROM many UNION SELECT shard FROM many",
        "SELECT a.id, b.id AS other FROM many a JOIN many b ON a.shard = b.shard WHERE a.id < 50",
        "SELECT id FROM many ORDER BY shard LIMIT 50",
        "SELECT shard FROM many EXCEPT SELECT shard FROM many WHERE shard < 10",
        "SELECT id, row_number() OVER (PARTITION BY shard ORDER BY size) AS r FROM many",
    ] {
        let text = || {
            let mut out = Vec::new();
            session.sql(statement).unwrap().write(Format::Csv, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let first = text();
        for _ in 0..8 {
            assert!(first == text(), "{statement}");
        }
    }
}

#[test]
fn a_tokio_runtime_around_the_call_does_no_harm() {
    let store = fixture::Fixture::new();
    let session = store.session();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows = runtime.block_on(async { session.sql("SELECT * FROM captions").unwrap().rows() });
    assert_eq!(rows, 6);
}

/// The functions that Polars may get one day must not take the place of ours; today it has none
/// of these names.
#[test]
fn our_functions_hide_none_of_polars() {
    let store = fixture::Fixture::new();
    let session = store.session();
    for name in ["cos(0)", "length('ab')", "log2(8)"] {
        session.sql(&format!("SELECT {name} AS x")).unwrap();
    }
    let mut polars = polars::sql::SQLContext::new();
    for name in ["cosine", "dot", "l2", "clip_text", "clip_image"] {
        let said = polars.execute(&format!("SELECT {name}('a', 'b')")).err().unwrap().to_string();
        assert!(said.contains("unsupported function"), "{said}");
    }
}

/// The formulas against sums written out, over widths that fill no lane.
#[test]
fn measures_of_columns_agree_with_plain_sums() {
    let store = fixture::Fixture::new();
    let session = store.session();
    let answer = session
        .sql(
            "SELECT dot(a.embedding, b.embedding) AS d, l2(a.embedding, b.embedding) AS l,
                cosine(a.embedding, b.embedding) AS c
              FROM image_features a JOIN caption_features b ON a.image_id = b.image_id",
        )
        .unwrap();
    let mut out = Vec::new();
    answer.write(Format::Json, &mut out).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
    let pairs =
        [([1.0_f32, 0.0], [0.8_f32, 0.6]), ([1.0, 0.0], [1.0, 0.0]), ([0.6, 0.8], [0.0, 1.0])];
    assert_eq!(rows.len(), pairs.len());
    for (row, (a, b)) in rows.iter().zip(pairs) {
        let [x, y, u, v] = [a[0], a[1], b[0], b[1]].map(f64::from);
        let dot = x * u + y * v;
        let l2 = ((x - u).powi(2) + (y - v).powi(2)).sqrt();
        let cosine = dot / ((x * x + y * y) * (u * u + v * v)).sqrt();
        for (name, expected) in [("d", dot), ("l", l2), ("c", cosine)] {
            let got = row[name].as_f64().unwrap();
            assert!((got - expected).abs() < 1e-15, "{name}: {got} {expected}");
        }
    }
}
