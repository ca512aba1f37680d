//! One demo, made once for all tests that only read it, and copies for those that change it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// Pictures of the shared demo: enough that a run can be disturbed, few enough to be quick.
pub const IMAGES: usize = 120;

/// Tables of a demo's definition, `rejects` included.
pub const TABLES: [&str; 6] =
    ["images", "image_features", "captions", "caption_features", "examples", "rejects"];

/// A demo's folder and what making it printed.
pub struct Shop {
    folder: PathBuf,
    pub closing: Value,
}

/// The shared demo; only for reading.
pub fn shop() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(|| {
        // What is shared until the process ends is removed by nobody, so it has one place.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shop");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        let closing = make(&folder, IMAGES, 0);
        Shop { folder, closing }
    })
}

/// Draws and runs a demo in `folder`; gives its closing object.
pub fn make(folder: &Path, images: usize, seed: u64) -> Value {
    let images = images.to_string();
    let seed = seed.to_string();
    let out = clipmill()
        .args([
            "demo",
            "--untrained",
            "--format",
            "json",
            "--images",
            &images,
            "--seed",
            &seed,
            "--dir",
        ])
        .arg(folder)
        .output()
        .unwrap();
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    serde_json::from_slice(&out.stdout).unwrap()
}

impl Shop {
    pub fn definition(&self) -> PathBuf {
        self.folder.join("pipeline.toml")
    }

    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Archives, model and definition in a new folder, without the store.
    pub fn without_store(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for name in ["flickr30k-images.tar", "flickr30k.tar.gz", "pipeline.toml"] {
            std::fs::copy(self.folder.join(name), copy.path().join(name)).unwrap();
        }
        std::fs::create_dir(copy.path().join("clip")).unwrap();
        for entry in std::fs::read_dir(self.folder.join("clip")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join("clip").join(entry.file_name())).unwrap();
        }
        copy
    }
}

/// The binary, deaf to the terminal's and the user's colours.
pub fn clipmill() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("clipmill"));
    for name in ["CLICOLOR_FORCE", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.stdin(std::process::Stdio::null());
    command
}

/// Runs the binary with these arguments.
pub fn run(args: &[&str]) -> Output {
    clipmill().args(args).output().unwrap()
}

/// `clipmill run DIR/pipeline.toml --format json` and more arguments.
pub fn run_in(folder: &Path, more: &[&str]) -> Output {
    let definition = folder.join("pipeline.toml");
    clipmill().arg("run").arg(definition).args(["--format", "json"]).args(more).output().unwrap()
}

/// The rows of a statement, in one format.
pub fn query(store: &Path, sql: &str, format: &str) -> Vec<u8> {
    let out = clipmill().arg("query").arg(store).args([sql, "--format", format]).output().unwrap();
    assert_eq!(code(&out), 0, "{sql}: {}", stderr(&out));
    out.stdout
}

/// Every row of every table, in the order of the keys.
pub fn all_rows(store: &Path) -> Vec<(&'static str, String)> {
    TABLES
        .iter()
        .map(|table| {
            let order = match *table {
                "images" | "image_features" => "image_id",
                "rejects" => "source, member",
                _ => "image_id, caption_index",
            };
            let sql = format!("SELECT * FROM {table} ORDER BY {order}");
            (*table, String::from_utf8(query(store, &sql, "jsonl")).unwrap())
        })
        .collect()
}

/// The JSON object on standard output.
pub fn object(out: &Output) -> Value {
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", stdout(out), stderr(out)))
}

pub fn code(out: &Output) -> i32 {
    out.status.code().unwrap_or(-1)
}

pub fn stdout(out: &Output) -> String {
    String::from_utf8(out.stdout.clone()).unwrap()
}

pub fn stderr(out: &Output) -> String {
    String::from_utf8(out.stderr.clone()).unwrap()
}
