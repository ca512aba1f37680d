//! Decoding and preprocessing alone, on all cores: what a decoder-bound run is held against.
//! `cargo bench --bench alone -- TAR SIDE SECONDS` prints photos a second, of photos in memory.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::string_slice,
    reason = "a measurement fails by panicking and prints what it found"
)]

use std::hint::black_box;
use std::time::Instant;

use clipmill::base::files::read_capped;
use clipmill::decode::{Limits, Orientation, decode_for, preprocess_u8, scale_into};
use clipmill::flow::Preprocessing;
use rayon::prelude::*;

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

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [tar, side, seconds] = args.as_slice() else {
        println!("skipped: expected TAR SIDE SECONDS");
        return;
    };
    let tar = read_capped(tar.as_ref(), 1 << 32).unwrap();
    let photos = members(&tar);
    let limits = Limits::default();
    let p = Preprocessing::clip(side.parse().unwrap());
    let scale = p.scale();
    let numbers = 3 * side.parse::<usize>().unwrap().pow(2);
    let seconds: f64 = seconds.parse().unwrap();
    let round = || {
        photos.par_iter().for_each_init(
            || vec![0.0; numbers],
            |out, photo| {
                let pixels = decode_for(photo, &limits, Orientation::Ignore, &[p]).unwrap();
                scale_into(&preprocess_u8(&pixels, &p).data, &scale, out).unwrap();
                black_box(out);
            },
        );
    };
    round();
    let start = Instant::now();
    let mut rounds = Vec::new();
    while rounds.len() < 3 || start.elapsed().as_secs_f64() < seconds {
        let begun = Instant::now();
        round();
        rounds.push(begun.elapsed().as_secs_f64());
    }
    rounds.sort_by(f64::total_cmp);
    println!("alone {:.1}", photos.len() as f64 / rounds[rounds.len() / 2]);
}
