//! Versions of tables: what differs, what comes back, what may be deleted, what is damaged.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

#[path = "versions/checkpoint.rs"]
mod checkpoint;
#[path = "versions/damage.rs"]
mod damage;
#[path = "versions/difference.rs"]
mod difference;
#[path = "versions/following.rs"]
mod following;
#[path = "versions/old_files.rs"]
mod old_files;
#[path = "versions/room.rs"]
mod room;
#[path = "versions/written.rs"]
mod written;
