//! Matrix products of slices, of matrices as they lie in memory.

use gemm::{Parallelism, gemm};

use super::few;
use super::packed::{Constant, Level, Number, Share, Side, multiply_rows};

/// A matrix in a slice: row-major, or the transpose of that.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other, each `columns` long; there are as many as the slice holds.
    pub(in crate::nn) fn new(numbers: &'a [f32], columns: usize) -> Self {
        let rows = numbers.len().checked_div(columns).unwrap_or(0);
        Self { numbers, rows, columns, row_step: columns, column_step: 1 }
    }

    /// Its transpose, of the same numbers.
    pub(in crate::nn) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
            ..self
        }
    }

    /// Whether its numbers are its rows one after the other, and nothing else.
    fn lies_by_rows(&self) -> bool {
        self.column_step == 1
            && self.row_step == self.columns
            && self.numbers.len() == self.rows * self.columns
    }

    /// Packed to be the right factor of products in `number`, f32 or bfloat16.
    pub(in crate::nn) fn pack(self, number: Number) -> Constant {
        assert!(self.is_whole(), "a matrix is too short");
        Constant::pack(number, self.transposed().side())
    }

    /// Its rows, as our tiles take them.
    fn side(&self) -> Side<'a> {
        if self.column_step == 1 {
            Side::by_rows(self.numbers, self.columns)
        } else {
            Side::by_columns(self.numbers, self.rows)
        }
    }

    /// Whether its last element is there.
    fn is_whole(&self) -> bool {
        let (Some(row), Some(column)) = (self.rows.checked_sub(1), self.columns.checked_sub(1))
        else {
            return true;
        };
        row * self.row_step + column * self.column_step < self.numbers.len()
    }
}

/// From so many numbers on, a matrix that lies by columns costs gemm more to pack than our tiles,
/// which take its columns as rows: 1.2 to 1.5 times as fast for 9 to 64 rows, up to 2 for more. Below,
/// for one that lies by rows, and for more rows than it has columns, gemm is as fast or faster; so
/// it may be where our tiles have no instructions of their own.
const WORTH_TURNING: usize = 1 << 18;

/// Writes `a · b`, row-major, into `out`, or, with `onto`, adds it to what is there.
///
/// With [`Number::Bf16`] both are rounded as they are multiplied, and summed in f32, however many
/// rows there are: few are slower so, but a row is the same in any company.
///
/// # Panics
/// When the sizes do not belong together, or for bytes: a fault of the caller, which has checked
/// shapes.
pub(in crate::nn) fn product(
    number: Number,
    out: &mut [f32],
    a: Matrix<'_>,
    b: Matrix<'_>,
    onto: bool,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert!(b.rows == k && out.len() == m * n, "({m}, {k}) · ({}, {n})", b.rows);
    assert!(matches!(number, Number::F32 | Number::Bf16), "bytes have scales");
    let threads = rayon::current_num_threads();
    if number == Number::Bf16 && k > 0 {
        let (a, b) = (a.side(), b.transposed().side());
        multiply_rows(Level::best(), number, out, a, b, onto, Share::of(m * n * k));
    } else if Share::of(m * n * k) == Share::Alone {
        multiply(out, a, b, onto, Parallelism::None);
    } else if m <= few::ROWS && a.lies_by_rows() && b.lies_by_rows() {
        few::by_rows(out, a.numbers, b.numbers, n, onto);
    } else if m <= few::ROWS && a.lies_by_rows() && b.transposed().lies_by_rows() {
        few::by_columns(out, a.numbers, b.numbers, k, onto);
    } else if a.lies_by_rows()
        && b.transposed().lies_by_rows()
        && m <= n
        && n * k >= WORTH_TURNING
        && Level::best() != Level::Portable
    {
        let (a, b) = (a.side(), b.transposed().side());
        multiply_rows(Level::best(), Number::F32, out, a, b, onto, Share::All);
    } else if threads == 1 {
        multiply(out, a, b, onto, Parallelism::None);
    } else {
        multiply(out, a, b, onto, Parallelism::Rayon(threads));
    }
}

fn multiply(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, onto: bool, parallel: Parallelism) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert!(b.rows == k && out.len() == m * n, "({m}, {k}) · ({}, {n})", b.rows);
    assert!(a.is_whole() && b.is_whole(), "a matrix is too short");
    if out.is_empty() {
        return;
    }
    let step = |step: usize| isize::try_from(step).unwrap_or(isize::MAX);
    // SAFETY: `out` holds m·n numbers and is borrowed alone. The last element of `a` and of `b` by
    // their sizes and steps lies within their numbers, hence every one does; all of that is
    // asserted above. `out` is initialised, which `gemm` may read.
    #[expect(unsafe_code, reason = "gemm takes pointers")]
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            step(n),
            onto,
            a.numbers.as_ptr(),
            step(a.column_step),
            step(a.row_step),
            b.numbers.as_ptr(),
            step(b.column_step),
            step(b.row_step),
            if onto { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            parallel,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::packed::WORTH_SHARING;

    fn wave(count: usize) -> Vec<f32> {
        (0..count).map(|i| (f32::from(u16::try_from(i).unwrap()) * 0.7).sin()).collect()
    }

    #[test]
    fn all_four_ways_to_lie_give_one_product() {
        let (m, k, n) = (5, 7, 3);
        let (a, b) = (wave(m * k), wave(k * n));
        let flip = |numbers: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..rows * columns).map(|i| numbers[(i % rows) * columns + i / rows]).collect()
        };
        let (a_t, b_t) = (flip(&a, m, k), flip(&b, k, n));
        let mut want = vec![0.0_f32; m * n];
        for (i, want) in want.iter_mut().enumerate() {
            *want = (0..k).map(|l| a[i / n * k + l] * b[l * n + i % n]).sum();
        }
        for a in [Matrix::new(&a, k), Matrix::new(&a_t, m).transposed()] {
            for b in [Matrix::new(&b, n), Matrix::new(&b_t, k).transposed()] {
                let mut out = vec![1.0; m * n];
                product(Number::F32, &mut out, a, b, false);
                product(Number::F32, &mut out, a, b, true);
                for (got, want) in out.iter().zip(&want) {
                    assert!((got - 2.0 * want).abs() < 1e-5, "{got} {want}");
                }
            }
        }
    }

    #[test]
    fn what_was_there_does_not_matter_unless_asked_for() {
        let mut out = vec![f32::NAN; 4];
        product(
            Number::F32,
            &mut out,
            Matrix::new(&[1.0, 2.0], 1),
            Matrix::new(&[3.0, 4.0], 2),
            false,
        );
        assert_eq!(out, [3.0, 4.0, 6.0, 8.0]);
    }

    #[test]
    fn few_rows_are_the_same_product_whichever_way_the_matrix_lies() {
        let (k, n) = (601, 549);
        let b: Vec<f32> = wave(60_000).into_iter().cycle().take(k * n).collect();
        let flipped: Vec<f32> = (0..k * n).map(|i| b[(i % k) * n + i / k]).collect();
        assert!(k * n > WORTH_SHARING);
        for m in 1..=few::ROWS + 1 {
            let a = wave(m * k);
            let want: Vec<f64> = (0..m * n)
                .map(|i| {
                    let at = |l: usize| f64::from(a[i / n * k + l]) * f64::from(b[l * n + i % n]);
                    (0..k).map(at).sum()
                })
                .collect();
            for b in [Matrix::new(&b, n), Matrix::new(&flipped, k).transposed()] {
                let mut out = vec![f32::NAN; m * n];
                product(Number::F32, &mut out, Matrix::new(&a, k), b, false);
                product(Number::F32, &mut out, Matrix::new(&a, k), b, true);
                for (got, want) in out.iter().zip(&want) {
                    assert!((f64::from(*got) - 2.0 * want).abs() < 1e-3, "{m}: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn in_bf16_both_factors_are_rounded_for_few_rows_and_for_many() {
        // Below and above what is shared out.
        for (m, k, n) in [(1, 35, 40), (few::ROWS + 1, 35, 40), (70, 61, 97)] {
            let (a, b) = (wave(m * k), wave(k * n));
            let rounded = |x: f32| half::bf16::from_f32(x).to_f64();
            let mut out = vec![f32::NAN; m * n];
            product(Number::Bf16, &mut out, Matrix::new(&a, k), Matrix::new(&b, n), false);
            for (i, got) in out.iter().enumerate() {
                let at = |l: usize| rounded(a[i / n * k + l]) * rounded(b[l * n + i % n]);
                let want: f64 = (0..k).map(at).sum();
                assert!((f64::from(*got) - want).abs() < 2e-5, "{m}: {got} {want}");
            }
        }
        const { assert!(70 * 61 * 97 > WORTH_SHARING) };
    }
}
