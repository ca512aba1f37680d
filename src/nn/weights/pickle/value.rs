//! What a pickle can hold.

use std::rc::Rc;

use super::globals::Global;
use crate::base::{Error, Kind, Result};

/// A value's place in the arena.
pub(in crate::nn::weights) type Id = usize;

/// A tensor, before its storage is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::nn::weights) struct TensorParts {
    /// The persistent id of its storage.
    pub(in crate::nn::weights) storage: Id,
    pub(in crate::nn::weights) first: usize,
    pub(in crate::nn::weights) shape: Vec<usize>,
    pub(in crate::nn::weights) strides: Vec<usize>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::nn::weights) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, little-endian two's complement.
    Long(Vec<u8>),
    Float(f64),
    Text(Rc<str>),
    Bytes(Vec<u8>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// An instance of a TorchScript class: its attributes, once they are known.
    Object(Option<Id>),
    /// What `persistent_load` would be asked for; in PyTorch's files always a storage.
    Persistent(Id),
    Tensor(TensorParts),
}

impl Value {
    /// Other values that it names: a list may be taken up again and again by a few bytes each time.
    fn names(&self) -> usize {
        match self {
            Self::Tuple(items) | Self::List(items) => items.len(),
            Self::Dict(pairs) => 2 * pairs.len(),
            _ => 0,
        }
    }
}

/// More values, those in containers counted each time, than any checkpoint holds; a guard against
/// small files that ask for much.
const MOST_VALUES: usize = 8_000_000;

/// All values of a pickle.
#[derive(Debug, Default)]
pub(in crate::nn::weights) struct Arena {
    values: Vec<Value>,
    /// Values, and those that each of them named when it was added.
    held: usize,
}

impl Arena {
    pub(in crate::nn::weights) fn add(&mut self, value: Value) -> Result<Id> {
        self.held = self.held.saturating_add(1 + value.names());
        if self.held > MOST_VALUES {
            return Err(Error::new(
                Kind::BadInput,
                format!("its pickle holds more than {MOST_VALUES} values"),
            ));
        }
        self.values.push(value);
        Ok(self.values.len() - 1)
    }

    pub(in crate::nn::weights) fn get(&self, id: Id) -> &Value {
        self.values.get(id).unwrap_or(&Value::None)
    }

    /// Every persistent id.
    pub(in crate::nn::weights) fn persistent(&self) -> impl Iterator<Item = Id> {
        let is = |(id, value): (Id, &Value)| matches!(value, Value::Persistent(_)).then_some(id);
        self.values.iter().enumerate().filter_map(is)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Value> {
        self.values.get_mut(id)
    }

    pub(in crate::nn::weights) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(in crate::nn::weights) fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    pub(in crate::nn::weights) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// A tuple or a list of at most so many sizes.
    pub(super) fn sizes(&self, id: Id, most: usize) -> Option<Vec<usize>> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) if items.len() <= most => {
                items.iter().map(|item| self.size(*item)).collect()
            }
            _ => None,
        }
    }
}
