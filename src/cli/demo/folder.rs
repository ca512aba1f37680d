//! The demo's folder: what a user of Flickr30k would have, drawn where it is not there yet.

use std::io::{self, Write};
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::files::{make_folder, read_capped, write_atomic};
use crate::base::{Cancel, Error, Kind, Result};
use crate::decode::encode_jpeg;
use crate::nn::clip::{Activation, ClipConfig};
use crate::nn::gpt2::Gpt2Config;
use crate::nn::{clip, gpt2};
use crate::sources::write::{TarWriter, gzip};

use super::captions::captions;
use super::draw::draw;
use super::scene::Scene;

/// Says that a folder is a demo's, and how it was drawn.
const MARKER: &str = ".clipmill-demo.json";
const MARKER_CAP_BYTES: u64 = 1 << 16;
const FORMAT: u32 = 3;

/// The archives' names, as they are sent.
const IMAGES: &str = "flickr30k-images.tar";
const SENTENCES: &str = "flickr30k.tar.gz";
/// The definition.
pub const DEFINITION: &str = "pipeline.toml";
const SCHEMA: &str = "pipeline.schema.json";
const CLIP: &str = "clip";
const GPT2: &str = "gpt2";

/// Time of every member: that of the original's captions, 2013-12-16.
const MTIME_S: u64 = 1_387_218_000;
const JPEG_QUALITY: u8 = 92;
/// Pictures drawn at once; bounds memory for large demos.
const DRAWN_AT_ONCE: usize = 256;

const README: &str = "Drawn scenes in the format of Flickr30k.\n\n\
Each line of results_20130124.token represents a caption, and consists of a caption ID and the\n\
actual caption. Caption IDs are <image file name>#<caption number>. Written by clipmill demo;\n\
no rights are reserved.\n";

/// How a demo was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    format: u32,
    /// Seed of pictures, captions and weights.
    pub seed: u64,
    /// How many pictures.
    pub images: u32,
}

impl Recipe {
    /// A recipe of today's format.
    #[must_use]
    pub fn new(seed: u64, images: u32) -> Self {
        Self { format: FORMAT, seed, images }
    }
}

/// What [`prepare`] found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// How the demo was first drawn, which may not be how it was asked for now.
    pub recipe: Recipe,
    /// Names written now.
    pub written: Vec<&'static str>,
    /// Names that were there, and stay as they are.
    pub kept: Vec<&'static str>,
}

/// Writes what is missing of a demo to `dir`, with a definition that trains or one that does not;
/// nothing that is there is ever overwritten.
///
/// # Errors
/// [`Kind::Usage`] for a folder that holds something else, [`Kind::Interrupted`] on request, and
/// when writing fails.
pub fn prepare(
    dir: &Path,
    (asked, trains): (Recipe, bool),
    schema: &str,
    cancel: &Cancel,
) -> Result<Contents> {
    let recipe = claim(dir, asked)?;
    let scenes = Scene::series(recipe.seed, recipe.images);
    let mut contents = Contents { recipe, written: Vec::new(), kept: Vec::new() };
    let mut unless_there = |name, write: &dyn Fn(&Path) -> Result<()>| {
        let path = dir.join(name);
        if path.symlink_metadata().is_ok() {
            contents.kept.push(name);
            return Ok(());
        }
        write(&path)?;
        contents.written.push(name);
        Ok::<_, Error>(())
    };
    unless_there(IMAGES, &|path| write_images(path, &scenes, cancel))?;
    unless_there(SENTENCES, &|path| write_sentences(path, &scenes))?;
    unless_there(CLIP, &|path| {
        write_model(path, &scenes, |partial, texts| {
            let config = if trains { clip_config() } else { ClipConfig::default() };
            clip::write_random(partial, &config, recipe.seed, texts)
        })
    })?;
    if trains {
        unless_there(GPT2, &|path| {
            write_model(path, &scenes, |partial, texts| {
                gpt2::write_random(partial, &gpt2_config(), recipe.seed, texts)
            })
        })?;
    }
    unless_there(SCHEMA, &|path| write_text(path, schema))?;
    let definition =
        if trains { include_str!("pipeline.toml") } else { include_str!("untrained.toml") };
    unless_there(DEFINITION, &|path| write_text(path, definition))?;
    Ok(contents)
}

/// Makes the folder a demo's, or reads how it became one.
fn claim(dir: &Path, asked: Recipe) -> Result<Recipe> {
    let marker = dir.join(MARKER);
    let place = dir.display();
    if marker.is_file() {
        let bytes = read_capped(&marker, MARKER_CAP_BYTES)?;
        let recipe: Recipe = serde_json::from_slice(&bytes).map_err(|cause| {
            Error::new(Kind::BadInput, "cannot be read as a demo's marker")
                .at(marker.display())
                .help("name another folder with --dir")
                .caused_by(cause)
        })?;
        if recipe.format != FORMAT {
            return Err(Error::new(Kind::BadInput, "is of another version of the demo")
                .at(place)
                .help("name another folder with --dir"));
        }
        return Ok(recipe);
    }
    make_folder(dir)?;
    let mut entries =
        std::fs::read_dir(dir).map_err(|cause| Error::io("cannot list", dir.display(), cause))?;
    if entries.next().is_some() {
        return Err(Error::new(Kind::Usage, "is not empty and holds no demo")
            .at(dir.display())
            .help("name a folder that is not there yet with --dir; nothing was written"));
    }
    write_text(&marker, &serde_json::json!(asked).to_string())?;
    Ok(asked)
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    write_atomic(path, |to| to.write_all(text.as_bytes()).map_err(|cause| failed(path, cause)))
}

fn failed(path: &Path, cause: io::Error) -> Error {
    Error::io("cannot write", path.display(), cause)
}

fn write_images(path: &Path, scenes: &[Scene], cancel: &Cancel) -> Result<()> {
    write_atomic(path, |to| {
        let mut tar = TarWriter::new(to);
        tar.directory("flickr30k-images", MTIME_S).map_err(|cause| failed(path, cause))?;
        for some in scenes.chunks(DRAWN_AT_ONCE) {
            cancel.check()?;
            let drawn: Vec<Vec<u8>> = some
                .par_iter()
                .map(|scene| encode_jpeg(&draw(scene), JPEG_QUALITY))
                .collect::<Result<_>>()?;
            for (scene, jpeg) in some.iter().zip(&drawn) {
                tar.file(&format!("flickr30k-images/{}.jpg", scene.id), jpeg, MTIME_S)
                    .map_err(|cause| failed(path, cause))?;
            }
        }
        tar.finish().map(drop).map_err(|cause| failed(path, cause))
    })
}

/// The lines of `results_20130124.token`.
fn sentences(scenes: &[Scene]) -> String {
    let mut lines = String::new();
    for scene in scenes {
        for (number, text) in captions(scene).iter().enumerate() {
            lines.push_str(&format!("{}.jpg#{number}\t{text}\n", scene.id));
        }
    }
    lines
}

fn write_sentences(path: &Path, scenes: &[Scene]) -> Result<()> {
    let lines = sentences(scenes);
    write_atomic(path, |to| {
        let mut tar = TarWriter::new(gzip(to));
        tar.file("readme.txt", README.as_bytes(), MTIME_S)
            .and_then(|()| tar.file("results_20130124.token", lines.as_bytes(), MTIME_S))
            .and_then(|()| tar.finish()?.finish().map(drop))
            .map_err(|cause| failed(path, cause))
    })
}

/// A CLIP that learns the scenes in a minute on a processor. Shapes stand where patches
/// meet, so that each looks alike wherever it is.
fn clip_config() -> ClipConfig {
    ClipConfig {
        image_width: 64,
        image_layers: 2,
        text_width: 64,
        text_layers: 2,
        context: 40,
        width: 96,
        activation: Activation::GeluTanh,
        head_width: 32,
        spreads: [1.7, 0.5, 0.17],
        ..ClipConfig::default()
    }
}

fn gpt2_config() -> Gpt2Config {
    Gpt2Config {
        vocabulary: 2000,
        positions: 64,
        width: 64,
        layers: 2,
        heads: 2,
        inner: 256,
        ..Gpt2Config::default()
    }
}

/// Writes a model beside its place and moves it there, so that a half one is never found.
fn write_model(
    path: &Path,
    scenes: &[Scene],
    write: impl Fn(&Path, &[&str]) -> Result<()>,
) -> Result<()> {
    let texts: Vec<String> = scenes.iter().flat_map(captions).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let partial = path.with_extension("partial");
    write(&partial, &texts)?;
    std::fs::rename(&partial, path).map_err(|cause| failed(path, cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
        std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, read_capped(&entry.path(), 1 << 30).unwrap())
            })
            .collect()
    }

    #[test]
    fn the_same_recipe_writes_the_same_bytes_and_keeps_what_is_there() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let recipe = Recipe::new(5, 12);
        let first = prepare(a.path(), (recipe, true), "{}", &Cancel::new()).unwrap();
        prepare(b.path(), (recipe, true), "{}", &Cancel::new()).unwrap();
        assert_eq!(first.written, [IMAGES, SENTENCES, CLIP, GPT2, SCHEMA, DEFINITION]);
        assert_eq!(files(a.path()), files(b.path()));
        assert_eq!(files(&a.path().join("clip")), files(&b.path().join("clip")));

        // The user's own archive and another wish: nothing is touched.
        write_text(&a.path().join(IMAGES), "mine").unwrap();
        let again = prepare(a.path(), (Recipe::new(6, 99), true), "{}", &Cancel::new()).unwrap();
        assert_eq!((again.recipe, again.written.len(), again.kept.len()), (recipe, 0, 6));
        assert_eq!(files(a.path())[IMAGES], b"mine");
    }

    #[test]
    fn another_folder_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        write_text(&dir.path().join("thesis.tex"), "years of work").unwrap();
        let error =
            prepare(dir.path(), (Recipe::new(0, 8), true), "{}", &Cancel::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(files(dir.path()).len(), 1);
    }

    #[test]
    fn a_demo_cut_short_is_finished_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let stopped = Cancel::new();
        stopped.cancel();
        let recipe = Recipe::new(0, 8);
        let error = prepare(dir.path(), (recipe, true), "{}", &stopped).unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
        let contents = prepare(dir.path(), (recipe, true), "{}", &Cancel::new()).unwrap();
        assert_eq!(contents.written.len(), 6);
    }

    #[test]
    fn lines_are_as_flickrs() {
        let lines = sentences(&Scene::series(0, 8));
        assert_eq!(lines.lines().count(), 40);
        for line in lines.lines() {
            let (id, text) = line.split_once('\t').unwrap();
            assert!(id.contains(".jpg#") && text.ends_with(" ."), "{line}");
        }
    }
}
