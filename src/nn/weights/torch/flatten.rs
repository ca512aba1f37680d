//! Nested containers to dotted names: `{"model": {"w": …}}` has the tensor `model.w`.

use std::collections::BTreeMap;

use crate::base::{Error, Kind, Result};
use crate::nn::weights::Element;
use crate::nn::weights::pickle::{Arena, Global, Id, TensorParts, Value};
use crate::nn::weights::store::{Storage, Stored};

const DEEPEST: usize = 64;
const MOST_STEPS: usize = 4_000_000;
/// All names together: each is as long as the keys above it.
const MOST_NAME_BYTES: usize = 256 << 20;

/// What is still to be looked at, with its name and depth; and what was asked for so far.
#[derive(Default)]
struct Open {
    places: Vec<(String, Id, usize)>,
    steps: usize,
    name_bytes: usize,
}

impl Open {
    /// Opens `id`, which is `key` of what is named `above`, or is that itself.
    fn push(&mut self, above: &str, key: Option<&str>, id: Id, depth: usize) -> Result<()> {
        self.steps += 1;
        self.name_bytes += above.len() + 1 + key.map_or(0, str::len);
        if depth > DEEPEST || self.steps > MOST_STEPS || self.name_bytes > MOST_NAME_BYTES {
            let what = "its pickle nests too deeply or too widely";
            return Err(Error::new(Kind::BadInput, what));
        }
        let name = match (above, key) {
            (name, None) | ("", Some(name)) => name.to_owned(),
            (above, Some(key)) => format!("{above}.{key}"),
        };
        self.places.push((name, id, depth));
        Ok(())
    }
}

/// What a persistent id says of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StorageId {
    pub(super) element: Element,
    pub(super) key: String,
    /// Numbers, not bytes.
    pub(super) count: usize,
    /// Number at which a view of the storage begins (legacy files).
    pub(super) view: usize,
}

/// Reads `('storage', torch.FloatStorage, '0', 'cpu', 10)`, in legacy files with a sixth part:
/// `None`, or `(key, first, count)` of a view. `None` for types that no model computes with.
pub(super) fn storage_id(arena: &Arena, persistent: Id) -> Result<Option<StorageId>> {
    let odd = || Error::new(Kind::BadInput, "its pickle names a storage in an odd way");
    let Value::Persistent(id) = *arena.get(persistent) else { return Err(odd()) };
    let [kind, class, key, _location, count, rest @ ..] = arena.tuple(id).ok_or_else(odd)? else {
        return Err(odd());
    };
    if arena.text(*kind) != Some("storage") {
        return Err(odd());
    }
    let element = match arena.get(*class) {
        Value::Global(Global::Storage(element)) => *element,
        Value::Global(Global::OtherStorage) => return Ok(None),
        _ => return Err(odd()),
    };
    let view = match rest.first().map(|view| arena.get(*view)) {
        None | Some(Value::None) => 0,
        Some(Value::Tuple(parts)) => {
            parts.get(1).and_then(|first| arena.size(*first)).ok_or_else(odd)?
        }
        Some(_) => return Err(odd()),
    };
    let key = match arena.get(*key) {
        Value::Int(n) => n.to_string(),
        _ => arena.text(*key).ok_or_else(odd)?.to_owned(),
    };
    Ok(Some(StorageId { element, key, count: arena.size(*count).ok_or_else(odd)?, view }))
}

/// All tensors below `root`, by dotted name; `storage` finds a storage's bytes.
pub(super) fn flatten(
    arena: &Arena,
    root: Id,
    mut storage: impl FnMut(&StorageId) -> Result<Storage>,
) -> Result<BTreeMap<String, Stored>> {
    let mut out = BTreeMap::new();
    let mut open = Open::default();
    open.push("", None, root, 0)?;
    while let Some((name, id, depth)) = open.places.pop() {
        match arena.get(id) {
            Value::Tensor(parts) => {
                let id = storage_id(arena, parts.storage).map_err(|e| named(e, &name))?;
                let Some(id) = id else { continue };
                let stored = stored(parts, &id, storage(&id).map_err(|e| named(e, &name))?);
                if !stored.fits() {
                    return Err(Error::new(
                        Kind::BadInput,
                        format!("tensor `{name}` {:?} reaches past its storage", parts.shape),
                    ));
                }
                out.insert(name, stored);
            }
            Value::Dict(pairs) => {
                for (key, value) in pairs {
                    let number;
                    let key = match arena.get(*key) {
                        Value::Text(text) => text,
                        Value::Int(n) => {
                            number = n.to_string();
                            number.as_str()
                        }
                        _ => continue,
                    };
                    open.push(&name, Some(key), *value, depth + 1)?;
                }
            }
            Value::List(items) | Value::Tuple(items) => {
                for (i, item) in items.iter().enumerate() {
                    open.push(&name, Some(&i.to_string()), *item, depth + 1)?;
                }
            }
            Value::Object(Some(attributes)) => open.push(&name, None, *attributes, depth + 1)?,
            _ => {}
        }
    }
    Ok(out)
}

fn named(error: Error, tensor: &str) -> Error {
    Error::new(Kind::BadInput, format!("tensor `{tensor}` cannot be read")).caused_by(error)
}

fn stored(parts: &TensorParts, id: &StorageId, storage: Storage) -> Stored {
    Stored {
        element: id.element,
        shape: parts.shape.clone(),
        strides: parts.strides.clone(),
        first: parts.first.saturating_add(id.view),
        storage,
    }
}
