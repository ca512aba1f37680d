//! A matrix, turned.

use candle_core::{Result, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSliceMut};

use super::rows::is_native;
use crate::nn::gradient::numbers;

/// Rows of the result that a thread takes at once, and columns of them: a square of these stays in
/// its cache.
const SIDE: usize = 32;

/// The rows of `x` as columns, contiguous. Candle's own copy of a turned matrix goes number by number
/// on one thread.
///
/// # Shapes
/// `x`: (rows, columns); the result: (columns, rows).
pub(in crate::nn) fn transposed(x: &Tensor) -> Result<Tensor> {
    let (rows, columns) = x.dims2()?;
    if !is_native(x) || !x.is_contiguous() {
        return x.t()?.contiguous();
    }
    let mut out = vec![0.0; rows * columns];
    {
        let from = numbers(x)?;
        let lines: Vec<&[f32]> = from.chunks_exact(columns.max(1)).collect();
        let bands = out.par_chunks_mut((SIDE * rows).max(1)).enumerate();
        bands.for_each(|(band, out)| {
            for (block, lines) in lines.chunks(SIDE).enumerate() {
                for (column, out) in out.chunks_exact_mut(rows).enumerate() {
                    let to = out.iter_mut().skip(block * SIDE);
                    for (to, line) in to.zip(lines) {
                        *to = line.get(band * SIDE + column).copied().unwrap_or_default();
                    }
                }
            }
        });
    }
    Tensor::from_vec(out, (columns, rows), x.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn it_is_candles() {
        for (rows, columns) in [(1, 1), (3, 70), (70, 3), (33, 64), (100, 65), (0, 4)] {
            let x: Vec<f32> = (0..u16::try_from(rows * columns).unwrap()).map(f32::from).collect();
            let x = Tensor::from_vec(x, (rows, columns), &Device::Cpu).unwrap();
            let theirs = x.t().unwrap().contiguous().unwrap();
            let ours = transposed(&x).unwrap();
            assert_eq!(ours.dims(), theirs.dims());
            assert_eq!(ours.to_vec2::<f32>().unwrap(), theirs.to_vec2::<f32>().unwrap());
        }
    }
}
