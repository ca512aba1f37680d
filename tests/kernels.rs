//! The kernels of a GPU, on a processor: their text is C++ but for few words, and CI has no GPU.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A C++ compiler that knows C++20's barriers.
fn compiler() -> Option<String> {
    let named = std::env::var("CXX").ok();
    let known = ["c++", "g++", "clang++"].map(str::to_owned);
    named.into_iter().chain(known).find(|name| {
        let mut probe = Command::new(name);
        probe.args(["-std=c++20", "-x", "c++", "-fsyntax-only", "-"]);
        with_input(&mut probe, "#include <barrier>\nint main() {}\n")
    })
}

fn with_input(command: &mut Command, text: &str) -> bool {
    use std::io::Write as _;
    use std::process::Stdio;
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    let written = child.stdin.take().is_some_and(|mut to| to.write_all(text.as_bytes()).is_ok());
    child.wait().is_ok_and(|status| status.success()) && written
}

/// Builds the emulation around the files of `kernels` and runs it at the sizes.
fn holds(kernels: &[&str], sizes: &str) {
    let Some(compiler) = compiler() else {
        println!("skipped: no C++ compiler with <barrier>");
        return;
    };
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let text: String = kernels
        .iter()
        .map(|name| std::fs::read_to_string(house.join("src/nn/kernels/cuda").join(name)).unwrap())
        .collect();
    // The one array whose size a launch gives.
    let text = text.replace("extern __shared__ float parts[];", "");
    let what = folder.path().join("kernels.cu");
    std::fs::write(&what, text).unwrap();
    let program: PathBuf = folder.path().join("emulate");
    let built = Command::new(compiler)
        .args(["-std=c++20", "-O1", "-w", "-pthread", "-DTYPE=float"])
        .args(sizes.split(' ').map(|size| format!("-D{size}")))
        .arg(format!("-DWHAT=\"{}\"", what.display()))
        .arg(house.join("tests/kernels/emulate.cpp"))
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = Command::new(program).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    println!("{said}");
    assert!(ran.status.success() && said.contains("ok "), "{sizes}:\n{said}");
}

#[test]
fn those_of_a_captioner_at_the_sizes_of_gpt2_small() {
    let sizes = "TRAIN CHUNKS=3 WIDTH=768 ROWS=21 HEADS=12 TOKENS=33 VOCABULARY=50257";
    holds(&["rows.cu", "train.cu"], sizes);
}

#[test]
fn those_of_a_captioner_at_odd_sizes() {
    let sizes = "TRAIN CHUNKS=2 WIDTH=264 ROWS=3 HEADS=3 TOKENS=5 VOCABULARY=67";
    holds(&["rows.cu", "train.cu"], sizes);
    let sizes = "TRAIN CHUNKS=1 WIDTH=8 ROWS=1 HEADS=1 TOKENS=1 VOCABULARY=3";
    holds(&["rows.cu", "train.cu"], sizes);
}

#[test]
fn those_of_a_clip() {
    for sizes in ["CHUNKS=3 WIDTH=768 ROWS=5 TOKENS=4", "CHUNKS=1 WIDTH=24 ROWS=2 TOKENS=3"] {
        holds(&["rows.cu", "clip.cu"], &format!("{sizes} CURVE=2"));
    }
}
