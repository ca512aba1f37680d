//! Image files that a command names, decoded as the images of a table are.

use std::path::Path;

use crate::base::files::read_capped;
use crate::base::{Error, Kind, Result};
use crate::decode::{self, Limits, Orientation};
use crate::flow::Preprocessing;
use crate::plan::source::ImageCaps;

/// The model's input (`3 × size × size`, channels first) of an image file. `caps` are those of the
/// table; without them the decoder's own hold.
///
/// # Errors
/// When the file cannot be read or decoded, or is above a cap.
pub(super) fn input(
    file: &Path,
    preprocessing: &Preprocessing,
    apply_orientation: bool,
    caps: Option<ImageCaps>,
) -> Result<Vec<f32>> {
    let limits = caps.map_or_else(Limits::default, |caps| Limits {
        bytes: caps.bytes,
        pixels: caps.pixels,
        memory_bytes: caps.memory_bytes,
    });
    // A pipe would be waited for without an end, and a device read without one.
    if std::fs::metadata(file).is_ok_and(|about| !about.is_file()) {
        return Err(Error::new(Kind::BadInput, "is no regular file: a folder, a pipe or a device")
            .at(file.display()));
    }
    let bytes = read_capped(file, limits.bytes)?;
    let orientation = if apply_orientation { Orientation::Apply } else { Orientation::Ignore };
    let pixels =
        decode::decode_for(&bytes, &limits, orientation, &[*preprocessing]).map_err(|fault| {
            Error::new(Kind::BadInput, format!("{}: {}", fault.class, fault.message))
                .at(file.display())
        })?;
    decode::preprocess(&pixels, preprocessing)
}
