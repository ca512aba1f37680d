//! COCO's `captions_*.json`: images with ids and file names, captions that name those ids.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufRead};

use serde_json::Value;

use super::collector::{Collector, Found};
use super::json::{self, Stop};
use crate::base::units::Bytes;
use crate::flow::{RejectClass, Split};
use crate::sources::names::{Named, base_name};

#[derive(serde::Deserialize)]
struct Image {
    id: Value,
    file_name: String,
}

#[derive(serde::Deserialize)]
struct Annotation {
    image_id: Value,
    caption: String,
}

/// Captions come in the order of the file; that of an image's captions gives their numbers.
pub(super) fn read(
    reader: &mut dyn BufRead,
    member: &str,
    cap_bytes: u64,
    out: &mut Collector<'_>,
) -> Result<(), Stop> {
    let mut names: HashMap<String, String> = HashMap::new();
    // of ids that two images have
    let mut doubled: HashMap<String, String> = HashMap::new();
    // either array may come first
    let mut captions: Vec<(u64, Annotation)> = Vec::new();
    let stop = json::elements(reader, &["images", "annotations"], cap_bytes, &mut |element| {
        let (offset, raw) = (element.offset, element.bytes);
        if element.over {
            let why = format!("it is larger than the cap of {}", Bytes(cap_bytes));
            return out.reject(member, offset, None, RejectClass::OverCap, why, None);
        }
        let broken = if element.array == 0 {
            serde_json::from_slice(raw).map(|Image { id, file_name }| {
                match names.entry(id.to_string()) {
                    Entry::Vacant(entry) => {
                        entry.insert(file_name);
                    }
                    Entry::Occupied(first) if *first.get() == file_name => {}
                    Entry::Occupied(first) => {
                        let image = Some((file_name.as_str(), Named::Text));
                        let why = two_images(first.key(), first.get(), &file_name);
                        out.bad_line(member, offset, image, why, raw);
                        doubled.insert(id.to_string(), file_name);
                    }
                }
            })
        } else {
            serde_json::from_slice(raw).map(|caption| captions.push((offset, caption)))
        };
        if let Err(cause) = broken {
            out.bad_line(member, offset, None, format!("it is no entry of COCO's: {cause}"), raw);
        }
    });
    let split = split_of(member);
    for (offset, caption) in captions {
        let raw = caption.caption.as_bytes();
        let id = caption.image_id.to_string();
        let Some(image) = names.get(&id) else {
            let why = format!("the file lists no image {id}");
            out.bad_line(member, offset, None, why, raw);
            continue;
        };
        if let Some(other) = doubled.get(&id) {
            out.bad_line(member, offset, None, two_images(&id, image, other), raw);
            continue;
        }
        let (text, named, index, item) = (caption.caption.as_str(), Named::Text, None, None);
        out.add(member, &Found { image, named, index, text, split, offset, raw, item });
    }
    stop
}

fn two_images(id: &str, first: &str, other: &str) -> String {
    format!("the file lists two images {id}: `{first}` and `{other}`")
}

/// COCO says which part a file is in its name: `captions_val2017.json`.
pub(super) fn split_of(member: &str) -> Option<Split> {
    let part = base_name(member).strip_prefix("captions_")?;
    let letters = part.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(part.len());
    part.get(..letters)?.parse().ok()
}

/// Turns what stopped a file into a row, unless nothing of it could be read.
pub(super) fn settle(
    stop: Result<(), Stop>,
    member: &str,
    out: &mut Collector<'_>,
) -> crate::base::Result<io::Result<()>> {
    match stop {
        Ok(()) => Ok(Ok(())),
        Err(Stop::Io(cause)) => Ok(Err(cause)),
        Err(Stop::Syntax { offset, expected }) if offset <= 3 => {
            let what = format!("is no JSON of captions: expected {expected}");
            Err(crate::base::Error::new(crate::base::Kind::BadInput, what).at(member))
        }
        Err(Stop::Syntax { offset, expected }) => {
            let why = format!("the JSON is broken here, expected {expected}; the rest is lost");
            out.reject(member, offset, None, RejectClass::BrokenMember, why, None);
            Ok(Ok(()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_gives_the_split() {
        assert_eq!(split_of("annotations/captions_val2017.json"), Some(Split::Val));
        assert_eq!(split_of("captions_train2014.json"), Some(Split::Train));
        assert_eq!(split_of("mine.json"), None);
    }
}
