//! A short seeded pass of the fuzz targets: real seeds, flipped and cut.

use std::io::Write;

use clipmill::sources::write::{TarWriter, gzip};
use rand::{Rng, SeedableRng};

use super::{fuzz_captions, fuzz_tar};

fn mutated(seeds: &[Vec<u8>], rounds: u64, run: impl Fn(&[u8])) {
    for round in 0..rounds {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(round);
        let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
        for _ in 0..random.random_range(0..6) {
            if bytes.is_empty() {
                break;
            }
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = random.random(),
                1 => bytes.truncate(at),
                2 => bytes.insert(at, b"\"\n\t#,0{[\0"[random.random_range(0..9)]),
                _ => {
                    let end = (at + 512).min(bytes.len());
                    let block = bytes[at..end].to_vec();
                    bytes.extend(block);
                }
            }
        }
        run(&bytes);
    }
}

/// Headers with sizes, flags and names of every kind, checksums right.
fn tar_seeds() -> Vec<Vec<u8>> {
    let mut tar = TarWriter::new(Vec::new());
    tar.directory("d", 1).unwrap();
    tar.file("d/a.jpg", &[7; 700], 1).unwrap();
    tar.file(&format!("{}/b.jpg", "long/".repeat(60)), b"b", 1).unwrap();
    tar.symlink("d/c", "a.jpg", 1).unwrap();
    let plain = tar.finish().unwrap();
    let mut seeds = vec![plain];
    for flag in b"0123456SLKxgXVD7z\0" {
        let mut bytes = Vec::new();
        for (kind, size) in [(*flag, 40_u64), (b'0', 5)] {
            let mut header = tar::Header::new_gnu();
            header.set_path("x.jpg").unwrap();
            header.set_size(size);
            header.set_entry_type(tar::EntryType::new(kind));
            header.set_cksum();
            bytes.extend(header.as_bytes());
            let mut body = b"13 path=y.jpg\n26 GNU.sparse.map=0,1,9,4\n".to_vec();
            body.resize(512, 0);
            bytes.extend(body);
        }
        bytes.extend([0; 1024]);
        seeds.push(bytes);
    }
    seeds
}

#[test]
fn tars_of_any_bytes() {
    mutated(&tar_seeds(), 4_000, fuzz_tar::run);
}

#[test]
fn captions_of_any_bytes() {
    let mut packed = gzip(Vec::new());
    packed.write_all(b"1.jpg#0\ta\n").unwrap();
    let mut tar = TarWriter::new(Vec::new());
    tar.file("a.token", b"1.jpg#0\ta\n", 1).unwrap();
    tar.file("000.json", br#"{"caption": ["a", "b"]}"#, 1).unwrap();
    let texts: [&[u8]; 6] = [
        "1.jpg#0\ta dog\n1.jpg#zhb#1 一只 狗\n\u{feff}2\tb\n".as_bytes(),
        b"a,b\n1.jpg,\"x\n\"\"y\"\"\"\n2.jpg,z\n",
        b"a| b\n1.jpg| x| y\n",
        br#"{"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "caption": "a\nb"}]}"#,
        br#"{"images": [{"filename": "1.jpg", "split": "restval", "sentences": [{"raw": "a"}]}]}"#,
        br#"{"caption": "x"}"#,
    ];
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|text| text.to_vec()).collect();
    seeds.push(packed.finish().unwrap());
    seeds.push(tar.finish().unwrap());
    mutated(&seeds, 500, fuzz_captions::run);
}
