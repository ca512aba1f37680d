//! A changed byte is found though name, size, time, start and end are what they were.

use super::house::{House, id, put};
use super::step::{changes, step};
use clipmill::sources::write::TarWriter;

/// An uncompressed picture of 64 by 48 pixels.
fn bitmap(seed: usize) -> Vec<u8> {
    let (width_px, height_px) = (64_u32, 48_u32);
    let pixels = (width_px * height_px * 3) as usize;
    let mut bytes = b"BM".to_vec();
    for number in [54 + pixels as u32, 0, 54, 40, width_px, height_px, 24 << 16 | 1] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize(54, 0);
    bytes.extend((0..pixels).map(|at| (at * 5 + seed * 31) as u8));
    bytes
}

fn packed(house: &House, images: &[Vec<u8>]) {
    let mut tar = TarWriter::new(Vec::new());
    for (n, bytes) in images.iter().enumerate() {
        tar.file(&format!("{}.bmp", id(n)), bytes, 0).unwrap();
    }
    put(&house.path("images.tar"), &tar.finish().unwrap());
}

#[test]
fn one_byte_amid_a_bitmap_of_a_tar_without_times() {
    let house = House::new(4);
    let mut images: Vec<_> = (0..4).map(bitmap).collect();
    packed(&house, &images);
    step(&house);
    packed(&house, &images);
    assert_eq!(changes(&step(&house).report), "", "repacked");
    let middle = images[2].len() / 2;
    images[2][middle] ^= 0x40;
    packed(&house, &images);
    assert_eq!(
        changes(&step(&house).report),
        "images content_changed 1; image_features content_changed 1; examples content_changed 2"
    );
}
