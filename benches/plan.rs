//! What it costs to find out what to do: `cargo bench --bench plan`, on the release binary.
//!
//! Nothing to do over 31,783 images and 158,915 captions, beside `dvc` on the same files where
//! `CLIPMILL_PYTHON` names a Python that has it; a plan of a million rows; one changed image in a
//! tar of 4 GiB. `cargo bench --bench plan -- nothing rows archive` chooses, and
//! `CLIPMILL_BENCH_IMAGES`, `CLIPMILL_BENCH_ROWS` and `CLIPMILL_BENCH_BYTES` make it smaller.
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
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a measurement fails by panicking"
)]

#[path = "../tests/house/mod.rs"]
mod house;

use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clipmill::base::environment::Environment;
use clipmill::base::units::Bytes;
use clipmill::sources::write::TarWriter;
use house::{House, id, picture, watched};

/// Files are only trusted that were not written a moment ago.
const TICK: Duration = Duration::from_millis(200);
const ROUNDS: usize = 11;
const CAPTIONS: usize = 5;

fn setting(name: &str, usual: usize) -> usize {
    let environment = Environment::of_process();
    environment.get(name).and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A command that came to its end.
struct Done {
    wall: Duration,
    /// The most memory that it had resident.
    peak: Bytes,
    output: String,
}

impl Done {
    /// Rows of a table with a reason, out of `plan --format json`.
    fn rows(&self, table: &str, reason: &str) -> u64 {
        let object: serde_json::Value = serde_json::from_str(&self.output).unwrap();
        object["tables"][table][reason].as_u64().unwrap()
    }
}

/// Runs the program in a house; a watch looks at its memory every millisecond.
fn clipmill(house: &House, arguments: &[&str]) -> Done {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_clipmill"))
        .args(arguments)
        .args(["pipeline.toml", "--format", "json"])
        .current_dir(house.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ended = watched(&mut child);
    let wall = begun.elapsed();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(ended.status.success(), "{arguments:?}: {}\n{output}", ended.status);
    Done { wall, peak: Bytes(ended.peak_kib.unwrap_or(0) * 1024), output }
}

/// The median of several runs of one command, and the last of them.
fn median(house: &House, arguments: &[&str], mut before: impl FnMut()) -> Done {
    let mut all: Vec<_> = (0..ROUNDS)
        .map(|_| {
            before();
            clipmill(house, arguments)
        })
        .collect();
    all.sort_unstable_by_key(|done| done.wall);
    all.swap_remove(ROUNDS / 2)
}

fn say(what: &str, done: &Done, bound: &str) {
    println!("  {what:<34}{:>10.1?}  peak {:>10}  {bound}", done.wall, done.peak.to_string());
}

/// So many small pictures; that of `other` is another one.
fn tar(house: &House, images: usize, other: Option<usize>) {
    let file = std::fs::File::create(house.path("images.tar")).unwrap();
    let mut tar = TarWriter::new(BufWriter::new(file));
    let pictures: Vec<_> = (0..256).map(picture).collect();
    for n in 0..images {
        let picture = &pictures[(n + usize::from(other == Some(n))) % 256];
        tar.file(&format!("images/{}.jpg", id(n)), picture, 0).unwrap();
    }
    tar.finish().unwrap().flush().unwrap();
}

/// So many lines, `an_image` of them each; that of `longer` has a word more.
fn captions(house: &House, lines: usize, an_image: usize, longer: Option<usize>) {
    let file = std::fs::File::create(house.path("captions.token")).unwrap();
    let mut file = BufWriter::new(file);
    for n in 0..lines {
        let (image, index, word) = (id(n / an_image), n % an_image, (n * 7919) % 10_007);
        let more = if longer == Some(n) { " more" } else { "" };
        writeln!(file, "{image}.jpg#{index}\tpicture {n} shows{more} thing {word} .").unwrap();
    }
    file.flush().unwrap();
}

fn house_of(definition: &str) -> House {
    // Gigabytes: no place for them in memory.
    let house = House::at(tempfile::tempdir().unwrap(), 1);
    house.define(definition);
    house
}

const PHOTOS: &str = "[sources.photos.tar]\npaths = \"images.tar\"\n";
const SENTENCES: &str = "[sources.sentences.flickr]\npaths = \"captions.token\"\n";
const CLIP: &str = "[models.clip.huggingface]\npath = \"clip\"\n";
const IMAGES: &str = "[stages.images.index_images]\nsource = \"photos\"\n";
const EMBED_IMAGES: &str =
    "[stages.image_features.embed_images]\nimages = \"images\"\nmodel = \"clip\"\n";
const EMBED_CAPTIONS: &str =
    "[stages.caption_features.embed_captions]\ncaptions = \"captions\"\nmodel = \"clip\"\n";
const READ: &str = "[stages.captions.read_captions]\nsource = \"sentences\"\n";

/// A house whose definition has these blocks.
fn house_with(blocks: &[&str]) -> House {
    let pipeline = "[pipeline]\nname = \"bench\"\nstore = \"store\"\n";
    house_of(&format!("{pipeline}{}", blocks.concat()))
}

fn nothing() {
    let images = setting("CLIPMILL_BENCH_IMAGES", 31_783);
    let house = house_of(&house::DEFINITION.replace("captions.tar.gz", "captions.token"));
    tar(&house, images, None);
    captions(&house, images * CAPTIONS, CAPTIONS, None);
    std::thread::sleep(TICK);
    println!("{images} images, {} captions:", images * CAPTIONS);
    let first = clipmill(&house, &["run"]);
    say("first run, a model of 2 layers", &first, "");
    std::thread::sleep(TICK);
    let run = median(&house, &["run"], || ());
    say("run, nothing to do", &run, "(at most 100 ms)");
    let plan = median(&house, &["plan"], || ());
    assert_eq!(plan.rows("examples", "up_to_date"), (images * CAPTIONS) as u64);
    say("plan, nothing to do", &plan, "(at most 100 ms)");
    let note = house.path("store").join("_clipmill/settled.json");
    let looked = median(&house, &["plan"], || std::fs::remove_file(&note).unwrap());
    say("plan, every row looked at", &looked, "");
    captions(&house, images * CAPTIONS, CAPTIONS, Some(images));
    let one = clipmill(&house, &["plan"]);
    assert_eq!(one.rows("captions", "content_changed"), 1);
    say("plan, one caption grew", &one, "");
    let one = clipmill(&house, &["run"]);
    say("run, one caption grew", &one, "");
    let Some(python) = Environment::of_process().get("CLIPMILL_PYTHON").map(str::to_owned) else {
        println!("  dvc: not measured, CLIPMILL_PYTHON is not set");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/dvc.py");
    let output = Command::new(python).arg(script).arg(house.dir.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines() {
        let (what, seconds) = line.split_once('\t').unwrap();
        let wall = Duration::from_secs_f64(seconds.parse().unwrap());
        let times = |done: &Done| wall.as_secs_f64() / done.wall.as_secs_f64();
        println!(
            "  {what:<34}{wall:>10.1?}  {:.0} × our plan, {:.0} × our run  (at least 20)",
            times(&plan),
            times(&run)
        );
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn rows() {
    let rows = setting("CLIPMILL_BENCH_ROWS", 1_000_000);
    let bound = "(at most 2 s and 500 MB)";
    println!("{rows} images:");
    let house = house_with(&[PHOTOS, CLIP, IMAGES, EMBED_IMAGES]);
    tar(&house, rows, None);
    let plan = clipmill(&house, &["plan"]);
    assert_eq!(plan.rows("image_features", "new"), rows as u64);
    say("plan, no store, headers are read", &plan, "");
    let run = clipmill(&house, &["run", "--only", "images"]);
    say("run --only images", &run, "");
    let plan = median(&house, &["plan"], || ());
    assert_eq!(plan.rows("images", "up_to_date"), rows as u64);
    assert_eq!(plan.rows("image_features", "new"), rows as u64);
    say("plan, features are new", &plan, bound);
    drop(house);

    for an_image in [CAPTIONS, 1] {
        println!("{rows} captions, {an_image} an image:");
        let house = house_with(&[SENTENCES, READ]);
        captions(&house, rows, an_image, None);
        let plan = clipmill(&house, &["plan"]);
        assert_eq!(plan.rows("captions", "new"), rows as u64);
        say("plan, no store", &plan, bound);
        say("run", &clipmill(&house, &["run"]), "");
        captions(&house, rows, an_image, Some(rows / 2));
        let plan = median(&house, &["plan"], || ());
        assert_eq!(plan.rows("captions", "content_changed"), 1);
        assert_eq!(plan.rows("captions", "up_to_date"), rows as u64 - 1);
        say("plan, one in the middle grew", &plan, bound);
        say("run, one in the middle grew", &clipmill(&house, &["run"]), "");
    }

    // Half of the rows are those of the sources, half their features; then twice as many.
    for (of, bound) in [(rows / 2, bound), (rows, "")] {
        println!("{of} captions and as many features:");
        let house = house_with(&[SENTENCES, CLIP, READ, EMBED_CAPTIONS]);
        captions(&house, of, CAPTIONS, None);
        say("run, a model of one layer", &clipmill(&house, &["run"]), "");
        captions(&house, of, CAPTIONS, Some(of / 2));
        let plan = median(&house, &["plan"], || ());
        assert_eq!(plan.rows("caption_features", "content_changed"), 1);
        assert_eq!(plan.rows("caption_features", "up_to_date"), of as u64 - 1);
        say("plan, one in the middle grew", &plan, bound);
        drop(house);

        println!("{of} images and as many features:");
        let house = house_with(&[PHOTOS, CLIP, IMAGES, EMBED_IMAGES]);
        tar(&house, of, None);
        say("run, a model of one layer", &clipmill(&house, &["run"]), "");
        tar(&house, of, Some(of / 2));
        say("plan, the tar was written anew", &clipmill(&house, &["plan"]), "");
        let plan = median(&house, &["plan"], || ());
        assert_eq!(plan.rows("image_features", "content_changed"), 1);
        assert_eq!(plan.rows("image_features", "up_to_date"), of as u64 - 1);
        say("plan, one in the middle changed", &plan, bound);
    }
}

fn archive() {
    let bytes = setting("CLIPMILL_BENCH_BYTES", 4 << 30);
    const MEMBER: usize = 100_000;
    let images = bytes / MEMBER;
    let house = house_with(&[PHOTOS, IMAGES]);
    // A picture with comments before it, as many bytes as a photograph has.
    let padded = |seed| {
        let small = picture(seed);
        let (start, rest) = small.split_at(2);
        let mut bytes = start.to_vec();
        let mut left = MEMBER - small.len();
        while left > 0 {
            let segment = left.min(60_000);
            bytes.extend([0xff, 0xfe]);
            bytes.extend(u16::try_from(segment - 2).unwrap().to_be_bytes());
            bytes.resize(bytes.len() + segment - 4, 7);
            left -= segment;
        }
        bytes.extend(rest);
        bytes
    };
    let file = std::fs::File::create(house.path("images.tar")).unwrap();
    let mut tar = TarWriter::new(BufWriter::new(file));
    let pictures: Vec<_> = (0..64).map(padded).collect();
    for n in 0..images {
        tar.file(&format!("images/{}.jpg", id(n)), &pictures[n % 64], 1_386_000_000).unwrap();
    }
    tar.finish().unwrap().flush().unwrap();
    drop(pictures);
    println!("a tar of {}, {images} images:", Bytes(bytes as u64));
    say("first run, all is read", &clipmill(&house, &["run"]), "");
    let file = std::fs::File::options().write(true).open(house.path("images.tar")).unwrap();
    file.set_modified(std::time::SystemTime::now()).unwrap();
    say("run, only its time changed", &clipmill(&house, &["run"]), "(reads headers)");
    let block = 512 + MEMBER.next_multiple_of(512);
    let mut file = file;
    file.seek(SeekFrom::Start((images / 2 * block + 512) as u64)).unwrap();
    file.write_all(&padded(99)).unwrap();
    drop(file);
    let plan = clipmill(&house, &["plan"]);
    assert_eq!(plan.rows("images", "content_changed"), 1);
    assert_eq!(plan.rows("images", "up_to_date"), images as u64 - 1);
    say("plan, one image changed", &plan, "(reads headers and that image)");
    // The plan keeps the digest that it took; the run is to read headers itself.
    std::fs::remove_file(house.path("store").join("_clipmill/settled.json")).ok();
    say("run, one image changed", &clipmill(&house, &["run"]), "");
}

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let all: [(&str, fn()); 3] = [("nothing", nothing), ("rows", rows), ("archive", archive)];
    for (name, measure) in all {
        if chosen.is_empty() || chosen.iter().any(|one| one == name) {
            measure();
        }
    }
}
