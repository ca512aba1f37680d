//! What Python's `deltalake`, `polars` and `duckdb` read of a store's tables, beside what we read.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::ipc::writer::FileWriter;
use clipmill::base::clock::SystemClock;
use clipmill::base::environment::Environment;
use clipmill::table::{Snapshot, Store};

/// Writes the newest version as a file of Arrow, read by ourselves.
fn write(snapshot: &Snapshot, path: &Path) {
    clipmill::base::files::write_atomic(path, |file| {
        let mut writer = FileWriter::try_new(file, &snapshot.schema()).unwrap();
        for batch in snapshot.scan(&[]).unwrap() {
            writer.write(&batch.unwrap().1).unwrap();
        }
        writer.finish().unwrap();
        Ok(())
    })
    .unwrap();
}

/// Fails unless the three read every table as we do: as many rows, of the same types and values.
/// Gives the tables; none where no Python is at hand, which is told.
pub fn assert_others_read_the_same(store: &Path) -> Option<Vec<String>> {
    let environment = Environment::of_process();
    let Some(python) = environment.get("CLIPMILL_PYTHON") else {
        eprintln!("skipped: CLIPMILL_PYTHON names no Python with deltalake, polars and duckdb");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/delta_readers.py");
    let mut command = Command::new(python);
    command.arg(script);
    let store = Store::open(store, Arc::new(SystemClock)).unwrap();
    let tables = store.tables().unwrap();
    let mut counts = Vec::new();
    for table in &tables {
        let snapshot = store.snapshot(table).unwrap().unwrap();
        let path = folder.path().join(format!("{table}.arrow"));
        write(&snapshot, &path);
        command.arg(store.root().join(table)).arg(&path);
        counts.push(snapshot.rows());
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), tables.len(), "{said}");
    for ((line, rows), table) in said.lines().zip(counts).zip(&tables) {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        println!("{table}: {told}");
        assert_eq!(told["rows"], rows, "{table}");
        // A table without rows has no part that duckdb could be given.
        let readers = if rows == 0 { 2 } else { 3 };
        assert_eq!(told["readers"].as_array().unwrap().len(), readers, "{table}: {told}");
    }
    Some(tables)
}
