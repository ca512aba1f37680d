//! Keys and values of the tokens so far.

use candle_core::{DType, Result, Tensor};

use super::config::Gpt2Config;

/// Keys and values of every layer, for texts that grow a few tokens at a time. The room for
/// `capacity` tokens is taken at once.
#[derive(Debug)]
pub struct Cache {
    /// (rows, heads, capacity, floats a head), a layer each.
    pub(super) keys: Vec<Tensor>,
    /// As `keys`.
    pub(super) values: Vec<Tensor>,
    /// Of each row: which of its tokens are real.
    real: Vec<Vec<bool>>,
    capacity: usize,
}

impl Cache {
    pub(super) fn new(
        of: &Gpt2Config,
        rows: usize,
        capacity: usize,
        dtype: DType,
        device: &candle_core::Device,
    ) -> Result<Self> {
        let shape = (rows, of.heads, capacity, of.width / of.heads);
        let room = || {
            (0..of.layers).map(|_| Tensor::zeros(shape, dtype, device)).collect::<Result<Vec<_>>>()
        };
        Ok(Self { keys: room()?, values: room()?, real: vec![Vec::new(); rows], capacity })
    }

    /// Tokens so far, padding included; the same for every row.
    #[must_use]
    pub fn len(&self) -> usize {
        self.real.first().map_or(0, Vec::len)
    }

    /// Whether there are none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Texts.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.real.len()
    }

    /// Tokens that there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Row `i` becomes what row `rows[i]` was: for beams that go on from one another, and to drop
    /// or repeat rows.
    ///
    /// # Errors
    /// When a row is not there, or the device fails.
    pub fn select(&mut self, rows: &[usize]) -> Result<()> {
        let mut real = Vec::with_capacity(rows.len());
        let mut ids = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(of_row) = self.real.get(*row) else {
                candle_core::bail!("the cache has {} rows, asked for row {row}", self.real.len());
            };
            real.push(of_row.clone());
            ids.push(u32::try_from(*row).unwrap_or(u32::MAX));
        }
        if rows.iter().copied().eq(0..self.real.len()) {
            return Ok(());
        }
        for tensor in self.keys.iter_mut().chain(&mut self.values) {
            let ids = Tensor::new(ids.as_slice(), tensor.device())?;
            *tensor = tensor.index_select(&ids, 0)?;
        }
        self.real = real;
        Ok(())
    }

    /// Takes note of new tokens: `real` is (rows, tokens). Gives back which tokens are real now,
    /// (rows, all tokens).
    pub(super) fn extend(&mut self, real: &[bool], tokens: usize) -> Result<Vec<bool>> {
        if self.len() + tokens > self.capacity || real.len() != self.rows() * tokens {
            candle_core::bail!(
                "the cache has {} rows and room for {} tokens, {} of them taken; got {} tokens",
                self.rows(),
                self.capacity,
                self.len(),
                real.len()
            );
        }
        for (row, new) in self.real.iter_mut().zip(real.chunks(tokens.max(1))) {
            row.extend_from_slice(new);
        }
        Ok(self.real.concat())
    }
}
