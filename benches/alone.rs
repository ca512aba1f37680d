//! A run's slowest stage alone, on all cores: what a decoder-bound run is held against.
//! `cargo bench --bench alone -- TAR SIDE SECONDS` prints photos a second in turn: `decode`, of photos
//! in memory, and `stage`, what a run does before a model sees them: read by offset, digest, decode.
//! A plain TAR as large as the run's: photos that fit into a cache are read for nothing. All of it is
//! held in memory.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a measurement fails by panicking and prints what it found"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use clipmill::base::{Cancel, Digest};
use clipmill::decode::{Limits, Orientation, decode_for, preprocess_u8, probe};
use clipmill::flow::Preprocessing;
use clipmill::plan::source::{Caps, IdRule, ImageSource, ImageSourceKind};
use clipmill::sources::{Archive, Listing, Member, open};
use rayon::prelude::*;

fn members(tar: &str) -> (Archive, Vec<Member>) {
    let source = ImageSource {
        name: "photos".to_owned(),
        kind: ImageSourceKind::Tar,
        paths: vec![tar.into()],
        id: IdRule::Stem,
        include: Vec::new(),
        caps: Caps::default(),
    };
    // There is no index: the headers are read.
    let archive = open(&source, Path::new("/nonexistent")).unwrap().pop().unwrap();
    let Listing::Known { members, .. } = archive.list(&Cancel::new()).unwrap() else {
        panic!("{tar} is no plain tar");
    };
    (archive, members)
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [tar, side, seconds] = args.as_slice() else {
        println!("skipped: expected TAR SIDE SECONDS");
        return;
    };
    let (archive, members) = members(tar);
    let photos: Vec<_> = members.iter().map(|member| archive.read(member).unwrap()).collect();
    let limits = Limits::default();
    let p = Preprocessing::clip(side.parse().unwrap());
    let seconds: f64 = seconds.parse().unwrap();
    let decode = |photo: &[u8]| {
        let pixels = decode_for(photo, &limits, Orientation::Ignore, &[p]).unwrap();
        black_box(preprocess_u8(&pixels, &p));
    };
    let memory = || photos.par_iter().for_each(|photo| decode(photo));
    let stage = || {
        members.par_iter().for_each(|member| {
            let photo = archive.read(member).unwrap();
            black_box((Digest::of(&photo), probe(&photo, &limits).unwrap()));
            decode(&photo);
        });
    };
    let timed = |round: &dyn Fn()| {
        let begun = Instant::now();
        round();
        begun.elapsed().as_secs_f64()
    };
    let start = Instant::now();
    let (mut alone, mut staged) = (Vec::new(), Vec::new());
    memory();
    while alone.len() < 3 || start.elapsed().as_secs_f64() < seconds {
        staged.push(timed(&stage));
        alone.push(timed(&memory));
    }
    for (name, mut rounds) in [("decode", alone), ("stage", staged)] {
        rounds.sort_by(f64::total_cmp);
        println!("{name} {:.1}", photos.len() as f64 / rounds[rounds.len() / 2]);
    }
}
