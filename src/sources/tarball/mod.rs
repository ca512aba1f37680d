//! Tar, read by header: GNU, PAX, ustar, star and v7, with long names and every sparse format.
//!
//! The crate `tar` hides the bytes this room needs (a member's own header, sparse maps with
//! their positions) and stops at the first odd one, so the headers are read here; that crate
//! writes archives (see [`super::write`]).

mod entries;
mod header;
mod input;
mod pax;
mod sparse;

pub use entries::{Broken, Content, Entries, Entry};
pub use header::EntryKind;
pub(crate) use header::{BLOCK_BYTES, Header};
pub(crate) use input::read_full_at;
pub use input::{FileInput, Input, StreamInput};
pub use sparse::Piece;
