//! `cargo +nightly fuzz run captions`
#![no_main]

#[path = "../targets/captions.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
