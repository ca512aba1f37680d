//! Candle's errors as this house's.

use crate::base::{Error, Kind};

/// For `map_err`: candle failed while doing `what`.
pub(super) fn candle(what: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |cause| {
        let kind = if is_out_of_memory(&cause.to_string()) { Kind::Device } else { Kind::Internal };
        Error::new(kind, what).caused_by(cause)
    }
}

/// Whether a device, by what it says, has no memory left.
pub(super) fn is_out_of_memory(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("out of memory") || text.contains("out_of_memory")
}
