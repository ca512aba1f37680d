//! Layer norm over the last dimension.

use candle_core::{D, DType, Result, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice, ParallelSliceMut};

use super::lanes::{self, LANES};
use super::linear::add_columns;
use super::source::{Init, Source};
use crate::nn::gradient::{Weight, follow, is_native, node, numbers};
use crate::nn::kernels::widest;

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
        self.run(&numbers(&x)?, &mut out)?;
        let (kept, layer, shape) = (x.detach(), self.clone(), x.shape().clone());
        node("layer norm", &x, &[&self.scale, &self.shift], out, shape, move |of_out, wants| {
            let mut of_x = vec![0.0; of_out.len()];
            layer.run_back(&numbers(&kept)?, of_out, &mut of_x)?;
            Ok(wants.then_some(of_x))
        })
    }

    /// Whether this house's own passes compute it.
    pub(in crate::nn) fn is_native(&self) -> bool {
        is_native(self.scale.tensor())
    }

    /// As [`forward`](Self::forward), of plain numbers.
    pub(in crate::nn) fn run(&self, x: &[f32], out: &mut [f32]) -> Result<()> {
        let (scale, shift) = (numbers(self.scale.tensor())?, numbers(self.shift.tensor())?);
        let band = ROWS * self.width;
        out.par_chunks_mut(band).zip(x.par_chunks(band)).for_each(|(out, x)| {
            widest(
                #[inline(always)]
                || {
                    let rows = out.chunks_exact_mut(self.width).zip(x.chunks_exact(self.width));
                    for (out, x) in rows {
                        let (mean, factor) = self.moments(x);
                        for (((out, x), scale), shift) in
                            out.iter_mut().zip(x).zip(&*scale).zip(&*shift)
                        {
                            *out = (x - mean) * factor * scale + shift;
                        }
                    }
                },
            );
        });
        Ok(())
    }

    /// Whether it trains.
    #[cfg(feature = "cuda")]
    pub(in crate::nn) fn trains(&self) -> bool {
        self.scale.trains()
    }

    /// Scale and shift in f32, outside of any graph, and epsilon.
    #[cfg(feature = "cuda")]
    pub(in crate::nn) fn constants(&self) -> Result<(Tensor, Tensor, f64)> {
        let of = |weight: &Weight| weight.tensor().detach().to_dtype(DType::F32)?.contiguous();
        Ok((of(&self.scale)?, of(&self.shift)?, self.epsilon))
    }

    /// Adds (2, width) to the gradients of scale and shift, if they train, on another device than
    /// the processor.
    #[cfg(feature = "cuda")]
    pub(in crate::nn) fn add_gradients(&self, sums: &Tensor) -> Result<()> {
        for (weight, at) in [(&self.scale, 0), (&self.shift, 1)] {
            if weight.trains() {
                weight.add_elsewhere(&sums.narrow(0, at, 1)?.squeeze(0)?)?;
            }
        }
        Ok(())
    }

    /// Mean, and the reciprocal of the deviation.
    #[expect(clippy::cast_possible_truncation, reason = "the numbers are f32")]
    #[expect(clippy::cast_precision_loss, reason = "a row has few numbers")]
    #[inline(always)]
    fn moments(&self, row: &[f32]) -> (f32, f32) {
        let count = self.width as f64;
        let mean = lanes::sum(row, f64::from) / count;
        let squares = lanes::sum(row, |x| (f64::from(x) - mean) * (f64::from(x) - mean));
        (mean as f32, (squares / count + self.epsilon).sqrt().recip() as f32)
    }

    /// Adds to the gradients of scale and shift, if they train, and adds that of `x` to `of_x`.
    ///
    /// With `n` the normalised row and `g` the gradient times scale, that of the row is
    /// `(g - mean(g) - n * mean(g * n)) / deviation` (Ba et al., 2016, by the chain rule).
    pub(in crate::nn) fn run_back(
        &self,
        x: &[f32],
        of_out: &[f32],
        of_x: &mut [f32],
    ) -> Result<()> {
        let scale = numbers(self.scale.tensor())?;
        // Nothing is kept for what does not train.
        let kept = if self.scale.trains() { self.width } else { 0 };
        let band = ROWS * self.width;
        // The gradients of scale and shift are summed by bands of rows and then over bands, in
        // an order that does not depend on threads.
        let bands: Vec<(Vec<f32>, Vec<f32>)> = of_x
            .par_chunks_mut(band)
            .zip(x.par_chunks(band))
            .zip(of_out.par_chunks(band))
            .map(|((of_x, x), of_out)| {
                let (mut of_scale, mut of_shift) = (vec![0.0; kept], vec![0.0; kept]);
                widest(
                    #[inline(always)]
                    || {
                        for ((of_x, x), of_out) in of_x
                            .chunks_exact_mut(self.width)
                            .zip(x.chunks_exact(self.width))
                            .zip(of_out.chunks_exact(self.width))
                        {
                            let (mean, factor) = self.moments(x);
                            self.back_row(of_x, (x, mean, factor), of_out, &scale);
                            let columns = of_scale.iter_mut().zip(&mut of_shift);
                            for ((x, g), (of_scale, of_shift)) in x.iter().zip(of_out).zip(columns)
                            {
                                *of_scale += g * ((x - mean) * factor);
                                *of_shift += g;
                            }
                        }
                    },
                );
                (of_scale, of_shift)
            })
            .collect();
        if self.scale.trains() {
            for (of_scale, of_shift) in &bands {
                self.scale.add_gradient(|sum| add_columns(sum, of_scale));
                self.shift.add_gradient(|sum| add_columns(sum, of_shift));
            }
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the numbers are f32")]
    #[expect(clippy::cast_precision_loss, reason = "a row has few numbers")]
    #[inline(always)]
    fn back_row(
        &self,
        of_x: &mut [f32],
        (x, mean, factor): (&[f32], f32, f32),
        of_out: &[f32],
        scale: &[f32],
    ) {
        let mut lanes = [(0.0_f64, 0.0_f64); LANES];
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (gs, g_rest) = of_out.as_chunks::<LANES>();
        let (scales, scale_rest) = scale.as_chunks::<LANES>();
        for (x, (g, scale)) in xs.iter().zip(gs.iter().zip(scales)) {
            for (i, lane) in lanes.iter_mut().enumerate() {
                Self::take(lane, g[i] * scale[i], (x[i] - mean) * factor);
            }
        }
        for (i, (x, (g, scale))) in x_rest.iter().zip(g_rest.iter().zip(scale_rest)).enumerate() {
            Self::take(&mut lanes[i], g * scale, (x - mean) * factor);
        }
        let (sum, along) =
            lanes.iter().fold((0.0, 0.0), |all, lane| (all.0 + lane.0, all.1 + lane.1));
        let count = self.width as f64;
        let (sum, along) = ((sum / count) as f32, (along / count) as f32);
        for (((of_x, x), g), scale) in of_x.iter_mut().zip(x).zip(of_out).zip(scale) {
            let n = (x - mean) * factor;
            *of_x += (g * scale - sum - n * along) * factor;
        }
    }

    /// Adds a scaled gradient, and it times its number of the norm.
    #[inline(always)]
    fn take(lane: &mut (f64, f64), g: f32, normed: f32) {
        let g = f64::from(g);
        lane.0 += g;
        lane.1 += g * f64::from(normed);
    }

    /// By candle's operators, in f32 whatever `x` is. What does not train stays out of its graph.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let dtype = x.dtype();
        let scale = self.scale.tensor().to_dtype(DType::F32)?;
        let shift = self.shift.tensor().to_dtype(DType::F32)?;
        let parts = |x: &Tensor| {
            let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
            let variance = x.sqr()?.mean_keepdim(D::Minus1)?;
            let deviation = (variance + self.epsilon)?.sqrt()?;
            Ok::<_, candle_core::Error>((x.broadcast_div(&deviation)?, deviation))
        };
        let scaled = |normed: &Tensor| normed.broadcast_mul(&scale)?.broadcast_add(&shift);
        let x = x.to_dtype(DType::F32)?;
        if self.scale.trains() || !x.track_op() {
            return scaled(&parts(&x)?.0)?.to_dtype(dtype);
        }
        let (normed, deviation) = parts(&x.detach())?;
        let out = scaled(&normed)?;
        let out = follow("layer norm", &x, &out, move |of_out| {
            let g = of_out.broadcast_mul(&scale)?;
            let along = normed.broadcast_mul(&(&g * &normed)?.mean_keepdim(D::Minus1)?)?;
            let rest = g.broadcast_sub(&g.mean_keepdim(D::Minus1)?)?;
            (rest - along)?.broadcast_div(&deviation)
        })?;
        out.to_dtype(dtype)
    }
}
