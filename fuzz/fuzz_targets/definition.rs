//! `cargo +nightly fuzz run definition`
#![no_main]

#[path = "../targets/definition.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
