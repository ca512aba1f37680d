//! Layer norm over the last dimension.

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor};

use super::rows::{is_native, map_rows};

/// `(x - mean) / sqrt(variance + epsilon) * scale + shift`, in two passes over a row: candle's
/// takes the variance as a difference of two sums, which loses digits where the mean is large.
///
/// # Shapes
/// `x`: (…, width); `scale` and `shift`: (width), f32.
pub(in crate::nn) fn layer_norm(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    epsilon: f64,
) -> Result<Tensor> {
    if is_native(x) {
        let (scale, shift) = (scale.to_vec1()?, shift.to_vec1()?);
        return x.contiguous()?.apply_op1_no_bwd(&LayerNorm { scale, shift, epsilon });
    }
    let dtype = x.dtype();
    let x = x.to_dtype(DType::F32)?;
    let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(variance + epsilon)?.sqrt()?)?
        .broadcast_mul(scale)?
        .broadcast_add(shift)?
        .to_dtype(dtype)
}

struct LayerNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f64,
}

impl CustomOp1 for LayerNorm {
    fn name(&self) -> &'static str {
        "clipmill-layer-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        #[expect(clippy::cast_precision_loss, reason = "a row has few numbers")]
        let count = self.scale.len() as f64;
        #[expect(clippy::cast_possible_truncation, reason = "the features are f32")]
        map_rows(storage, layout, self.scale.len(), |_, row| {
            let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
            let squares = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>();
            let factor = (squares / count + self.epsilon).sqrt().recip() as f32;
            let mean = mean as f32;
            for ((x, scale), shift) in row.iter_mut().zip(&self.scale).zip(&self.shift) {
                *x = (*x - mean) * factor * scale + shift;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_large_mean_costs_no_digits() {
        let row: Vec<f32> = (0..64_u8).map(|i| 1.0e4 + f32::from(i % 7)).collect();
        let x = Tensor::from_vec(row.clone(), (1, 64), &Device::Cpu).unwrap();
        let one = Tensor::ones(64, DType::F32, &Device::Cpu).unwrap();
        let zero = one.zeros_like().unwrap();
        let got = layer_norm(&x, &one, &zero, 1e-5).unwrap().to_vec2::<f32>().unwrap();
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / 64.0;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / 64.0;
        for (got, x) in got[0].iter().zip(&row) {
            let want = (f64::from(*x) - mean) / (variance + 1e-5).sqrt();
            assert!((f64::from(*got) - want).abs() < 1e-3, "{got} {want}");
        }
    }

    #[test]
    fn the_put_together_form_agrees() {
        let row: Vec<f32> = (0..48_u8).map(|i| (f32::from(i) * 0.3).cos()).collect();
        let x = Tensor::from_vec(row, (3, 16), &Device::Cpu).unwrap();
        let scale = Tensor::arange(1.0_f32, 17.0, &Device::Cpu).unwrap();
        let shift = Tensor::ones(16, DType::F32, &Device::Cpu).unwrap();
        let ours = layer_norm(&x, &scale, &shift, 1e-5).unwrap();
        let half = x.to_dtype(DType::F16).unwrap();
        let other = layer_norm(&half, &scale, &shift, 1e-5).unwrap();
        let off = (ours - other.to_dtype(DType::F32).unwrap()).unwrap().abs().unwrap();
        assert!(off.max_all().unwrap().to_scalar::<f32>().unwrap() < 0.03);
    }
}
