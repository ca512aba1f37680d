//! Decoding and preprocessing of the 240 photos on one core: `cargo bench --bench decode`.
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

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use clipmill::base::environment::Environment;
use clipmill::base::files::read_capped;
use clipmill::decode::{Limits, Orientation, decode, decode_for, preprocess_into};
use clipmill::flow::Preprocessing;

/// Contents of the regular members of a plain GNU tar with short names.
fn members(tar: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut at = 0;
    while tar.get(at).is_some_and(|b| *b != 0) {
        let size = std::str::from_utf8(&tar[at + 124..at + 135]).unwrap().trim();
        let size = usize::from_str_radix(size, 8).unwrap();
        if matches!(tar[at + 156], b'0' | 0) {
            found.push(&tar[at + 512..at + 512 + size]);
        }
        at += 512 + size.next_multiple_of(512);
    }
    found
}

/// Median seconds of seven rounds.
fn median(mut round: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..7)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[3]
}

fn main() {
    let Some(folder) = Environment::of_process().get("CLIPMILL_TESTDATA").map(PathBuf::from) else {
        println!("skipped: CLIPMILL_TESTDATA is not set");
        return;
    };
    let tar = read_capped(&folder.join("flickr30k/flickr30k-images.tar"), 1 << 30).unwrap();
    let photos = members(&tar);
    let limits = Limits::default();
    let p = Preprocessing::clip(224);
    let mut out = vec![0.0; 3 * 224 * 224];
    let decoding = median(|| {
        for photo in &photos {
            black_box(decode(photo, &limits, Orientation::Ignore).unwrap());
        }
    });
    let whole = median(|| {
        for photo in &photos {
            let pixels = decode_for(photo, &limits, Orientation::Ignore, &[p]).unwrap();
            preprocess_into(&pixels, &p, &mut out).unwrap();
            black_box(&out);
        }
    });
    println!("decode      {:6.0} photos/s", 240.0 / decoding);
    println!("preprocess  {:6.0} photos/s", 240.0 / whole);
}
