//! Event files that TensorBoard reads: records of TensorFlow's framing, each a protocol buffer.
//!
//! Written by hand: the four messages that are needed are a page of code, and the crates for them
//! bring a protobuf compiler's output of all TensorFlow, or are no longer kept.

mod checksum;
mod event;
mod file;
mod wire;

pub use event::Event;
pub use file::EventFile;
