//! Dropout (Srivastava et al., 2014), of a seeded stream of random numbers.

use candle_core::{Result, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::nn::gradient::{is_native, node, numbers};

/// Zeroes numbers with a probability and scales up the others. The same seed gives the same zeros
/// in the same order: seed it by the run and the step, and a run that goes on is one that never
/// stopped.
#[derive(Debug, Clone)]
pub struct Dropout {
    rate: f32,
    random: ChaCha8Rng,
}

impl Dropout {
    /// `rate` is the share of numbers to be zeroed, below 1; `stream` keeps steps apart.
    #[must_use]
    pub fn new(rate: f32, seed: u64, stream: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Self { rate: rate.clamp(0.0, 0.999), random }
    }

    /// A factor for each of `count` numbers: 0, or `1 / (1 - rate)`.
    pub(in crate::nn) fn factors(&mut self, count: usize) -> Vec<f32> {
        let keep = 1.0 / (1.0 - self.rate);
        // The bound is compared in the 16 bits that one draw has four of.
        #[expect(clippy::cast_possible_truncation, reason = "a share of 65,536")]
        #[expect(clippy::cast_sign_loss, reason = "a rate is not negative")]
        let bound = (self.rate * 65_536.0).round() as u16;
        let mut out = Vec::with_capacity(count);
        while out.len() < count {
            let draw = self.random.next_u64().to_le_bytes();
            for pair in draw.chunks_exact(2).take(count - out.len()) {
                let draw = pair.first_chunk().map_or(0, |pair| u16::from_le_bytes(*pair));
                out.push(if draw < bound { 0.0 } else { keep });
            }
        }
        out
    }

    /// Whether it zeroes nothing.
    pub(in crate::nn) fn is_idle(&self) -> bool {
        self.rate == 0.0
    }

    /// Applies it.
    ///
    /// # Shapes
    /// Any, and the same.
    pub(in crate::nn) fn forward(&mut self, x: &Tensor) -> Result<Tensor> {
        if self.rate == 0.0 {
            return Ok(x.clone());
        }
        let factors = self.factors(x.elem_count());
        if !is_native(x) {
            let factors = Tensor::from_vec(factors, x.shape(), x.device())?;
            return x * factors.to_dtype(x.dtype())?;
        }
        let x = x.contiguous()?;
        let out = numbers(&x)?.iter().zip(&factors).map(|(x, factor)| x * factor).collect();
        let shape = x.shape().clone();
        node("dropout", &x, &[], out, shape, move |of_out, _| {
            Ok(Some(of_out.iter().zip(&factors).map(|(g, factor)| g * factor).collect()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_its_share_is_zero_and_the_mean_stays() {
        let factors = Dropout::new(0.1, 7, 3).factors(100_000);
        let zeros = factors.iter().filter(|factor| **factor == 0.0).count();
        assert!((9_500..10_500).contains(&zeros), "{zeros}");
        let mean = factors.iter().map(|f| f64::from(*f)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn streams_differ_and_repeat() {
        assert_eq!(Dropout::new(0.5, 1, 2).factors(99), Dropout::new(0.5, 1, 2).factors(99));
        assert_ne!(Dropout::new(0.5, 1, 2).factors(99), Dropout::new(0.5, 1, 3).factors(99));
    }
}
