//! Archives, folders and caption files become rows.
//!
//! Nothing is ever unpacked to a path: a member's name is a name and no more, so `..` and a
//! leading `/` mean nothing. Links, devices and pipes are not followed or opened. Plain tars are
//! listed by their headers and read by offset, from many threads; compressed ones are streamed
//! once, in order. Every size and count has a cap in [`crate::plan::source::Caps`].
//!
//! A member or line that is bad becomes a [`crate::flow::Reject`]; a file that is not there, or
//! is not at all what it should be, is an error.

pub mod captions;
pub mod clean;
pub mod splits;
pub mod tarball;
pub mod write;

mod archive;
mod compressed;
mod duplicates;
mod folder;
mod index;
mod known;
mod lines;
mod member;
mod names;
mod scan;
mod selection;
mod verify;

pub use archive::{Archive, each_entry, open, probe};
pub use duplicates::{doubled, duplicates};
pub use known::known_files;
pub use member::{Item, Layout, Listing, Member};
pub use verify::{IndexVerdict, verify};
