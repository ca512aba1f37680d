//! Files of `torch.save` before 1.6: four pickles (magic number, protocol, system, object), one
//! with the keys of the storages, then each storage as its count and its numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::flatten::flatten;
use crate::base::{Error, Kind, Result};
use crate::nn::weights::Element;
use crate::nn::weights::map::FileBytes;
use crate::nn::weights::pickle::{self, Arena, Id, Value};
use crate::nn::weights::store::{Storage, Stored};

/// `0x1950a86a20f9469cfc6c` as `torch.save` pickles it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Whether `bytes` begin with the magic number of the format.
pub(in crate::nn::weights) fn is_legacy(bytes: &[u8]) -> bool {
    let body = bytes.get(2..).unwrap_or_default();
    bytes.first() == Some(&0x80)
        && body.strip_prefix(&[0x8a, 0x0a]).is_some_and(|rest| rest.starts_with(&MAGIC))
}

pub(in crate::nn::weights) fn read(file: &Arc<FileBytes>) -> Result<BTreeMap<String, Stored>> {
    let bytes = file.as_slice();
    let mut arena = Arena::default();
    let mut at = 0;
    let mut next = |arena: &mut Arena| -> Result<Id> {
        let (id, taken) = pickle::read(bytes.get(at..).unwrap_or_default(), arena)?;
        at += taken;
        Ok(id)
    };
    next(&mut arena)?;
    let protocol = next(&mut arena)?;
    if *arena.get(protocol) != Value::Int(1001) {
        return Err(Error::new(Kind::BadInput, "is of a protocol of PyTorch other than 1001"));
    }
    let system = next(&mut arena)?;
    if is_big_endian(&arena, system) {
        return Err(Error::new(Kind::BadInput, "was written on a big-endian machine"));
    }
    let root = next(&mut arena)?;
    let keys = next(&mut arena)?;
    let elements = elements(&arena)?;
    let ended = || {
        Error::new(Kind::BadInput, "ends before its last storage")
            .help("the file may have been cut short on its way: fetch it again")
    };
    let mut storages = BTreeMap::new();
    let Value::List(keys) = arena.get(keys) else { return Err(ended()) };
    for key in keys {
        let Some(key) = arena.text(*key) else { return Err(ended()) };
        let Some(element) = elements.get(key) else {
            return Err(Error::new(
                Kind::BadInput,
                format!("holds a storage `{key}` that nothing looks into"),
            ));
        };
        let count = bytes.get(at..).and_then(|rest| rest.first_chunk());
        let count = count.and_then(|n| usize::try_from(u64::from_le_bytes(*n)).ok());
        let start = at + 8;
        let end = count
            .and_then(|count| count.checked_mul(element.size_bytes()))
            .and_then(|size| start.checked_add(size))
            .filter(|end| *end <= bytes.len())
            .ok_or_else(ended)?;
        storages.insert(key.to_owned(), Storage::Mapped { file: Arc::clone(file), start, end });
        at = end;
    }
    flatten(&arena, root, |id| {
        storages
            .get(&id.key)
            .cloned()
            .ok_or_else(|| Error::new(Kind::BadInput, format!("lacks its storage `{}`", id.key)))
    })
}

fn is_big_endian(arena: &Arena, system: Id) -> bool {
    let Value::Dict(pairs) = arena.get(system) else { return false };
    pairs.iter().any(|(key, value)| {
        arena.text(*key) == Some("little_endian") && *arena.get(*value) == Value::Bool(false)
    })
}

/// The type of each storage that a tensor of the pickle looks into.
fn elements(arena: &Arena) -> Result<BTreeMap<String, Element>> {
    let mut all = BTreeMap::new();
    for persistent in arena.persistent() {
        if let Some(id) = super::flatten::storage_id(arena, persistent)? {
            all.insert(id.key, id.element);
        }
    }
    Ok(all)
}
