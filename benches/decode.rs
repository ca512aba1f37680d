//! Decoding and preprocessing of the 240 photos on one core: `cargo bench --bench decode`. Figures
//! are of the sum of the photos' medians. Up to a model's numbers, as where a CLIP is trained; a run that
//! embeds hands over levels. With `values=FILE` the numbers that a model gets of each
//! photo are written there instead, little-endian.
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
    clippy::cast_precision_loss,
    reason = "a test fails by panicking"
)]

use std::hint::black_box;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use clipmill::base::environment::Environment;
use clipmill::base::files::read_capped;
use clipmill::decode::{Limits, Orientation, decode, decode_for, preprocess_u8, scale_into};
use clipmill::flow::Preprocessing;

/// Of which each photo's median counts.
const ROUNDS: usize = 9;

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

/// Seconds of `work`.
fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
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
    let scale = p.scale();
    let mut out = vec![0.0; 3 * 224 * 224];
    let file = std::env::args().find_map(|arg| arg.strip_prefix("values=").map(PathBuf::from));
    if let Some(path) = file {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        for photo in &photos {
            let pixels = decode_for(photo, &limits, Orientation::Ignore, &[p]).unwrap();
            scale_into(&preprocess_u8(&pixels, &p).data, &scale, &mut out).unwrap();
            out.iter().for_each(|number| file.write_all(&number.to_le_bytes()).unwrap());
        }
        return file.flush().unwrap();
    }
    // photo by photo in turn, so that what disturbs one disturbs the other
    let mut of_photo = vec![[Vec::new(), Vec::new()]; photos.len()];
    for _ in 0..ROUNDS {
        for (photo, [decoding, whole]) in photos.iter().zip(&mut of_photo) {
            decoding.push(seconds(|| {
                black_box(decode(photo, &limits, Orientation::Ignore).unwrap());
            }));
            whole.push(seconds(|| {
                let pixels = decode_for(photo, &limits, Orientation::Ignore, &[p]).unwrap();
                scale_into(&preprocess_u8(&pixels, &p).data, &scale, &mut out).unwrap();
                black_box(&out);
            }));
        }
    }
    let [mut decoding, mut whole] = [0.0, 0.0];
    for [of_decoding, of_whole] in of_photo {
        decoding += median(of_decoding);
        whole += median(of_whole);
    }
    let count = photos.len() as f64;
    println!("decode      {:6.0} photos/s", count / decoding);
    println!("preprocess  {:6.0} photos/s", count / whole);
}
