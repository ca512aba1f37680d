//! Python pickles, as data: a closed list of globals is understood, every other is refused by
//! name, and nothing is ever called.
//!
//! Format: CPython's `Lib/pickletools.py`. Values live in an arena, so that neither deep nesting
//! nor cycles can exhaust the stack; their number is capped, those in containers included.

mod calls;
mod globals;
mod input;
mod machine;
mod value;

pub(super) use globals::Global;
pub(super) use machine::read;
pub(super) use value::{Arena, Id, TensorParts, Value};
