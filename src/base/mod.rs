//! What every room needs: errors, digests, units, capped readers, durable files and their stamps, clock.

pub mod cancel;
pub mod capped;
pub mod clock;
pub mod diagnostic;
pub mod digest;
pub mod environment;
pub mod error;
pub mod file_stamp;
pub mod files;
pub mod progress;
pub mod text;
pub mod units;

pub use cancel::Cancel;
pub use digest::Digest;
pub use error::{Error, Kind, Result};
pub use file_stamp::FileStamp;
