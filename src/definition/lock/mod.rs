//! `clipmill.lock`: what the definitions of a folder were, and what came of them, when
//! `clipmill lock` last looked.
//!
//! One file beside the definitions, TOML, with a section for each thing that a definition names.
//! Sections and keys are sorted and each fact has its own line, so that git merges two branches
//! that changed different things; where both changed one thing, git reports a conflict, and
//! `clipmill lock` settles it. There is no digest of a whole definition and no time in it: every
//! edit would touch that line. What was not there to be looked at is left out.

mod facts;
mod read;
mod write;

pub use facts::{FileFact, LockFile, Locked, LockedModel, LockedSource, LockedStage, LockedTable};
pub use read::{is_spoilt, read};
pub use write::write;
