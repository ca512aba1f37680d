//! Keys and values of the tokens so far.

use candle_core::{DType, Result, Tensor};

use super::config::Gpt2Config;
use crate::nn::layers::Onto;

/// Keys and values of every layer, for texts that grow a few tokens at a time. The room for
/// `capacity` tokens is taken at once.
#[derive(Debug)]
pub struct Cache {
    layers: Layers,
    /// Of each row: which of its tokens are real.
    real: Vec<Vec<bool>>,
    capacity: usize,
}

/// Keys and values, (rows, heads, capacity, floats a head), a layer each.
#[derive(Debug)]
enum Layers {
    /// Written and read as they lie.
    Plain(Vec<Room>),
    /// On a device, or in another type.
    Tensors(Vec<[Tensor; 2]>),
}

/// One layer's keys and values as plain numbers.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

impl Room {
    /// Takes the new tokens' keys and values from where they lie beside their queries.
    pub(super) fn write(&mut self, qkv: &[f32], of: Onto) {
        let [_, tokens, width] = of.sizes;
        let each = width / of.heads.max(1);
        for (token, qkv) in qkv.chunks_exact(3 * width).enumerate() {
            let (row, place) = (token / tokens, of.filled - tokens + token % tokens);
            let parts = qkv.chunks_exact(width).skip(1);
            for (kept, new) in [&mut self.keys, &mut self.values].into_iter().zip(parts) {
                for (head, new) in new.chunks_exact(each).enumerate() {
                    let at = ((row * of.heads + head) * of.capacity + place) * each;
                    if let Some(kept) = kept.get_mut(at..at + each) {
                        kept.copy_from_slice(new);
                    }
                }
            }
        }
    }
}

impl Cache {
    /// `plain` says that [`Cache::plain`] will be asked for, and no tensors.
    pub(super) fn new(
        of: &Gpt2Config,
        rows: usize,
        capacity: usize,
        dtype: DType,
        device: &candle_core::Device,
        plain: bool,
    ) -> Result<Self> {
        let shape = (rows, of.heads, capacity, of.width / of.heads);
        let layers = if plain {
            let numbers = || vec![0.0; rows * capacity * of.width];
            let room = || Room { keys: numbers(), values: numbers() };
            Layers::Plain(std::iter::repeat_with(room).take(of.layers).collect())
        } else {
            let room = || Tensor::zeros(shape, dtype, device);
            let layer = || Ok([room()?, room()?]);
            Layers::Tensors((0..of.layers).map(|_| layer()).collect::<Result<_>>()?)
        };
        Ok(Self { layers, real: vec![Vec::new(); rows], capacity })
    }

    /// All layers as plain numbers.
    pub(super) fn plain(&mut self) -> Result<&mut [Room]> {
        match &mut self.layers {
            Layers::Plain(layers) => Ok(layers),
            Layers::Tensors(_) => candle_core::bail!("the cache is of another model"),
        }
    }

    /// Keys and values of a layer.
    pub(super) fn tensors(&self, layer: usize) -> Result<&[Tensor; 2]> {
        match &self.layers {
            Layers::Tensors(layers) => match layers.get(layer) {
                Some(of) => Ok(of),
                None => candle_core::bail!("the cache has no layer {layer}"),
            },
            Layers::Plain(_) => candle_core::bail!("the cache is of another model"),
        }
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
        match &mut self.layers {
            Layers::Plain(layers) => {
                let one = layers.first().map_or(0, |room| room.keys.len()) / self.real.len().max(1);
                for numbers in layers.iter_mut().flat_map(|room| [&mut room.keys, &mut room.values])
                {
                    let mut chosen = Vec::with_capacity(rows.len() * one);
                    for row in rows {
                        let row = numbers.get(row * one..(row + 1) * one);
                        chosen.extend_from_slice(row.unwrap_or_default());
                    }
                    *numbers = chosen;
                }
            }
            Layers::Tensors(layers) => {
                for tensor in layers.iter_mut().flatten() {
                    let ids = Tensor::new(ids.as_slice(), tensor.device())?;
                    *tensor = tensor.index_select(&ids, 0)?;
                }
            }
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
