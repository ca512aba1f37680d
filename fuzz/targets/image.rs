//! Any bytes: `probe` and `decode` answer, and agree about the size.

use clipmill::decode::{Limits, Orientation, decode, preprocess_u8, probe};
use clipmill::flow::Preprocessing;

/// One input of the fuzzer.
///
/// # Panics
/// When an invariant of the readers breaks.
pub fn run(data: &[u8]) {
    let limits = Limits { bytes: 1 << 20, pixels: 1 << 20, memory_bytes: 32 << 20 };
    let header = probe(data, &limits);
    let Ok(pixels) = decode(data, &limits, Orientation::Ignore) else { return };
    let header = header.expect("what decodes has a header");
    assert_eq!((pixels.width_px, pixels.height_px), (header.width_px, header.height_px));
    assert_eq!(pixels.data.len(), pixels.width_px as usize * pixels.height_px as usize * 3);
    let turned = decode(data, &limits, Orientation::Apply);
    assert!(turned.is_ok_and(|turned| turned.data.len() == pixels.data.len()));
    assert_eq!(preprocess_u8(&pixels, &Preprocessing::clip(32)).data.len(), 32 * 32 * 3);
}
