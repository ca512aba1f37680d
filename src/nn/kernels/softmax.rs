//! Softmax over the last dimension, causal or not.

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor};

use super::rows::{is_native, map_rows};

/// Attention weights from attention scores.
///
/// Causal: row `i` of a square looks at its first `i + 1` columns and gets zeros beyond, so that
/// its numbers are the same however long the square is.
///
/// # Shapes
/// `scores`: (…, queries, keys), square if causal; the result has the same shape.
pub(in crate::nn) fn softmax(scores: &Tensor, causal: bool) -> Result<Tensor> {
    if is_native(scores) {
        return scores.contiguous()?.apply_op1_no_bwd(&Softmax { causal });
    }
    let dtype = scores.dtype();
    let mut scores = scores.to_dtype(DType::F32)?;
    if causal {
        let keys = scores.dim(D::Minus1)?;
        let mask = (0..keys)
            .flat_map(|query| {
                (0..keys).map(move |key| if key > query { f32::NEG_INFINITY } else { 0.0 })
            })
            .collect::<Vec<_>>();
        scores = scores.broadcast_add(&Tensor::from_vec(mask, (keys, keys), scores.device())?)?;
    }
    candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(dtype)
}

struct Softmax {
    causal: bool,
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "clipmill-softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let keys = layout.dims().last().copied().unwrap_or(1);
        map_rows(storage, layout, keys, |row, scores| {
            let seen = if self.causal { row % keys + 1 } else { keys };
            let (seen, unseen) = scores.split_at_mut(seen);
            unseen.fill(0.0);
            let most = seen.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for score in seen.iter_mut() {
                *score = (*score - most).exp();
                sum += *score;
            }
            let factor = 1.0 / sum;
            seen.iter_mut().for_each(|score| *score *= factor);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn scores() -> Tensor {
        let numbers: Vec<f32> = (0..50_u8).map(|i| (f32::from(i) * 1.7).sin() * 4.0).collect();
        Tensor::from_vec(numbers, (2, 5, 5), &Device::Cpu).unwrap()
    }

    #[test]
    fn rows_sum_to_one_and_agree_with_candle() {
        let ours = softmax(&scores(), false).unwrap();
        let theirs = candle_nn::ops::softmax_last_dim(&scores()).unwrap();
        let off = (ours - theirs).unwrap().abs().unwrap().max_all().unwrap();
        assert!(off.to_scalar::<f32>().unwrap() < 1e-6);
    }

    #[test]
    fn a_causal_row_does_not_see_what_follows() {
        let whole = softmax(&scores(), true).unwrap();
        let cut = scores().narrow(1, 0, 3).unwrap().narrow(2, 0, 3).unwrap();
        let cut = softmax(&cut, true).unwrap();
        let corner = whole.narrow(1, 0, 3).unwrap().narrow(2, 0, 3).unwrap();
        assert_eq!(
            corner.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            cut.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        );
        let beyond = whole.narrow(1, 0, 1).unwrap().narrow(2, 1, 4).unwrap();
        assert_eq!(beyond.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap(), 0.0);
    }

    #[test]
    fn the_put_together_form_agrees() {
        let half = scores().to_dtype(DType::F16).unwrap();
        let ours = softmax(&half.to_dtype(DType::F32).unwrap(), true).unwrap();
        let put_together = softmax(&half, true).unwrap().to_dtype(DType::F32).unwrap();
        let off = (ours - put_together).unwrap().abs().unwrap().max_all().unwrap();
        assert!(off.to_scalar::<f32>().unwrap() < 1e-3);
    }
}
