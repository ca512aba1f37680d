//! Attention.

use super::super::reduce::reduce;
use super::super::{Attention, Grid, Level, Number, Queries, Segment, Share};
use super::{grid, near, numbers};

/// Attention of one head by its definition, in f64.
fn attend(q: &[f32], k: &[&[f32]], v: &[&[f32]]) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let root = (q.len() as f64).sqrt();
    let weights: Vec<f64> = k.iter().map(|k| (dot(q, k) / root).exp()).collect();
    let sum: f64 = weights.iter().sum();
    (0..q.len())
        .map(|i| weights.iter().zip(v).map(|(w, v)| w / sum * f64::from(v[i])).sum())
        .collect()
}

/// Rows of these lengths, one after the other.
fn segments(lens: &[usize]) -> Vec<Segment> {
    let mut segments = Vec::new();
    for len in lens {
        let start = segments.last().map_or(0, |s: &Segment| s.start + s.len);
        segments.push(Segment { start, len: *len });
    }
    segments
}

#[test]
fn attention_is_its_definition() {
    for (lens, heads, each) in
        [(vec![1, 2, 40], 2, 8), (vec![50, 3], 1, 64), (vec![33, 15, 14], 3, 33), (vec![70], 1, 1)]
    {
        let rows: usize = lens.iter().sum();
        let width = heads * each;
        let data = numbers(rows * 3 * width, 4);
        let qkv = grid(&data, rows, 3 * width);
        let segments = segments(&lens);
        let lasts: Vec<f32> =
            segments.iter().flat_map(|s| qkv.row(s.start + s.len - 1)[..width].to_vec()).collect();
        let lasts = grid(&lasts, segments.len(), width);
        for level in Level::available() {
            for ((who, share), number) in [
                (Queries::All, Share::Alone),
                (Queries::Causal, Share::All),
                (Queries::One, Share::Alone),
            ]
            .into_iter()
            .flat_map(|of| [(of, Number::F32), (of, Number::Bf16)])
            {
                let queries = if who == Queries::One { &lasts } else { &qkv };
                let attention = Attention {
                    queries,
                    keys: &qkv,
                    keys_at: width,
                    values_at: 2 * width,
                    heads,
                    each,
                    who,
                    number,
                };
                let mut out = Grid::default();
                attention.apply(level, &segments, &mut out, share);
                for (index, segment) in segments.iter().enumerate() {
                    for head in 0..heads {
                        let part = |row: usize, at: usize| {
                            &qkv.row(row)[at + head * each..at + (head + 1) * each]
                        };
                        for query in 0..segment.len {
                            let row = segment.start + query;
                            let (seen, at) = match who {
                                Queries::Causal => (query + 1, row),
                                Queries::All => (segment.len, row),
                                Queries::One if query + 1 == segment.len => (segment.len, index),
                                Queries::One => continue,
                            };
                            let all = segment.start..segment.start + seen;
                            let k: Vec<&[f32]> = all.clone().map(|r| part(r, width)).collect();
                            let v: Vec<&[f32]> = all.map(|r| part(r, 2 * width)).collect();
                            let want = attend(part(row, 0), &k, &v);
                            for (i, want) in want.iter().enumerate() {
                                let got = out.row(at)[head * each + i];
                                let bound = if number == Number::F32 { 1e-5 } else { 1e-2 };
                                near(got, *want, bound, &format!("{level:?} {who:?} {number:?}"));
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_rounded_before_is_what_attention_would_round() {
    for (lens, heads, each) in [(vec![50, 3, 1], 2, 64), (vec![33, 40], 3, 22), (vec![70], 1, 2)] {
        let (rows, width) = (lens.iter().sum(), heads * each);
        let plain = grid(&numbers(rows * 3 * width, 4), rows, 3 * width);
        let segments = segments(&lens);
        for level in Level::available() {
            let mut rounded = Grid::default();
            reduce(level, Number::Bf16, &plain, 3 * width, &mut rounded, Share::Alone);
            for who in [Queries::All, Queries::Causal, Queries::One] {
                let mix = |qkv: &Grid, stale: f32| {
                    let mut out = Grid::default();
                    let number = Number::Bf16;
                    let (queries, keys, keys_at, values_at) = (qkv, qkv, width, 2 * width);
                    let of =
                        Attention { queries, keys, keys_at, values_at, heads, each, who, number };
                    // What a thread has laid out before is of no meaning.
                    let before = [Segment { start: 0, len: rows }];
                    let noise = grid(&vec![stale; rows * 3 * width], rows, 3 * width);
                    let (queries, keys) = (&noise, &noise);
                    Attention { queries, keys, ..of }.apply(level, &before, &mut out, Share::Alone);
                    of.apply(level, &segments, &mut out, Share::Alone);
                    // `One` has a query for each segment.
                    let asked = if who == Queries::One { segments.len() } else { rows };
                    (0..asked).flat_map(|row| out.row(row)[..width].to_vec()).collect::<Vec<_>>()
                };
                let later = mix(&plain, f32::NAN);
                assert!(later.iter().all(|x| x.is_finite()), "{level:?} {who:?}");
                assert_eq!(mix(&rounded, 3e38), later, "{level:?} {who:?}");
            }
        }
    }
}
