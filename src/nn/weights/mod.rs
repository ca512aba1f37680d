//! Weight files: safetensors and PyTorch's, read by memory map, executed never.
//!
//! [`Weights::open`] looks at the first bytes, not at the name.

mod element;
mod map;
mod open;
mod pickle;
mod safetensors;
mod store;
mod torch;
mod write;
mod zip;

pub use element::Element;
pub use open::Weights;
pub use store::Stored;
pub use write::{write_named_safetensors, write_safetensors};
