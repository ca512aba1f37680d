//! Karpathy's `dataset_*.json`: images with their sentences and splits.

use std::io::BufRead;

use serde_json::Value;

use super::collector::{Collector, Found, numbered};
use super::json::{self, Stop};
use crate::base::units::Bytes;
use crate::flow::{RejectClass, Split};
use crate::sources::names::Named;

#[derive(serde::Deserialize)]
struct Image {
    filename: String,
    split: Option<String>,
    sentences: Vec<Value>,
}

pub(super) fn read(
    reader: &mut dyn BufRead,
    member: &str,
    cap_bytes: u64,
    out: &mut Collector<'_>,
) -> Result<(), Stop> {
    json::elements(reader, &["images"], cap_bytes, &mut |element| {
        let (offset, raw) = (element.offset, element.bytes);
        if element.over {
            let why = format!("it is larger than the cap of {}", Bytes(cap_bytes));
            return out.reject(member, offset, None, RejectClass::OverCap, why, None);
        }
        let image: Image = match serde_json::from_slice(raw) {
            Ok(image) => image,
            Err(cause) => {
                let why = format!("it is no image of Karpathy's: {cause}");
                return out.bad_line(member, offset, None, why, raw);
            }
        };
        let named = Some((image.filename.as_str(), Named::Text));
        let split = match image.split.as_deref().map(str::parse::<Split>).transpose() {
            Ok(split) => split,
            Err(why) => return out.bad_line(member, offset, named, why, raw),
        };
        for (at, sentence) in image.sentences.iter().enumerate() {
            let index = i32::try_from(at).ok();
            let Some(text) = sentence.get("raw").and_then(Value::as_str) else {
                let why = format!("sentence {at} of {} has no `raw` text", image.filename);
                let raw = sentence.to_string();
                out.bad_line(&numbered(member, at), offset, named, why, raw.as_bytes());
                continue;
            };
            let (image, named, raw) = (image.filename.as_str(), Named::Text, text.as_bytes());
            let item = Some(at);
            out.add(member, &Found { image, named, index, text, split, offset, raw, item });
        }
    })
}
