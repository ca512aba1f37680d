//! Decoding and preprocessing against Pillow, on generated and on real images.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice,
    reason = "tests"
)]

use std::path::PathBuf;

use clipmill::base::environment::Environment;
use clipmill::base::files::read_capped;
use clipmill::decode::{
    Limits, Orientation, decode, encode_jpeg, preprocess, preprocess_u8, probe,
};
use clipmill::flow::{Pixels, Preprocessing, RejectClass};

fn testdata() -> Option<PathBuf> {
    let folder = Environment::of_process().get("CLIPMILL_TESTDATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: CLIPMILL_TESTDATA is not set");
    }
    folder
}

fn read(path: impl Into<PathBuf>) -> Vec<u8> {
    read_capped(&path.into(), 1 << 30).unwrap()
}

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

fn gradient(width_px: u32, height_px: u32) -> Pixels {
    let data = (0..height_px)
        .flat_map(|y| (0..width_px).flat_map(move |x| [x * 3, y * 5, x + y]))
        .map(|v| u8::try_from(v % 256).unwrap())
        .collect();
    Pixels { width_px, height_px, data }
}

#[derive(Default)]
struct Levels {
    values: usize,
    equal: usize,
    within_one: usize,
    worst: u8,
}

impl Levels {
    fn add(&mut self, ours: u8, theirs: u8) {
        let off = ours.abs_diff(theirs);
        self.values += 1;
        self.equal += usize::from(off == 0);
        self.within_one += usize::from(off <= 1);
        self.worst = self.worst.max(off);
    }

    fn check(&self, what: &str) {
        eprintln!(
            "{what}: {} values, {} equal, {} within 1, worst {}",
            self.values, self.equal, self.within_one, self.worst
        );
        assert!(self.within_one * 1000 >= self.values * 999 && self.worst <= 2, "{what}");
    }
}

#[test]
fn an_encoded_image_comes_back() {
    let pixels = gradient(50, 30);
    let bytes = encode_jpeg(&pixels, 100).unwrap();
    assert_eq!(bytes, encode_jpeg(&pixels, 100).unwrap());
    let header = probe(&bytes, &Limits::default()).unwrap();
    assert_eq!((header.width_px, header.height_px, header.format), (50, 30, "JPEG"));
    let back = decode(&bytes, &Limits::default(), Orientation::Ignore).unwrap();
    assert_eq!(back.data.len(), pixels.data.len());
    assert!(encode_jpeg(&Pixels { width_px: 0, height_px: 1, data: vec![] }, 90).is_err());
}

#[test]
fn limits_refuse_before_decoding() {
    let bytes = encode_jpeg(&gradient(64, 64), 90).unwrap();
    let refused = |limits| decode(&bytes, &limits, Orientation::Ignore).unwrap_err().class;
    let limits = Limits::default();
    assert_eq!(refused(Limits { bytes: 10, ..limits }), RejectClass::OverCap);
    assert_eq!(refused(Limits { pixels: 4095, ..limits }), RejectClass::ImageTooLarge);
    assert_eq!(refused(Limits { memory_bytes: 4096, ..limits }), RejectClass::ImageTooLarge);
    let cut = &bytes[..bytes.len() / 2];
    let fault = decode(cut, &limits, Orientation::Ignore).unwrap_err();
    assert_eq!(fault.class, RejectClass::TruncatedImage);
    let fault = decode(b"GIMP", &limits, Orientation::Ignore).unwrap_err();
    assert_eq!(fault.class, RejectClass::UnknownFormat);
}

#[test]
fn photos_are_preprocessed_as_by_pillow() {
    let Some(folder) = testdata() else { return };
    let tar = read(folder.join("flickr30k/flickr30k-images.tar"));
    let photos = members(&tar);
    assert_eq!(photos.len(), 240);
    let golden = read("tests/golden/pillow/photos.bin");
    let whole = Environment::of_process()
        .get("CLIPMILL_PILLOW_FULL")
        .map(|full| read(PathBuf::from(full).join("photos.full")));
    let (mut sampled, mut full) = (Levels::default(), Levels::default());
    let p = Preprocessing::clip(224);
    for (i, (photo, expected)) in photos.iter().zip(golden.chunks_exact(768)).enumerate() {
        let pixels = decode(photo, &Limits::default(), Orientation::Ignore).unwrap();
        let square = preprocess_u8(&pixels, &p).data;
        for (cell, rgb) in expected.chunks_exact(3).enumerate() {
            let at = ((7 + cell / 16 * 14) * 224 + 7 + cell % 16 * 14) * 3;
            for (ours, theirs) in square[at..at + 3].iter().zip(rgb) {
                sampled.add(*ours, *theirs);
            }
        }
        if let Some(whole) = &whole {
            let expected = &whole[i * square.len()..(i + 1) * square.len()];
            let off = square.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max();
            if off > Some(0) {
                eprintln!("photo {i}: off by {off:?}");
            }
            square.iter().zip(expected).for_each(|(ours, theirs)| full.add(*ours, *theirs));
        }
    }
    sampled.check("240 photos, sampled");
    if whole.is_some() {
        full.check("240 photos, whole");
    }
}

#[test]
fn clip_oracle_tensors_are_met() {
    let Some(folder) = testdata() else { return };
    let folder = folder.join("clip_oracle");
    let mut worst = 0.0_f32;
    let mut tensors = 0;
    for batch in 0..2 {
        // NumPy 1.0: magic, version, u16 length of the header, header, f32 little-endian
        let npy = read(folder.join(format!("image_tensor_{batch}.npy")));
        let start = 10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]));
        assert!(String::from_utf8_lossy(&npy[..start]).contains("'<f4'"));
        let values: Vec<f32> = npy[start..]
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        let names = String::from_utf8(read(folder.join(format!("names_{batch}.txt")))).unwrap();
        for (name, expected) in names.split_whitespace().zip(values.chunks_exact(3 * 224 * 224)) {
            let bytes = read(folder.join(format!("images/{name}.jpg")));
            let pixels = decode(&bytes, &Limits::default(), Orientation::Ignore).unwrap();
            let ours = preprocess(&pixels, &Preprocessing::clip(224)).unwrap();
            let off = ours.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            eprintln!("{name}: largest difference {off}");
            worst = worst.max(off);
            tensors += 1;
        }
    }
    assert_eq!(tensors, 4);
    assert!(worst <= 0.02, "{worst}");
}

fn grid(pixels: &Pixels) -> Vec<u8> {
    let (w, h) = (pixels.width_px as usize, pixels.height_px as usize);
    let span = |i: usize, n: usize| i * n / 8..((i + 1) * n / 8).max(i * n / 8 + 1);
    let mut out = Vec::new();
    for y in 0..8 {
        for x in 0..8 {
            for c in 0..3 {
                let (rows, columns) = (span(y, h), span(x, w));
                let count = (rows.len() * columns.len()) as u64;
                let total: u64 = rows
                    .flat_map(|r| columns.clone().map(move |k| (r * w + k) * 3 + c))
                    .map(|at| u64::from(pixels.data[at]))
                    .sum();
                out.push(u8::try_from((2 * total + count) / (2 * count)).unwrap());
            }
        }
    }
    out
}

/// Peak resident memory of this process since the last reset, in KiB (Linux).
fn peak_kib() -> Option<u64> {
    let status =
        String::from_utf8(read_capped("/proc/self/status".as_ref(), 1 << 16).ok()?).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn reset_peak() -> bool {
    use std::io::Write;
    std::fs::OpenOptions::new()
        .write(true)
        .open("/proc/self/clear_refs")
        .is_ok_and(|mut file| file.write_all(b"5").is_ok())
}

#[test]
fn odd_images_decode_or_are_rejected() {
    let Some(folder) = testdata() else { return };
    let golden = String::from_utf8(read("tests/golden/pillow/odd.tsv")).unwrap();
    let (mut both, mut refused, mut differ, mut files) = (0, Vec::new(), Vec::new(), 0);
    let mut worst_kib = 0;
    for line in golden.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let bytes = read(folder.join("odd_images").join(fields[0]));
        files += 1;
        let before = if reset_peak() { peak_kib() } else { None };
        let result = decode(&bytes, &Limits::default(), Orientation::Ignore);
        if let (Some(before), Some(after)) = (before, peak_kib()) {
            worst_kib = worst_kib.max(after.saturating_sub(before));
        }
        match (fields[1], result) {
            ("OK", Ok(pixels)) => {
                both += 1;
                let size = format!("{}x{}", pixels.width_px, pixels.height_px);
                if size != format!("{}x{}", fields[4], fields[5]) {
                    differ.push(format!("{}: size {size}", fields[0]));
                    continue;
                }
                let ours = grid(&pixels);
                let off = ours
                    .iter()
                    .enumerate()
                    .map(|(i, v)| {
                        v.abs_diff(u8::from_str_radix(&fields[6][2 * i..2 * i + 2], 16).unwrap())
                    })
                    .max()
                    .unwrap();
                if off > 2 {
                    differ.push(format!("{}: {} {} off by {off}", fields[0], fields[2], fields[3]));
                }
            }
            ("OK", Err(fault)) => {
                refused.push(format!("{}: {} {}: {fault}", fields[0], fields[2], fields[3]))
            }
            _ => {}
        }
    }
    eprintln!("{files} files, {both} decoded by both, largest rise of peak memory {worst_kib} KiB");
    eprintln!("Pillow decodes, refused here ({}):\n  {}", refused.len(), refused.join("\n  "));
    eprintln!("grids differ by more than 2 ({}):\n  {}", differ.len(), differ.join("\n  "));
    assert_eq!(files, 325);
    assert!(worst_kib < 512 * 1024, "{worst_kib} KiB");
    assert!(refused.len() <= 30 && differ.len() <= 12);
}
