//! What a call to a known global makes: values and containers, never code.

use super::globals::Global;
use super::value::{Arena, Id, TensorParts, Value};
use crate::base::{Error, Kind, Result};

/// More dimensions than PyTorch computes with.
const MOST_DIMENSIONS: usize = 64;

/// What a call gives.
pub(super) enum Given {
    /// A value of its own.
    New(Value),
    /// One that is there.
    Same(Id),
}

impl Global {
    /// What `self(*args)` stands for; no code of the file or of Python runs.
    pub(super) fn call(self, arena: &Arena, args: &[Id]) -> Result<Given> {
        let odd = || Error::new(Kind::BadInput, "its pickle builds a tensor out of odd parts");
        Ok(Given::New(match self {
            Self::RebuildTensor => {
                let [storage, first, shape, strides, ..] = args else { return Err(odd()) };
                let sizes = |id: &Id| arena.sizes(*id, MOST_DIMENSIONS).ok_or_else(odd);
                Value::Tensor(TensorParts {
                    storage: *storage,
                    first: arena.size(*first).ok_or_else(odd)?,
                    shape: sizes(shape)?,
                    strides: sizes(strides)?,
                })
            }
            Self::RebuildParameter | Self::First => {
                return Ok(Given::Same(*args.first().ok_or_else(odd)?));
            }
            Self::RebuildFromType => {
                let [function, _, inner, ..] = args else { return Err(odd()) };
                let Value::Global(Self::RebuildTensor) = arena.get(*function) else {
                    return Err(odd());
                };
                return Self::RebuildTensor.call(arena, arena.tuple(*inner).ok_or_else(odd)?);
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
        }))
    }
}
