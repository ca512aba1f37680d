//! Candle's errors as this house's.

use crate::base::{Error, Kind};

const OUT_OF_MEMORY: &str = "the device is out of memory";

/// For `map_err`: candle failed while doing `what`. Shapes are checked before, so what remains
/// is memory, a driver, or a fault of ours.
pub(crate) fn candle(what: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |cause| {
        if is_of_memory(&cause.to_string()) {
            Error::new(Kind::Device, format!("{what}: {OUT_OF_MEMORY}"))
                .help("take a smaller `batch_size`")
                .caused_by(cause)
        } else {
            Error::new(Kind::Internal, what).caused_by(cause)
        }
    }
}

/// Whether a device, by what it says, has no memory left; cuBLAS and cuRAND say so in words of their
/// own.
pub(crate) fn is_of_memory(said: &str) -> bool {
    let said = said.to_lowercase();
    ["out of memory", "out_of_memory", "alloc_failed", "allocation_failed"]
        .iter()
        .any(|words| said.contains(words))
}

/// Whether it is an error of [`candle`] that fewer rows at once may avoid.
pub(crate) fn is_out_of_memory(error: &Error) -> bool {
    error.kind() == Kind::Device && error.what().ends_with(OUT_OF_MEMORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_device_is_known_by_the_words_of_driver_and_libraries() {
        for said in ["out of memory", "CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED"] {
            let error = candle("cannot embed")(candle_core::Error::Msg(said.to_owned()));
            assert!(is_out_of_memory(&error), "{said}: {error}");
        }
        let error = candle("cannot embed")(candle_core::Error::Msg("no kernel image".to_owned()));
        assert!(!is_out_of_memory(&error) && error.kind() == Kind::Internal);
    }
}
