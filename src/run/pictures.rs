//! The pictures that a CLIP trains on: each is read out of its archive and prepared when it is
//! asked for, and kept as long as there is room.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::StringArray;
use rayon::prelude::*;

use crate::base::digest::Digester;
use crate::base::{Cancel, Digest, Error, Kind, Result};
use crate::decode::{self, Limits, Orientation};
use crate::flow::{Preprocessing, Reject, Split};
use crate::plan::clip::TrainClip;
use crate::plan::stage::IndexImages;
use crate::sources::Member;
use crate::train::examples::Part;
use crate::train::inputs::Inputs;

use super::context::Context;
use super::images;
use super::pass::Listed;
use super::recipe::refusal;
use super::rows;
use super::upstream::{Which, each_caption};

/// Pictures that are looked at between two looks at whether to stop.
const LOOKED_AT_ONCE: usize = 256;

/// Levels of prepared pictures that are kept (512 MiB).
const KEPT_LEVELS: usize = 1 << 29;

/// The captions of a training and their images.
#[derive(Debug)]
pub(super) struct Lessons {
    /// Keys and contents of the images, sorted by key.
    images: Vec<(String, String)>,
    pub train: Part,
    pub validation: Part,
    pub digest: Digest,
}

impl Lessons {
    /// Reads the tables of images and captions. An image that no caption of a split that trains or
    /// validates speaks of is left out.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when nothing trains; when a table cannot be read.
    pub(super) fn read(ctx: &Context<'_>, work: &TrainClip) -> Result<Self> {
        let contents = contents(ctx, &work.images)?;
        let mut found: BTreeMap<String, Vec<(i32, Split, String, String)>> = BTreeMap::new();
        each_caption(ctx, (&work.captions, &work.column), Which::All, &mut |row| {
            let split = row.split.and_then(|name| name.parse::<Split>().ok());
            let Some(split) = split.filter(|split| *split != Split::Test) else {
                return Ok(ControlFlow::Continue(()));
            };
            if contents.contains_key(row.image_id) && !row.text.trim().is_empty() {
                let one = (row.caption_index, split, row.text.to_string(), row.digest.text());
                found.entry(row.image_id.to_owned()).or_default().push(one);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let mut lessons = Self {
            images: Vec::new(),
            train: Part::default(),
            validation: Part::default(),
            digest: Digest::of(&[]),
        };
        let mut digester = Digester::new();
        for (id, mut captions) in found {
            captions.sort();
            let number = lessons.images.len();
            let content = contents.get(&id).cloned().unwrap_or_default();
            digester.field("image", id.as_bytes()).field("content", content.as_bytes());
            for (index, split, text, digest) in captions {
                digester
                    .field("caption", &index.to_le_bytes())
                    .field("split", split.name().as_bytes())
                    .field("made of", digest.as_bytes());
                let part = match split {
                    Split::Train => &mut lessons.train,
                    _ => &mut lessons.validation,
                };
                part.images.push(number);
                part.texts.push(text);
            }
            lessons.images.push((id, content));
        }
        if lessons.train.texts.is_empty() {
            return Err(Error::new(Kind::BadInput, "no caption is in the split `train`")
                .at(&work.captions)
                .help("the stage of the captions draws or reads the splits"));
        }
        lessons.digest = digester.finish();
        Ok(lessons)
    }

    /// What trains and what validates, without the images `refused`. [`Self::digest`] is that of
    /// all: the same bytes are refused every time, and who plans need not decode them.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when nothing is left to train on.
    pub(super) fn without(&self, refused: &BTreeMap<usize, Reject>) -> Result<[Part; 2]> {
        let parts = [&self.train, &self.validation].map(|part| {
            let rows = part.images.iter().zip(&part.texts);
            let rows = rows.filter(|(image, _)| !refused.contains_key(*image));
            let (images, texts) = rows.map(|(image, text)| (*image, text.clone())).unzip();
            Part { images, texts }
        });
        match refused.values().next() {
            Some(first) if parts[0].texts.is_empty() => {
                let what = "no image of the split `train` can be decoded";
                Err(Error::new(Kind::BadInput, what).help(format!("the first of them: {first}")))
            }
            _ => Ok(parts),
        }
    }
}

/// The digest of each image's bytes.
fn contents(ctx: &Context<'_>, table: &str) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let Some(snapshot) = ctx.store.snapshot(table)? else { return Ok(found) };
    for part in snapshot.parts() {
        for batch in snapshot.scan_part(part, &["image_id", "digest"])? {
            let batch = batch?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            let digests = rows::column::<StringArray>(&batch, "digest")?;
            for (id, digest) in ids.iter().zip(digests) {
                if let (Some(id), Some(digest)) = (id, digest) {
                    found.insert(id.to_owned(), digest.to_owned());
                }
            }
        }
    }
    Ok(found)
}

/// Prepared pictures.
#[derive(Debug)]
pub(super) struct Pictures<'a> {
    lessons: &'a Lessons,
    listed: Listed,
    members: Vec<Option<Member>>,
    limits: Limits,
    preprocessing: Preprocessing,
    /// Levels of theirs: a quarter of what the model's numbers of them would be.
    kept: Mutex<HashMap<usize, Arc<Vec<u8>>>>,
}

impl<'a> Pictures<'a> {
    /// Finds the members of the archives that the images are.
    ///
    /// # Errors
    /// [`Kind::BadInput`] for an archive that can only be streamed.
    pub(super) fn find(
        ctx: &Context<'_>,
        lessons: &'a Lessons,
        index: &IndexImages,
        preprocessing: Preprocessing,
    ) -> Result<Self> {
        let listed = images::list(ctx, index)?;
        for (archive, members) in listed.archives.iter().zip(&listed.members) {
            if members.is_none() || !archive.is_seekable() {
                let what = "is compressed, and training reads its pictures again and again";
                return Err(Error::new(Kind::BadInput, what)
                    .at(archive.path().display())
                    .help("unpack it to a plain .tar and name that one"));
            }
        }
        let mut by_id: BTreeMap<&str, &Member> = BTreeMap::new();
        for member in listed.members.iter().flatten().flatten() {
            by_id.insert(&member.image_id, member);
        }
        let members =
            lessons.images.iter().map(|(id, _)| by_id.get(id.as_str()).map(|m| (*m).clone()));
        let members = members.collect();
        let limits = Limits {
            bytes: index.source.caps.member_bytes,
            pixels: index.max_pixels,
            memory_bytes: index.max_memory_bytes,
        };
        let kept = Mutex::default();
        Ok(Self { lessons, listed, members, limits, preprocessing, kept })
    }

    /// The pictures that cannot be decoded, by number. All are prepared for it but those of contents
    /// of which `known` says why, and kept for the first epoch as far as there is room: a training must
    /// not end at one when hours have passed.
    ///
    /// # Errors
    /// When a picture cannot be read, or is not what it was when it was listed: then nobody knows
    /// whether it can be decoded. When it was asked to stop.
    pub(super) fn refused(
        &self,
        cancel: &Cancel,
        known: &(dyn Fn(&Digest) -> Option<Reject> + Sync),
    ) -> Result<BTreeMap<usize, Reject>> {
        let mut refused = BTreeMap::new();
        let all: Vec<usize> = (0..self.members.len()).collect();
        for some in all.chunks(LOOKED_AT_ONCE) {
            cancel.check()?;
            let reject = |image: &usize| match self.known(*image, known) {
                None => Ok(self.get(*image)?.err()),
                known => Ok(known),
            };
            let found: Vec<_> = some.par_iter().map(reject).collect::<Result<_>>()?;
            let found = some.iter().zip(found);
            refused.extend(found.filter_map(|(image, reject)| Some((*image, reject?))));
        }
        Ok(refused)
    }

    /// What is known against a picture, at the place where it stands now.
    fn known(&self, image: usize, known: &dyn Fn(&Digest) -> Option<Reject>) -> Option<Reject> {
        let (_, content) = self.lessons.images.get(image)?;
        let reject = known(&content.parse().ok()?)?;
        let Member { image_id, origin, .. } = self.members.get(image)?.as_ref()?;
        Some(Reject { image_id: Some(image_id.clone()), origin: origin.clone(), ..reject })
    }

    /// A prepared picture, or why it cannot be decoded.
    fn get(&self, image: usize) -> Result<Result<Arc<Vec<u8>>, Reject>> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(levels) = kept().get(&image) {
            return Ok(Ok(Arc::clone(levels)));
        }
        let levels = match self.prepare(image)? {
            Ok(levels) => Arc::new(levels),
            Err(reject) => return Ok(Err(reject)),
        };
        let room = KEPT_LEVELS.checked_div(self.width()).unwrap_or(0);
        let mut kept = kept();
        if kept.len() < room {
            kept.insert(image, Arc::clone(&levels));
        }
        Ok(Ok(levels))
    }

    fn prepare(&self, image: usize) -> Result<Result<Vec<u8>, Reject>> {
        let bad = |what: String| self.bad(image, what);
        let member = self.members.get(image).and_then(Option::as_ref);
        let member = member.ok_or_else(|| bad("is in no archive any more".into()))?;
        let archive = self.listed.archives.get(member.archive);
        let archive = archive.ok_or_else(|| bad("is in no archive any more".into()))?;
        let bytes = archive.read(member).map_err(|reject| bad(reject.message))?;
        let digest = Digest::of(&bytes);
        let expected = self.lessons.images.get(image).map(|(_, content)| content.as_str());
        if Some(digest.to_string().as_str()) != expected {
            return Err(bad("is not what it was when it was listed".into()));
        }
        let targets = [self.preprocessing];
        match decode::decode_for(&bytes, &self.limits, Orientation::Ignore, &targets) {
            Ok(pixels) => Ok(Ok(decode::preprocess_u8(&pixels, &self.preprocessing).data)),
            Err(fault) => Ok(Err(refusal(member, digest, fault))),
        }
    }

    fn bad(&self, image: usize, what: String) -> Error {
        Error::new(Kind::BadInput, what)
            .at(self.image(image))
            .help("let nothing change the archives meanwhile; the next run lists the images anew")
    }
}

impl Inputs for Pictures<'_> {
    fn digest(&self) -> Digest {
        self.lessons.digest
    }

    fn width(&self) -> usize {
        let side = usize::try_from(self.preprocessing.size_px).unwrap_or(0);
        3 * side * side
    }

    fn image(&self, image: usize) -> &str {
        self.lessons.images.get(image).map_or("", |(id, _)| id)
    }

    fn of_images(&self, images: &[usize]) -> Result<Vec<f32>> {
        let scale = self.preprocessing.scale();
        let mut numbers = vec![0.0; images.len() * self.width()];
        // a model without pixels has no row to write
        let rows = numbers.par_chunks_mut(self.width().max(1));
        images.par_iter().zip(rows).try_for_each(|(image, row)| {
            let levels = self.get(*image)?.map_err(|reject| self.bad(*image, reject.message))?;
            decode::scale_into(&levels, &scale, row)
        })?;
        Ok(numbers)
    }
}
