//! Products of few rows, such as a step of a caption: the time goes into reading the matrix, so
//! that it is read once, in the order in which it lies, by all cores.
//!
//! Parts are of fixed size, so that sums do not depend on how many cores there are.

use rayon::prelude::*;

use super::packed::widest;

/// Rows at most.
pub(super) const ROWS: usize = 8;
/// Columns that a core takes at once.
const BAND: usize = 256;
/// Parts that the rows of a matrix are taken in.
const PARTS: usize = 8;
/// Rows of a matrix that are added up before the sum is written.
const TOGETHER: usize = 8;
/// Columns of these that stay in the nearest cache while there are several rows to make.
const TILE: usize = 512;
/// Sums made side by side.
const LANES: usize = 16;

/// Writes or, with `onto`, adds to `out` the product of rows `a`, each `k` long, and a matrix whose
/// columns lie one after the other.
pub(super) fn by_columns(out: &mut [f32], a: &[f32], b: &[f32], k: usize, onto: bool) {
    let (m, n) = (a.len() / k.max(1), b.len() / k.max(1));
    let bands: Vec<Vec<f32>> = b
        .par_chunks(BAND * k)
        .map(|b| {
            let mut sums = vec![0.0; b.len() / k * m];
            widest(
                #[inline(always)]
                || match m {
                    1 => dots::<1>(&mut sums, a, b, k),
                    2 => dots::<2>(&mut sums, a, b, k),
                    3 => dots::<3>(&mut sums, a, b, k),
                    4 => dots::<4>(&mut sums, a, b, k),
                    5 => dots::<5>(&mut sums, a, b, k),
                    6 => dots::<6>(&mut sums, a, b, k),
                    7 => dots::<7>(&mut sums, a, b, k),
                    _ => dots::<ROWS>(&mut sums, a, b, k),
                },
            );
            sums
        })
        .collect();
    for (row, out) in out.chunks_exact_mut(n.max(1)).enumerate() {
        let sums = bands.iter().flat_map(|band| band.iter().skip(row).step_by(m));
        put(out, sums, onto);
    }
}

/// As [`by_columns`], of a matrix whose rows, each `n` long, lie one after the other.
pub(super) fn by_rows(out: &mut [f32], a: &[f32], b: &[f32], n: usize, onto: bool) {
    let k = b.len() / n.max(1);
    let each = k.div_ceil(PARTS).max(1);
    let parts: Vec<Vec<f32>> = b
        .par_chunks(each * n)
        .enumerate()
        .map(|(part, b)| {
            let mut sums = vec![0.0; out.len()];
            widest(
                #[inline(always)]
                || add_rows(&mut sums, a, (k, part * each), b, n),
            );
            sums
        })
        .collect();
    for (number, part) in parts.iter().enumerate() {
        put(out, part, onto || number > 0);
    }
}

fn put<'a>(out: &mut [f32], sums: impl IntoIterator<Item = &'a f32>, onto: bool) {
    if onto {
        out.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
    } else {
        out.iter_mut().zip(sums).for_each(|(to, sum)| *to = *sum);
    }
}

/// `sums`: for each column of `b`, its product with every of the `M` rows.
#[inline(always)]
fn dots<const M: usize>(sums: &mut [f32], a: &[f32], b: &[f32], k: usize) {
    for (sums, column) in sums.chunks_exact_mut(M).zip(b.chunks_exact(k)) {
        let mut lanes = [[0.0_f32; LANES]; M];
        let parts = column.chunks_exact(LANES);
        let rest = parts.remainder();
        for (part, column) in parts.enumerate() {
            for (lanes, row) in lanes.iter_mut().zip(a.chunks_exact(k)) {
                let row = row.get(part * LANES..(part + 1) * LANES).unwrap_or_default();
                for ((lane, x), y) in lanes.iter_mut().zip(row).zip(column) {
                    *lane += x * y;
                }
            }
        }
        for ((sum, lanes), row) in sums.iter_mut().zip(lanes).zip(a.chunks_exact(k)) {
            let row = row.get(k - rest.len()..).unwrap_or_default();
            let rest: f32 = row.iter().zip(rest).map(|(x, y)| x * y).sum();
            *sum = lanes.into_iter().sum::<f32>() + rest;
        }
    }
}

/// Adds rows of `b`, each times its number of every row of `a`, of which it is the `from`th on.
#[inline(always)]
fn add_rows(sums: &mut [f32], a: &[f32], (k, from): (usize, usize), b: &[f32], n: usize) {
    let tile = if sums.len() == n { n } else { TILE };
    for (group, b) in b.chunks(TOGETHER * n).enumerate() {
        let from = from + group * TOGETHER;
        for start in (0..n).step_by(tile) {
            let columns = start..(start + tile).min(n);
            for (sums, a) in sums.chunks_exact_mut(n).zip(a.chunks_exact(k)) {
                let sums = sums.get_mut(columns.clone()).unwrap_or_default();
                let a = a.get(from..).unwrap_or_default();
                add_group(sums, a, b, n, columns.clone());
            }
        }
    }
}

#[inline(always)]
fn add_group(sums: &mut [f32], a: &[f32], b: &[f32], n: usize, columns: std::ops::Range<usize>) {
    let row = |i: usize| b.get(i * n + columns.start..i * n + columns.end).unwrap_or_default();
    let whole = a.first_chunk::<TOGETHER>().filter(|_| b.len() == TOGETHER * n);
    let Some(a) = whole else {
        for (i, a) in a.iter().enumerate() {
            sums.iter_mut().zip(row(i)).for_each(|(sum, x)| *sum += a * x);
        }
        return;
    };
    let rows: [&[f32]; TOGETHER] = std::array::from_fn(row);
    let pairs = rows[0].iter().zip(rows[1]).zip(rows[2].iter().zip(rows[3]));
    let others = rows[4].iter().zip(rows[5]).zip(rows[6].iter().zip(rows[7]));
    for ((sum, ((b0, b1), (b2, b3))), ((b4, b5), (b6, b7))) in
        sums.iter_mut().zip(pairs).zip(others)
    {
        let first = a[0] * b0 + a[1] * b1 + (a[2] * b2 + a[3] * b3);
        let second = a[4] * b4 + a[5] * b5 + (a[6] * b6 + a[7] * b7);
        *sum += first + second;
    }
}
