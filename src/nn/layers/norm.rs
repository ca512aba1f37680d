//! Layer norm over the last dimension.

use candle_core::{D, DType, Result, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice, ParallelSliceMut};

use super::linear::add_columns;
use super::source::{Init, Source};
use crate::nn::gradient::{Weight, is_native, node, numbers};

/// `(x - mean) / sqrt(variance + epsilon) * scale + shift`; mean and variance in f64.
#[derive(Debug, Clone)]
pub(in crate::nn) struct Norm {
    scale: Weight,
    shift: Weight,
    epsilon: f64,
    width: usize,
}

/// Rows that a thread takes at once.
const ROWS: usize = 16;

impl Norm {
    /// `NAME.weight` and `NAME.bias`; the identity before training.
    pub(in crate::nn) fn build(
        source: &mut Source<'_>,
        name: &str,
        width: usize,
        epsilon: f64,
    ) -> crate::base::Result<Self> {
        let scale = source.weight(&format!("{name}.weight"), &[width], Init::One)?;
        let shift = source.weight(&format!("{name}.bias"), &[width], Init::Zero)?;
        Ok(Self { scale, shift, epsilon, width })
    }

    /// # Shapes
    /// `x`: (…, width), and so is the result.
    pub(in crate::nn) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !is_native(x) || !is_native(self.scale.tensor()) {
            return self.composed(x);
        }
        let x = x.contiguous()?;
        let mut out = vec![0.0; x.elem_count()];
        {
            let (x, scale, shift) =
                (numbers(&x)?, numbers(self.scale.tensor())?, numbers(self.shift.tensor())?);
            out.par_chunks_mut(ROWS * self.width).zip(x.par_chunks(ROWS * self.width)).for_each(
                |(out, x)| {
                    for (out, x) in out.chunks_exact_mut(self.width).zip(x.chunks_exact(self.width))
                    {
                        let (mean, factor) = self.moments(x);
                        for (((out, x), scale), shift) in
                            out.iter_mut().zip(x).zip(&*scale).zip(&*shift)
                        {
                            *out = (x - mean) * factor * scale + shift;
                        }
                    }
                },
            );
        }
        let (kept, layer, shape) = (x.detach(), self.clone(), x.shape().clone());
        node("layer norm", &x, &[&self.scale, &self.shift], out, shape, move |gradient, wants| {
            layer.backward(&kept, gradient, wants)
        })
    }

    /// Mean, and the reciprocal of the deviation.
    #[expect(clippy::cast_possible_truncation, reason = "the numbers are f32")]
    #[expect(clippy::cast_precision_loss, reason = "a row has few numbers")]
    fn moments(&self, row: &[f32]) -> (f32, f32) {
        let count = self.width as f64;
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let squares = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>();
        (mean as f32, (squares / count + self.epsilon).sqrt().recip() as f32)
    }

    /// With `n` the normalised row and `g` the gradient times scale, that of the row is
    /// `(g - mean(g) - n * mean(g * n)) / deviation` (Ba et al., 2016, by the chain rule).
    fn backward(&self, x: &Tensor, of_out: &[f32], wants: bool) -> Result<Option<Vec<f32>>> {
        let (x, scale) = (numbers(x)?, numbers(self.scale.tensor())?);
        let mut of_x = vec![0.0; x.len()];
        // The gradients of scale and shift are summed by bands of rows and then over bands, in
        // an order that does not depend on threads.
        let bands: Vec<(Vec<f32>, Vec<f32>)> = of_x
            .par_chunks_mut(ROWS * self.width)
            .zip(x.par_chunks(ROWS * self.width))
            .zip(of_out.par_chunks(ROWS * self.width))
            .map(|((of_x, x), of_out)| {
                let mut of_scale = vec![0.0; self.width];
                let mut of_shift = vec![0.0; self.width];
                for ((of_x, x), of_out) in of_x
                    .chunks_exact_mut(self.width)
                    .zip(x.chunks_exact(self.width))
                    .zip(of_out.chunks_exact(self.width))
                {
                    self.backward_row(of_x, x, of_out, &scale, (&mut of_scale, &mut of_shift));
                }
                (of_scale, of_shift)
            })
            .collect();
        for (of_scale, of_shift) in &bands {
            if self.scale.trains() {
                self.scale.add_gradient(|sum, _| add_columns(sum, of_scale));
                self.shift.add_gradient(|sum, _| add_columns(sum, of_shift));
            }
        }
        Ok(wants.then_some(of_x))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the numbers are f32")]
    #[expect(clippy::cast_precision_loss, reason = "a row has few numbers")]
    fn backward_row(
        &self,
        of_x: &mut [f32],
        x: &[f32],
        of_out: &[f32],
        scale: &[f32],
        (of_scale, of_shift): (&mut [f32], &mut [f32]),
    ) {
        let (mean, factor) = self.moments(x);
        let (mut sum, mut along) = (0.0_f64, 0.0_f64);
        let columns = of_scale.iter_mut().zip(of_shift);
        for (((x, g), scale), (of_scale, of_shift)) in x.iter().zip(of_out).zip(scale).zip(columns)
        {
            let n = (x - mean) * factor;
            *of_scale += g * n;
            *of_shift += g;
            sum += f64::from(g * scale);
            along += f64::from(g * scale * n);
        }
        let count = self.width as f64;
        let (sum, along) = ((sum / count) as f32, (along / count) as f32);
        for (((of_x, x), g), scale) in of_x.iter_mut().zip(x).zip(of_out).zip(scale) {
            let n = (x - mean) * factor;
            *of_x = (g * scale - sum - n * along) * factor;
        }
    }

    /// By candle's operators, in f32 whatever `x` is.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let dtype = x.dtype();
        let x = x.to_dtype(DType::F32)?;
        let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = x.sqr()?.mean_keepdim(D::Minus1)?;
        x.broadcast_div(&(variance + self.epsilon)?.sqrt()?)?
            .broadcast_mul(&self.scale.tensor().to_dtype(DType::F32)?)?
            .broadcast_add(&self.shift.tensor().to_dtype(DType::F32)?)?
            .to_dtype(dtype)
    }
}
