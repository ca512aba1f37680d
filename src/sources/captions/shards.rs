//! Captions beside the images of WebDataset shards: `000.txt`, or a field of `000.json`.

use std::io::{self, BufRead, Read};

use serde_json::Value;

use super::collector::{Collector, Found};
use crate::base::units::Bytes;
use crate::flow::RejectClass;
use crate::sources::names::Named;

/// One member of a shard.
pub(super) struct Shard<'a> {
    /// Its own name, from which the image id comes.
    pub(super) name: &'a str,
    /// As it is shown.
    pub(super) member: &'a str,
    pub(super) offset: u64,
}

/// Reads one member: its whole text, or `field` of its JSON, a string or a list of them.
pub(super) fn read(
    reader: &mut dyn BufRead,
    shard: &Shard<'_>,
    cap_bytes: u64,
    field: Option<&str>,
    out: &mut Collector<'_>,
) -> io::Result<()> {
    let Shard { name: image, member, offset } = *shard;
    let id = out.id_of(image, Named::Shard);
    let mut raw = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "taken up to the cap")]
    reader.take(cap_bytes.saturating_add(1)).read_to_end(&mut raw)?;
    if raw.len() as u64 > cap_bytes {
        let why = format!("it is larger than the cap of {}", Bytes(cap_bytes));
        out.reject(member, offset, id, RejectClass::OverCap, why, None);
        return Ok(());
    }
    let raw = raw.as_slice();
    let Ok(text) = std::str::from_utf8(raw) else {
        let why = "it is no UTF-8".to_string();
        out.reject(member, offset, id, RejectClass::BadText, why, Some(raw));
        return Ok(());
    };
    let mut add = |text: &str, item| {
        let (named, index, split) = (Named::Shard, None, None);
        out.add(member, &Found { image, named, index, text, split, offset, raw, item });
    };
    let Some(field) = field else {
        add(text.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']), None);
        return Ok(());
    };
    let texts = match serde_json::from_str::<Value>(text) {
        Ok(value) => match value.get(field) {
            Some(Value::String(text)) => Ok(vec![(text.clone(), None)]),
            Some(Value::Array(list)) => list
                .iter()
                .enumerate()
                .map(|(at, text)| Some((text.as_str()?.to_string(), Some(at))))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| format!("its field `{field}` holds what is no text")),
            Some(_) => Err(format!("its field `{field}` is neither a text nor a list of texts")),
            None => Err(format!("it has no field `{field}`")),
        },
        Err(cause) => Err(format!("it is no JSON: {cause}")),
    };
    match texts {
        Ok(texts) => texts.iter().for_each(|(text, item)| add(text, *item)),
        Err(why) => out.bad_line(member, offset, Some((image, Named::Shard)), why, raw),
    }
    Ok(())
}
