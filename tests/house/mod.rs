//! A small data set and its definition, for tests that run whole pipelines.

#![allow(dead_code, reason = "each test binary uses its own part")]

mod folder;
pub mod signal;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use clipmill::base::clock::SystemClock;
use clipmill::base::environment::Environment;
use clipmill::base::files::write_atomic;
use clipmill::base::progress::{Progress, Silent};
use clipmill::base::{Cancel, Result};
use clipmill::decode;
use clipmill::flow::Pixels;
use clipmill::nn::clip::{ClipConfig, write_random};
use clipmill::plan::Plan;
use clipmill::run::{Means, Options, RunReport};
use clipmill::sources::write::{TarWriter, gzip};
use clipmill::table::Store;

pub mod told;

pub use folder::folder;

/// A folder with archives, a model and `pipeline.toml`.
pub struct House {
    pub dir: tempfile::TempDir,
}

/// The id of the n-th image; beyond `u32`, as real ones are.
pub fn id(n: usize) -> String {
    format!("{}", 10_000_000_000_u64 + n as u64)
}

/// A small picture whose colours depend on `seed`.
pub fn picture(seed: usize) -> Vec<u8> {
    let (width_px, height_px) = (40 + (seed % 5) as u32 * 8, 36);
    let mut data = Vec::new();
    for y in 0..height_px {
        for x in 0..width_px {
            let at = (x as usize * 5 + y as usize * 3 + seed * 31) % 256;
            data.extend([at as u8, (at * 2 % 256) as u8, (seed * 47 % 256) as u8]);
        }
    }
    decode::encode_jpeg(&Pixels { width_px, height_px, data }, 90).unwrap()
}

/// Stops a run once so much of a task is done; of any task, where none is named.
#[derive(Debug)]
pub struct StopAt {
    task: Option<&'static str>,
    left: AtomicI64,
    cancel: Cancel,
}

impl StopAt {
    pub fn new(task: Option<&'static str>, after: i64, cancel: &Cancel) -> Arc<Self> {
        Arc::new(Self { task, left: AtomicI64::new(after), cancel: cancel.clone() })
    }
}

impl Progress for StopAt {
    fn begin(&self, _task: &str, _total: Option<u64>) {}

    fn advance(&self, task: &str, done: u64) {
        let done = i64::try_from(done).unwrap();
        if self.task.is_none_or(|own| own == task)
            && self.left.fetch_sub(done, Ordering::SeqCst) <= done
        {
            self.cancel.cancel();
        }
    }

    fn end(&self, _task: &str) {}

    fn note(&self, _line: &str) {}
}

pub type Images = Vec<(String, Vec<u8>)>;

pub fn pictures(count: usize) -> Images {
    (0..count).map(|n| (format!("{}.jpg", id(n)), picture(n))).collect()
}

pub fn caption_lines(count: usize) -> Vec<String> {
    (0..count)
        .flat_map(|n| {
            (0..2).map(move |i| format!("{}.jpg#{i}\tpicture {n} told {i} times .", id(n)))
        })
        .collect()
}

pub fn put(path: &Path, bytes: &[u8]) {
    write_atomic(path, |w| {
        w.write_all(bytes).unwrap();
        Ok(())
    })
    .unwrap();
}

pub fn tar_of(images: &Images) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    tar.directory("flickr30k-images", 0).unwrap();
    for (name, bytes) in images {
        tar.file(&format!("flickr30k-images/{name}"), bytes, 1_386_000_000).unwrap();
    }
    tar.finish().unwrap()
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = gzip(Vec::new());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Copies a folder with all that is below it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A process that came to its end.
pub struct Ended {
    pub status: ExitStatus,
    /// The most memory that it had resident, in KiB; none where the system does not say.
    pub peak_kib: Option<u64>,
}

/// Waits for a process, and looks at its memory meanwhile. The system keeps the peak: the last look
/// alone has to come before the end.
pub fn watched(child: &mut Child) -> Ended {
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = None;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Ended { status, peak_kib };
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak_kib = peak_kib.max(kib);
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl House {
    /// A house with `count` images, two captions each.
    pub fn new(count: usize) -> Self {
        Self::at(folder(), count)
    }

    /// As [`Self::new`], in this folder.
    pub fn at(dir: tempfile::TempDir, count: usize) -> Self {
        let house = Self { dir };
        house.images(&pictures(count));
        house.captions(&caption_lines(count));
        house.model(7);
        house.define(DEFINITION);
        house
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn images(&self, images: &Images) {
        put(&self.path("images.tar"), &tar_of(images));
    }

    pub fn captions(&self, lines: &[String]) {
        let mut tar = TarWriter::new(Vec::new());
        tar.file("readme.txt", b"captions", 0).unwrap();
        let text = lines.join("\n") + "\n";
        tar.file("results_20130124.token", text.as_bytes(), 0).unwrap();
        put(&self.path("captions.tar.gz"), &gz(&tar.finish().unwrap()));
    }

    pub fn model(&self, seed: u64) {
        let config = quick_clip(64);
        let lines = caption_lines(4);
        let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
        write_random(&self.path("clip"), &config, seed, &texts).unwrap();
    }

    pub fn define(&self, text: &str) {
        put(&self.path("pipeline.toml"), text.as_bytes());
    }

    pub fn store(&self) -> Store {
        Store::open(&self.path("store"), Arc::new(SystemClock)).unwrap()
    }

    pub fn run(&self) -> Result<RunReport> {
        self.run_with(|_| ())
    }

    pub fn run_with(&self, adjust: impl FnOnce(&mut Options)) -> Result<RunReport> {
        self.run_on(&Means::default(), adjust)
    }

    pub fn run_on(&self, means: &Means, adjust: impl FnOnce(&mut Options)) -> Result<RunReport> {
        let mut options = Options {
            cancel: Cancel::new(),
            progress: Arc::new(Silent),
            clock: Arc::new(SystemClock),
            retry_rejects: false,
            only: Vec::new(),
            wait: false,
        };
        adjust(&mut options);
        clipmill::run::run_with(&self.resolve()?, &options, means)
    }

    pub fn plan(&self) -> Plan {
        self.resolve().unwrap()
    }

    fn resolve(&self) -> Result<Plan> {
        let file = self.path("pipeline.toml");
        let text = clipmill::base::files::read_text_capped(&file, 1 << 20).unwrap();
        let environment = Environment::default();
        let pipeline = clipmill::definition::parse("pipeline.toml", &text, &environment, &[])?;
        clipmill::plan::resolve(&pipeline, &file)
    }

    /// Every row of a table as text, sorted, without where and when.
    pub fn rows(&self, table: &str, columns: &[&str]) -> Vec<String> {
        use arrow::util::display::{ArrayFormatter, FormatOptions};
        let snapshot = self.store().snapshot(table).unwrap().unwrap();
        let mut rows = Vec::new();
        for batch in snapshot.scan(columns).unwrap() {
            let (_, batch) = batch.unwrap();
            let format = FormatOptions::default().with_null("null");
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|c| ArrayFormatter::try_new(c.as_ref(), &format).unwrap())
                .collect();
            for at in 0..batch.num_rows() {
                let cells: Vec<_> = columns.iter().map(|c| c.value(at).to_string()).collect();
                rows.push(cells.join("|"));
            }
        }
        rows.sort();
        rows
    }
}

/// A CLIP that costs next to nothing, with features of `width` numbers.
pub fn quick_clip(width: usize) -> ClipConfig {
    ClipConfig {
        size_px: 32,
        image_width: 16,
        image_layers: 1,
        text_width: 16,
        text_layers: 1,
        width,
        head_width: 8,
        merges: 100,
        ..ClipConfig::default()
    }
}

pub const DEFINITION: &str = r#"
[pipeline]
name = "small"
store = "store"

[sources.photos.tar]
paths = "images.tar"

[sources.sentences.flickr]
paths = "captions.tar.gz"

[models.clip.huggingface]
path = "clip"

[stages.images.index_images]
source = "photos"

[stages.image_features.embed_images]
images = "images"
model = "clip"
batch_size = 4

[stages.captions.read_captions]
source = "sentences"
images = "images"

[stages.caption_features.embed_captions]
captions = "captions"
model = "clip"

[stages.examples.align]
captions = "captions"
image_features = "image_features"
"#;
