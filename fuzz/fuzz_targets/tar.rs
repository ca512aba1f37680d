//! `cargo +nightly fuzz run tar`
#![no_main]

#[path = "../targets/tar.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
