//! Every kind of change, with the exact number of rows that each table computes for it.

use std::path::{Path, PathBuf};

use super::house::{self, House, caption_lines, gz, id, picture, pictures, put, tar_of, told};
use super::step::{RAISED, changes, options, plan_and_run, step};
use clipmill::sources::write::TarWriter;

/// Images of every house; each has two captions.
const IMAGES: usize = 6;

/// A change, and what it costs.
struct Kind {
    name: &'static str,
    /// Brings the house, which was run once, into its state before the change.
    before: fn(&House),
    change: fn(&House),
    /// Rows with a reason to be touched, as [`changes`] writes them.
    expected: &'static str,
}

const fn kind(name: &'static str, change: fn(&House), expected: &'static str) -> Kind {
    Kind { name, before: |_| (), change, expected }
}

fn images(house: &House, edit: impl FnOnce(&mut house::Images)) {
    let mut images = pictures(IMAGES);
    edit(&mut images);
    house.images(&images);
}

fn captions(house: &House, edit: impl FnOnce(&mut Vec<String>)) {
    let mut lines = caption_lines(IMAGES);
    edit(&mut lines);
    house.captions(&lines);
}

fn define(house: &House, from: &str, to: &str) {
    let text = std::fs::read_to_string(house.path("pipeline.toml")).unwrap();
    assert!(text.contains(from), "{from}");
    house.define(&text.replace(from, to));
}

fn packed(images: &house::Images, level: i32) -> Vec<u8> {
    zstd::encode_all(tar_of(images).as_slice(), level).unwrap()
}

/// The images as files of a folder.
fn folder(house: &House) {
    for (name, bytes) in pictures(IMAGES) {
        put(&house.path("photos").join(name), &bytes);
    }
    define(
        house,
        "[sources.photos.tar]\npaths = \"images.tar\"",
        "[sources.photos.folder]\npaths = \"photos\"",
    );
}

/// The images in two archives.
fn halves(house: &House) {
    let mut first = pictures(IMAGES);
    let second = first.split_off(IMAGES / 2);
    put(&house.path("a.tar"), &tar_of(&first));
    put(&house.path("b.tar"), &tar_of(&second));
    define(house, "\"images.tar\"", "[\"a.tar\", \"b.tar\"]");
}

/// The captions as a plain file, which has no wrapping of blocks that hides a move.
fn plain(house: &House, edit: impl FnOnce(&mut Vec<String>)) {
    let mut lines = caption_lines(IMAGES);
    edit(&mut lines);
    put(&house.path("plain.token"), (lines.join("\n") + "\n").as_bytes());
}

fn with_plain(house: &House) {
    plain(house, |_| ());
    define(house, "\"captions.tar.gz\"", "\"plain.token\"");
}

/// A contract of the captions' own that wants texts of at least `length` letters.
fn contract(house: &House, length: usize) {
    let builtin = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/captions.toml");
    let text = std::fs::read_to_string(builtin).unwrap();
    let check = "[checks.text_is_there.length]\ncolumn = \"text\"\nmin = ";
    let (now, then) = (format!("{check}1\n"), format!("{check}{length}\n"));
    assert!(text.contains(&now));
    put(&house.path("captions.contract.toml"), text.replace(&now, &then).as_bytes());
}

fn with_contract(house: &House) {
    contract(house, 1);
    define(
        house,
        "source = \"sentences\"",
        "source = \"sentences\"\ncontract = \"captions.contract.toml\"",
    );
}

/// A newer clipmill, whose operator computes other numbers.
fn raise(house: &House, operator: &str) {
    put(&house.path(RAISED), operator.as_bytes());
}

fn splits(house: &House, train: &[usize], test: &[usize]) {
    let list = |of: &[usize]| of.iter().map(|n| id(*n) + "\n").collect::<String>();
    put(&house.path("train.txt"), list(train).as_bytes());
    put(&house.path("test.txt"), list(test).as_bytes());
}

fn with_splits(house: &House) {
    splits(house, &[0, 1, 2, 3], &[4, 5]);
    define(
        house,
        "[models.clip",
        "[sources.lists.splits]\ntrain = \"train.txt\"\ntest = \"test.txt\"\n\n[models.clip",
    );
    define(house, "source = \"sentences\"", "source = \"sentences\"\nsplits = \"lists\"");
}

fn broken(house: &House) {
    images(house, |images| images[2].1.truncate(200));
}

/// The parts of a table's newest version, in the order of keys.
fn parts(house: &House, table: &str) -> Vec<PathBuf> {
    house.store().snapshot(table).unwrap().unwrap().part_paths()
}

fn small_parts(house: &House) {
    define(house, "store = \"store\"", "store = \"store\"\npart_rows = 2");
    house.model(9);
}

fn overwrite(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    edit(&mut bytes);
    put(path, &bytes);
}

fn tokenizer(house: &House) {
    let mut edited = 0;
    for entry in std::fs::read_dir(house.path("clip")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["merges.txt", "tokenizer.json"].contains(&name.as_str()) {
            overwrite(&path, |bytes| bytes.push(b'\n'));
            edited += 1;
        }
    }
    assert!(edited > 0);
}

const ALL: &str = "image_features settings_changed 6; caption_features settings_changed 12; \
                   examples content_changed 12";

#[rustfmt::skip]
const KINDS: &[Kind] = &[
    kind("nothing", |_| (), ""),
    kind("an image's bytes change", |h| images(h, |i| i[5].1 = picture(99)),
         "images content_changed 1; image_features content_changed 1; examples content_changed 2"),
    kind("the first image grows, and those behind it move", |h| images(h, |i| i[0].1 = picture(104)),
         // It is 72 pixels wide and not 40: more blocks of the tar, and five images stand further on.
         "images content_changed 1; images moved 5; image_features content_changed 1; examples content_changed 2"),
    kind("an image is added", |h| images(h, |i| i.push((format!("{}.jpg", id(6)), picture(6)))),
         "images new 1; image_features new 1"),
    kind("an image is added with its captions", |h| {
             images(h, |i| i.push((format!("{}.jpg", id(6)), picture(6))));
             captions(h, |lines| lines.extend(caption_lines(7).split_off(12)));
         },
         "images new 1; image_features new 1; captions new 2; caption_features new 2; examples new 2"),
    kind("an image is deleted", |h| images(h, |i| { i.pop(); }),
         "images removed 1; image_features removed 1; captions removed 2; caption_features removed 2; \
          examples removed 2"),
    kind("an image moves to another folder of the tar", |h| images(h, |i| i[5].0 = format!("deep/{}", i[5].0)),
         "images moved 1"),
    kind("an image gets another id", |h| images(h, |i| i[5].0 = format!("{}.jpg", id(9))),
         "images new 1; images removed 1; image_features new 1; image_features removed 1; \
          captions removed 2; caption_features removed 2; examples removed 2"),
    kind("the tar is renamed", |h| {
             std::fs::rename(h.path("images.tar"), h.path("photos.tar")).unwrap();
             define(h, "\"images.tar\"", "\"photos.tar\"");
         }, ""),
    // Of an even number none stays where it is.
    kind("the tar is repacked in another order", |h| images(h, |i| i.reverse()), "images moved 6"),
    kind("the tar becomes a folder", folder, "images moved 6"),
    Kind { name: "the folder becomes a tar", before: folder,
           change: |h| define(h, "[sources.photos.folder]\npaths = \"photos\"", "[sources.photos.tar]\npaths = \"images.tar\""),
           expected: "images moved 6" },
    Kind { name: "a file of the folder changes", before: folder,
           change: |h| put(&h.path("photos").join(format!("{}.jpg", id(3))), &picture(77)),
           expected: "images content_changed 1; image_features content_changed 1; examples content_changed 2" },
    kind("the tar becomes a tar.gz", |h| put(&h.path("images.tar"), &gz(&tar_of(&pictures(IMAGES)))), ""),
    Kind { name: "the tar.gz becomes a tar",
           before: |h| put(&h.path("images.tar"), &gz(&tar_of(&pictures(IMAGES)))),
           change: |h| images(h, |_| ()), expected: "" },
    kind("the tar becomes a tar.zst", |h| put(&h.path("images.tar"), &packed(&pictures(IMAGES), 3)), ""),
    Kind { name: "the tar.zst is packed harder", before: |h| put(&h.path("images.tar"), &packed(&pictures(IMAGES), 3)),
           change: |h| put(&h.path("images.tar"), &packed(&pictures(IMAGES), 9)), expected: "" },
    Kind { name: "an image changes inside a tar.zst", before: |h| put(&h.path("images.tar"), &packed(&pictures(IMAGES), 3)),
           change: |h| {
               let mut images = pictures(IMAGES);
               images[5].1 = picture(99);
               put(&h.path("images.tar"), &packed(&images, 3));
           },
           expected: "images content_changed 1; image_features content_changed 1; examples content_changed 2" },
    // Of several archives a member's place begins with the archive's name.
    kind("one archive becomes two", halves, "images moved 6"),
    Kind { name: "two archives are merged", before: halves,
           change: |h| define(h, "[\"a.tar\", \"b.tar\"]", "\"images.tar\""), expected: "images moved 6" },
    Kind { name: "one of two archives is left out", before: halves,
           change: |h| define(h, "[\"a.tar\", \"b.tar\"]", "[\"a.tar\"]"),
           expected: "images moved 3; images removed 3; image_features removed 3; captions removed 6; caption_features removed 6; \
                      examples removed 6" },
    kind("one caption changes", |h| captions(h, |l| l[4] = l[4].replace("picture", "pixture")),
         "captions content_changed 1; caption_features content_changed 1; examples content_changed 1"),
    kind("a caption is added", |h| captions(h, |l| l.push(format!("{}.jpg#2\tone more .", id(5)))),
         "captions new 1; caption_features new 1; examples new 1"),
    kind("a caption is removed", |h| captions(h, |l| { l.pop(); }),
         "captions removed 1; caption_features removed 1; examples removed 1"),
    kind("a caption of an unknown image is added", |h| captions(h, |l| l.push(format!("{}.jpg#0\tnobody .", id(77)))), ""),
    kind("the caption file is renamed", |h| {
             std::fs::rename(h.path("captions.tar.gz"), h.path("sentences.tar.gz")).unwrap();
             define(h, "\"captions.tar.gz\"", "\"sentences.tar.gz\"");
         }, ""),
    kind("the caption file is unpacked", with_plain,
         // The rows name another file; its texts are embedded and aligned already.
         "captions moved 12"),
    Kind { name: "a caption grows, and those behind it move", before: with_plain,
           change: |h| plain(h, |l| l[4] = l[4].replace("picture", "picture of many things")),
           expected: "captions content_changed 1; caption_features content_changed 1; examples content_changed 1" },
    Kind { name: "a caption is added before all others", before: with_plain,
           change: |h| plain(h, |l| l.insert(0, format!("{}.jpg#2\tone more .", id(0)))),
           expected: "captions new 1; caption_features new 1; examples new 1" },
    Kind { name: "the first caption is removed", before: with_plain, change: |h| plain(h, |l| { l.remove(0); }),
           expected: "captions removed 1; caption_features removed 1; examples removed 1" },
    Kind { name: "captions of a plain file are reordered", before: with_plain, change: |h| plain(h, |l| l.reverse()),
           expected: "" },
    Kind { name: "the caption file is compressed",
           before: with_plain,
           change: |h| {
               let mut tar = TarWriter::new(Vec::new());
               tar.file("plain.token", (caption_lines(IMAGES).join("\n") + "\n").as_bytes(), 0).unwrap();
               put(&h.path("plain.tar.gz"), &gz(&tar.finish().unwrap()));
               define(h, "\"plain.token\"", "\"plain.tar.gz\"");
           },
           expected: "" },
    kind("captions are reordered", |h| captions(h, |l| l.reverse()), ""),
    kind("captions are cleaned", |h| define(h, "source = \"sentences\"", "source = \"sentences\"\nclean = [\"whitespace\"]"),
         // Cleaning is a setting of every row of captions. What is embedded and aligned follows it (it is
         // `clean_text` now, unless `column` says otherwise), and which column it is, is a setting of the
         // rows made from it, equal as the texts may be: 6 images of 2 captions in all three tables.
         "captions settings_changed 12; caption_features settings_changed 12; examples settings_changed 12"),
    kind("the clean text is embedded", |h| {
             captions(h, |l| l[0] = l[0].replace(" told", "  told"));
             define(h, "source = \"sentences\"", "source = \"sentences\"\nclean = [\"whitespace\"]");
             define(h, "[stages.caption_features.embed_captions]", "[stages.caption_features.embed_captions]\ncolumn = \"clean_text\"");
         },
         // As above: the stages name what they would have taken anyway. The one text that changed, too, is
         // among the 12, for under other settings nobody looks whether a text is the one of before.
         "captions settings_changed 12; caption_features settings_changed 12; examples settings_changed 12"),
    kind("image features are not normalised", |h| define(h, "batch_size = 4", "batch_size = 4\nnormalize = false"),
         "image_features settings_changed 6; examples content_changed 12"),
    kind("the weights change", |h| h.model(8),
         "image_features weights_changed 6; caption_features weights_changed 12; examples content_changed 12"),
    kind("the weights are written again", |h| h.model(7), ""),
    kind("the tokenizer changes", tokenizer, "caption_features weights_changed 12"),
    kind("the numeric type changes", |h| define(h, "path = \"clip\"", "path = \"clip\"\ndtype = \"f16\""), ALL),
    kind("the batch size changes", |h| define(h, "batch_size = 4", "batch_size = 3"), ""),
    kind("the batch size is left to the machine", |h| define(h, "batch_size = 4", ""), ""),
    kind("the device is chosen by itself", |h| define(h, "path = \"clip\"", "path = \"clip\"\ndevice = \"auto\""), ""),
    kind("caps of the archive change", |h| define(h, "paths = \"images.tar\"", "paths = \"images.tar\"\nmax_members = 1000"), ""),
    kind("caps of an image change", |h| define(h, "source = \"photos\"", "source = \"photos\"\nmax_pixels = 1000000"), ""),
    kind("an unrelated stage is added", |h| define(h, "[stages.examples", "[stages.more.read_captions]\nsource = \"sentences\"\n\n[stages.examples"),
         "more new 12"),
    kind("a stage is renamed", |h| { define(h, "stages.image_features.", "stages.vectors."); define(h, "image_features = \"image_features\"", "image_features = \"vectors\""); },
         "vectors new 6"),
    kind("a contract is written out", |h| {
             let builtin = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/captions.toml");
             std::fs::copy(builtin, h.path("captions.contract.toml")).unwrap();
             define(h, "source = \"sentences\"", "source = \"sentences\"\ncontract = \"captions.contract.toml\"");
         }, ""),
    // No row changes; a version is published whose rows passed the new contract.
    Kind { name: "a contract asks for more", before: with_contract, change: |h| contract(h, 5), expected: "" },
    kind("parts get another size", |h| define(h, "store = \"store\"", "store = \"store\"\npart_rows = 5\npart_seconds = 7"), ""),
    Kind { name: "a broken image is mended", before: broken, change: |h| images(h, |_| ()),
           // It was cut to 200 bytes; whole, it moves the three behind it. Its captions were there.
           expected: "images content_changed 1; images moved 3; image_features new 1; examples new 2; rejects removed 1" },
    Kind { name: "a broken image is deleted", before: broken, change: |h| images(h, |i| { i.remove(2); }),
           expected: "images moved 3; images removed 1; captions removed 2; caption_features removed 2; rejects removed 1" },
    // It is refused before any weights are asked: nothing can be otherwise.
    Kind { name: "the weights change beside a broken image", before: broken, change: |h| h.model(8),
           expected: "image_features weights_changed 5; image_features rejected_earlier 1; \
                      caption_features weights_changed 12; examples content_changed 10" },
    Kind { name: "the numeric type changes beside a broken image", before: broken,
           change: |h| define(h, "path = \"clip\"", "path = \"clip\"\ndtype = \"f16\""),
           expected: "image_features settings_changed 5; image_features rejected_earlier 1; \
                      caption_features settings_changed 12; examples content_changed 10" },
    Kind { name: "a newer index_images beside a broken image", before: broken, change: |h| raise(h, "index_images"),
           expected: "images operator_changed 6; image_features rejected_earlier 1" },
    Kind { name: "a broken image takes a good one's place", before: broken,
           change: |h| images(h, |i| { i[2].1.truncate(200); i[4].1 = i[2].1.clone(); }),
           expected: "images content_changed 1; images moved 1; image_features removed 1; image_features rejected_earlier 1; \
                      examples removed 2; rejects new 1" },
    Kind { name: "a part of features is deleted", before: small_parts,
           change: |h| std::fs::remove_file(&parts(h, "image_features")[1]).unwrap(),
           // Parts hold two rows. Examples are made from digests of features, which a copy has, too.
           expected: "image_features part_damaged 2" },
    Kind { name: "a part of images is deleted", before: small_parts,
           change: |h| std::fs::remove_file(&parts(h, "images")[0]).unwrap(),
           expected: "images part_damaged 2" },
    Kind { name: "a part is truncated", before: small_parts,
           change: |h| overwrite(&parts(h, "caption_features")[2], |bytes| bytes.truncate(bytes.len() / 2)),
           expected: "caption_features part_damaged 2" },
    Kind { name: "two parts are swapped", before: small_parts,
           change: |h| {
               let parts = parts(h, "examples");
               let (first, second) = (std::fs::read(&parts[0]).unwrap(), std::fs::read(&parts[3]).unwrap());
               put(&parts[0], &second);
               put(&parts[3], &first);
           },
           expected: "examples part_damaged 4" },
    Kind { name: "a part's end is overwritten", before: small_parts,
           change: |h| overwrite(&parts(h, "caption_features")[0], |bytes| { let at = bytes.len() - 30; bytes[at] ^= 1; }),
           expected: "caption_features part_damaged 2" },
    Kind { name: "a split file is edited", before: with_splits, change: |h| splits(h, &[0, 1, 2], &[3, 4, 5]),
           expected: "captions content_changed 2; examples content_changed 2" },
    kind("the split is drawn with another seed", |h| define(h, "source = \"sentences\"",
             "source = \"sentences\"\nsplit = { train = 0.5, val = 0.25, test = 0.25, seed = 3 }"),
         // The draws of seed 0 are .78, .44, .33, .70, .38 and .48, below the usual 0.9: all train. Those of
         // seed 3 are .70, .83, .57, .14, .29 and .15: of 0.5 train three stay. 3 images of 2 captions change
         // their split; texts do not, so no features.
         "captions content_changed 6; examples content_changed 6"),
    kind("the source is narrowed", |h| define(h, "paths = \"images.tar\"", "paths = \"images.tar\"\ninclude = [\"*/1000000000[0-4].jpg\"]"),
         "images removed 1; image_features removed 1; captions removed 2; caption_features removed 2; \
          examples removed 2"),
    kind("the pattern of ids gives the same ids", |h| define(h, "paths = \"images.tar\"", "paths = \"images.tar\"\nid = '([0-9]+)\\.jpg$'"), ""),
    kind("the definition is renamed", |h| std::fs::rename(h.path("pipeline.toml"), h.path("other.toml")).unwrap(), ""),
    kind("only times change", |h| {
             for name in ["images.tar", "captions.tar.gz"] {
                 let file = std::fs::File::options().append(true).open(h.path(name)).unwrap();
                 file.set_modified(std::time::SystemTime::now()).unwrap();
             }
         }, ""),
    // An operator's rows are made again, and what is made from those as far as they say who made them:
    // a feature's digest is that of its image and its fingerprint, an id's and a text's is its own.
    kind("a newer index_images", |h| raise(h, "index_images"), "images operator_changed 6"),
    kind("a newer embed_images", |h| raise(h, "embed_images"),
         "image_features operator_changed 6; examples content_changed 12"),
    kind("a newer read_captions", |h| raise(h, "read_captions"), "captions operator_changed 12"),
    kind("a newer embed_captions", |h| raise(h, "embed_captions"), "caption_features operator_changed 12"),
    kind("a newer align", |h| raise(h, "align"), "examples operator_changed 12"),
    kind("a file of the source is copied over itself", |h| overwrite(&h.path("images.tar"), |_| ()), ""),
];

#[test]
fn every_kind_of_change_costs_exactly_its_rows() {
    assert!(KINDS.len() >= 25);
    let wrong: Vec<String> = KINDS.iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(kind: &Kind) -> Option<String> {
    let house = House::new(IMAGES);
    (kind.before)(&house);
    plan_and_run(&house, &options());
    let embeddings = house.rows("examples", &["image_id", "caption_index", "embedding"]);
    (kind.change)(&house);
    let step = step(&house);
    let all = changes(&step.report);
    if all != kind.expected {
        return Some(format!("{}:\n  expected {}\n  got      {all}", kind.name, kind.expected));
    }
    // What is counted is what was computed: neither copies nor rows that were written again as they are.
    for of in step.report.tables.iter().filter(|of| of.table != "rejects") {
        let expected = of.counts.computed();
        if of.computed != expected {
            let (computed, table) = (of.computed, &of.table);
            return Some(format!("{}: {table} computed {computed}, not {expected}", kind.name));
        }
    }
    if all.split("; ").all(|change| change.is_empty() || change.contains(" moved ")) {
        let now = house.rows("examples", &["image_id", "caption_index", "embedding"]);
        assert!(now == embeddings, "{}: other vectors", kind.name);
    }
    None
}

#[test]
fn a_broken_image_is_new_in_the_plan_and_rejected_by_the_run() {
    let house = House::new(IMAGES);
    step(&house);
    images(&house, |images| {
        let mut bytes = picture(50);
        bytes.truncate(200);
        images.push((format!("{}.jpg", id(6)), bytes));
    });
    let features = told::newest(&house, "image_features");
    captions(&house, |lines| lines.extend(caption_lines(7).split_off(12)));
    let step = plan_and_run(&house, &options());
    let of = |name: &str| step.foreseen.tables.iter().find(|t| t.table == name).unwrap();
    assert_eq!(super::step::all(&of("image_features").counts), "new 1, up_to_date 6");
    assert_eq!(super::step::all(&of("examples").counts), "new 2, up_to_date 12");
    let examples = step.report.tables.iter().find(|t| t.table == "examples").unwrap();
    assert_eq!(super::step::all(&examples.counts), "up_to_date 12");
    assert_eq!(
        changes(&step.report),
        "images new 1; image_features new 1; captions new 2; caption_features new 2; rejects new 1",
        "its header is sound and its data are not: it has captions and no example"
    );
    assert_eq!(told::newest(&house, "image_features"), features, "no row, no version");
}
