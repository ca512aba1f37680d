//! Candle's errors as this house's.

use crate::base::{Error, Kind};
use crate::nn::fault::is_of_memory;

/// For `map_err`: candle failed while doing `what`.
pub(super) fn candle(what: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |cause| {
        let kind = if is_of_memory(&cause.to_string()) { Kind::Device } else { Kind::Internal };
        Error::new(kind, what).caused_by(cause)
    }
}
