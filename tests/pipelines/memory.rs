//! Memory does not grow with the data: ten times the images, and the peak of a process stays within
//! a fifth.

use std::process::{Command, Stdio};

use clipmill::nn::clip::write_random;

use super::house::{House, id, picture, quick_clip, watched};

/// Images of the smaller run: so many that the parts of its tables are full, too.
const IMAGES: usize = 800;
const CAPTIONS: usize = 5;

/// A data set with a model so small that the test takes seconds.
fn house(images: usize) -> House {
    let house = House::new(1);
    std::fs::remove_dir_all(house.path("clip")).unwrap();
    let texts = ["a picture shows a thing in a scene of its own ."];
    write_random(&house.path("clip"), &quick_clip(16), 7, &texts).unwrap();
    let pictures: Vec<_> = (0..64).map(picture).collect();
    let named = |n| (format!("{}.jpg", id(n)), pictures[n % 64].clone());
    house.images(&(0..images).map(named).collect());
    let line = |n: usize| {
        let (image, word) = (id(n / CAPTIONS), n * 7919 % 10_007);
        format!("{image}.jpg#{}\tpicture {n} shows thing {word} in a scene .", n % CAPTIONS)
    };
    house.captions(&(0..images * CAPTIONS).map(line).collect::<Vec<_>>());
    house
}

/// The most memory that a run had resident, in KiB.
fn peak(house: &House) -> Option<u64> {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("clipmill"))
        .args(["run", "pipeline.toml", "--quiet"])
        // As many threads, and heaps for them, on every machine.
        .env("RAYON_NUM_THREADS", "2")
        .current_dir(house.dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ended = watched(&mut child);
    assert!(ended.status.success(), "{}", ended.status);
    ended.peak_kib
}

#[test]
fn ten_times_the_images_take_no_more_memory() {
    let small = house(IMAGES);
    let Some(few) = peak(&small) else {
        eprintln!("skipped: this system does not say how much memory a process had (VmHWM)");
        return;
    };
    let large = house(10 * IMAGES);
    let many = peak(&large).unwrap();
    println!("{IMAGES} images: {few} KiB, {} images: {many} KiB", 10 * IMAGES);
    let rows = large.store().snapshot("examples").unwrap().unwrap().rows();
    assert_eq!(rows, (10 * IMAGES * CAPTIONS) as u64);
    assert!(many * 5 <= few * 6, "{few} KiB became {many} KiB");
}
