//! Damage as files suffer it, and as somebody who means it would do it.

use rand::Rng;

/// Longest input; keeps each round short.
const LONGEST_BYTES: usize = 1 << 16;

/// Numbers at which arithmetic on lengths goes wrong.
const ODD: [u64; 12] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// `seed` after one to four kinds of damage.
pub fn mutate(seed: &[u8], others: &[Vec<u8>], rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        once(&mut bytes, others, rng);
        bytes.truncate(LONGEST_BYTES);
    }
    bytes
}

fn once(bytes: &mut Vec<u8>, others: &[Vec<u8>], rng: &mut impl Rng) {
    if bytes.is_empty() {
        bytes.push(rng.random());
    }
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..9) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes.truncate(at),
        3 => {
            let count = rng.random_range(1..64);
            let inserted: Vec<u8> = (0..count).map(|_| rng.random()).collect();
            bytes.splice(at..at, inserted);
        }
        4 => {
            let end = (at + rng.random_range(1..512)).min(bytes.len());
            bytes.drain(at..end);
        }
        // A piece of the file once more.
        5 => {
            let end = (at + rng.random_range(1..1024)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, piece);
        }
        // The head of this file and the tail of another.
        6 => {
            let other = &others[rng.random_range(0..others.len())];
            let from = rng.random_range(0..=other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        7 => number(bytes, at, rng),
        _ => digits(bytes, at, rng),
    }
}

/// A length in binary, of one to eight bytes, of either order.
fn number(bytes: &mut [u8], at: usize, rng: &mut impl Rng) {
    let odd = match rng.random_range(0..ODD.len() + 2) {
        0 => bytes.len() as u64,
        1 => bytes.len() as u64 + 1,
        n => ODD[n - 2],
    };
    let width = 1 << rng.random_range(0..4);
    let little = odd.to_le_bytes();
    let big = odd.to_be_bytes();
    let new = if rng.random() { &little[..width] } else { &big[8 - width..] };
    for (to, from) in bytes[at..].iter_mut().zip(new) {
        *to = *from;
    }
}

/// A length in digits: the next run of them becomes other digits.
fn digits(bytes: &mut [u8], at: usize, rng: &mut impl Rng) {
    let digits = bytes[at..]
        .iter_mut()
        .skip_while(|byte| !byte.is_ascii_digit())
        .take_while(|byte| byte.is_ascii_digit());
    let same = rng.random::<bool>().then(|| b"0179"[rng.random_range(0..4)]);
    for byte in digits {
        *byte = same.unwrap_or_else(|| rng.random_range(b'0'..=b'9'));
    }
}
