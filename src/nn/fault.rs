//! Candle's errors as this house's.

use crate::base::{Error, Kind};

/// For `map_err`: candle failed while doing `what`. Shapes are checked before, so what remains
/// is memory, a driver, or a fault of ours.
pub(crate) fn candle(what: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |cause| {
        let text = cause.to_string();
        if text.contains("out of memory") || text.contains("OUT_OF_MEMORY") {
            Error::new(Kind::Device, format!("{what}: the device is out of memory"))
                .help("take a smaller `batch_size`")
                .caused_by(cause)
        } else {
            Error::new(Kind::Internal, what).caused_by(cause)
        }
    }
}
