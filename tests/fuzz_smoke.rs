//! Every fuzz target on a few thousand damaged files, the same ones each time.
//!
//! A failure names the seed and the round, and keeps the input in a file for
//! `cargo +nightly fuzz run TARGET FILE`.
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

#[path = "../fuzz/targets/captions.rs"]
mod captions;
#[path = "../fuzz/targets/definition.rs"]
mod definition;
#[path = "../fuzz/targets/image.rs"]
mod image;
#[path = "fuzz_smoke/mend.rs"]
mod mend;
#[path = "fuzz_smoke/mutate.rs"]
mod mutate;
#[path = "fuzz_smoke/seeds.rs"]
mod seeds;
#[path = "../fuzz/targets/tar.rs"]
mod tar;
#[path = "../fuzz/targets/weights.rs"]
mod weights;

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// Hands `target` each seed, each seed's beginnings, and `rounds` mutations.
fn smoke(target: fn(&[u8]), seeds: &[Vec<u8>], rounds: u64, mend: fn(&mut [u8])) {
    for (at, seed) in seeds.iter().enumerate() {
        survive(target, seed, at, "as it is");
        for cut in 1..=16 {
            let shorter = &seed[..seed.len() * cut / 17];
            survive(target, shorter, at, "cut short");
        }
    }
    for round in 0..rounds {
        let mut rng = ChaCha8Rng::seed_from_u64(round);
        let at = usize::try_from(round).unwrap() % seeds.len();
        let mut bytes = mutate::mutate(&seeds[at], seeds, &mut rng);
        survive(target, &bytes, at, &format!("round {round}"));
        // Checksums stand in the way of most damage; once mended, it gets further.
        mend(&mut bytes);
        survive(target, &bytes, at, &format!("round {round}, mended"));
    }
}

fn survive(target: fn(&[u8]), bytes: &[u8], seed: usize, what: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        let (_, kept) = tempfile::NamedTempFile::new().unwrap().keep().unwrap();
        std::fs::write(&kept, bytes).unwrap();
        eprintln!("seed {seed}, {what}: kept as {}", kept.display());
        std::panic::resume_unwind(panic);
    }
}

fn as_it_is(_: &mut [u8]) {}

#[test]
fn tar_archives() {
    smoke(tar::run, &seeds::tars(), 9000, mend::tar_checksums);
}

#[test]
fn caption_files() {
    smoke(captions::run, &seeds::captions(), 900, mend::tar_checksums);
}

#[test]
fn images() {
    smoke(image::run, &seeds::images(), 4000, mend::png_checksums);
}

#[test]
fn weight_files() {
    smoke(weights::run, &seeds::weights(), 9000, mend::zip_checksums);
}

#[test]
fn definitions() {
    smoke(definition::run, &seeds::definitions(), 1200, as_it_is);
}
