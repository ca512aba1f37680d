//! Which tokens see which.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

/// Which keys a query sees.
#[derive(Debug, Clone, Default)]
pub(in crate::nn) struct Seen {
    /// Query `i` of `queries` sees the keys up to its own place: the last of as many keys as
    /// there are before it, and `i + 1`.
    pub(in crate::nn) causal: bool,
    /// (rows, keys): keys that are no padding. A query that sees none gets zeros.
    pub(in crate::nn) real: Option<Arc<Vec<bool>>>,
}

impl Seen {
    #[inline(always)]
    pub(super) fn sees(
        &self,
        keys: usize,
        queries: usize,
        row: usize,
        query: usize,
        key: usize,
    ) -> bool {
        let in_time = !self.causal || key + queries <= query + keys;
        let real = self
            .real
            .as_ref()
            .is_none_or(|real| real.get(row * keys + key).copied().unwrap_or(false));
        in_time && real
    }

    /// From the first of a row's first `reach` keys that is no padding to the last.
    pub(super) fn span(&self, keys: usize, row: usize, reach: usize) -> Range<usize> {
        let Some(real) = &self.real else { return 0..reach };
        let real = real.get(row * keys..row * keys + reach).unwrap_or_default();
        let first = real.iter().position(|real| *real).unwrap_or(0);
        first..real.iter().rposition(|real| *real).map_or(first, |last| last + 1)
    }

    /// Makes the scores −∞ of those first keys of a row that are padding.
    #[inline(always)]
    pub(super) fn hide(&self, keys: usize, row: usize, scores: &mut [f32]) {
        let Some(real) = &self.real else { return };
        let real = real.get(row * keys..).unwrap_or_default();
        for (key, score) in scores.iter_mut().enumerate() {
            if !real.get(key).copied().unwrap_or(false) {
                *score = f32::NEG_INFINITY;
            }
        }
    }

    /// Zero for what is seen and very little for the rest, as (rows, 1, queries, keys).
    pub(super) fn bias(
        &self,
        [rows, queries, keys]: [usize; 3],
        device: &Device,
    ) -> Result<Tensor> {
        let mut out = Vec::with_capacity(rows * queries * keys);
        for row in 0..rows {
            for query in 0..queries {
                out.extend((0..keys).map(|key| {
                    if self.sees(keys, queries, row, query, key) { 0.0_f32 } else { -1e30 }
                }));
            }
        }
        Tensor::from_vec(out, (rows, 1, queries, keys), device)
    }
}
