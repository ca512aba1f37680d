//! What a call to a known global makes: values and containers, never code.

use super::globals::Global;
use super::value::{Arena, Id, TensorParts, Value};
use crate::base::{Error, Kind, Result};

impl Global {
    /// What `self(*args)` stands for; no code of the file or of Python runs.
    pub(super) fn call(self, arena: &mut Arena, args: &[Id]) -> Result<Value> {
        let odd = || Error::new(Kind::BadInput, "its pickle builds a tensor out of odd parts");
        Ok(match self {
            Self::RebuildTensor => {
                let [storage, first, shape, strides, ..] = args else { return Err(odd()) };
                Value::Tensor(TensorParts {
                    storage: *storage,
                    first: arena.size(*first).ok_or_else(odd)?,
                    shape: arena.sizes(*shape).ok_or_else(odd)?,
                    strides: arena.sizes(*strides).ok_or_else(odd)?,
                })
            }
            Self::RebuildParameter | Self::First => {
                arena.get(*args.first().ok_or_else(odd)?).clone()
            }
            Self::RebuildFromType => {
                let [function, _, inner, ..] = args else { return Err(odd()) };
                let Value::Global(Self::RebuildTensor) = arena.get(*function) else {
                    return Err(odd());
                };
                let inner = arena.tuple(*inner).ok_or_else(odd)?.to_vec();
                Self::RebuildTensor.call(arena, &inner)?
            }
            Self::Dict => Value::Dict(args.first().map_or(Vec::new(), |pairs| {
                let items = match arena.get(*pairs) {
                    Value::List(items) | Value::Tuple(items) => items.as_slice(),
                    Value::Dict(pairs) => return pairs.clone(),
                    _ => &[],
                };
                let pair = |item: &Id| match arena.get(*item) {
                    Value::Tuple(pair) | Value::List(pair) => {
                        pair.first().copied().zip(pair.get(1).copied())
                    }
                    _ => None,
                };
                items.iter().filter_map(pair).collect()
            })),
            Self::Items => {
                Value::List(args.first().map_or(Vec::new(), |items| match arena.get(*items) {
                    Value::List(items) | Value::Tuple(items) => items.clone(),
                    _ => Vec::new(),
                }))
            }
            Self::ScriptClass => Value::Object(None),
            Self::Inert | Self::Storage(_) | Self::OtherStorage => Value::None,
        })
    }
}
