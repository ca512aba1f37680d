//! Tables of vectors looked up by number.

use candle_core::{Result, Tensor};

use super::source::{Init, Source};
use crate::nn::gradient::{Weight, is_native, node, numbers};

/// A table of one vector a row.
#[derive(Debug, Clone)]
pub(in crate::nn) struct Embedding {
    weight: Weight,
    rows: usize,
    width: usize,
}

impl Embedding {
    /// `NAME.weight`.
    pub(in crate::nn) fn build(
        source: &mut Source<'_>,
        name: &str,
        (rows, width): (usize, usize),
        init: Init,
    ) -> crate::base::Result<Self> {
        let weight = source.weight(&format!("{name}.weight"), &[rows, width], init)?;
        Ok(Self { weight, rows, width })
    }

    pub(in crate::nn) fn weight(&self) -> &Weight {
        &self.weight
    }

    /// # Shapes
    /// `ids`: any number of them; the result: (ids, width), in the type of the table.
    pub(in crate::nn) fn forward(&self, ids: &[u32]) -> Result<Tensor> {
        if let Some(id) =
            ids.iter().find(|id| usize::try_from(**id).unwrap_or(usize::MAX) >= self.rows)
        {
            candle_core::bail!("id {id} is not below {}, the rows of its table", self.rows);
        }
        let table = self.weight.tensor();
        if !is_native(table) {
            let ids = Tensor::new(ids, table.device())?;
            return table.index_select(&ids, 0);
        }
        let width = self.width;
        let range = move |id: &u32| {
            let start = usize::try_from(*id).unwrap_or(usize::MAX).saturating_mul(width);
            start..start.saturating_add(width)
        };
        let mut out = Vec::with_capacity(ids.len() * width);
        {
            let table = numbers(table)?;
            for id in ids {
                out.extend_from_slice(table.get(range(id)).unwrap_or_default());
            }
        }
        let (weight, ids) = (self.weight.clone(), ids.to_vec());
        // The table's numbers are no activation: of them candle gets no gradient.
        let data = self.weight.tensor().detach();
        let shape = (ids.len(), width);
        node("embedding", &data, &[&self.weight], out, shape, move |of_out, _| {
            weight.add_gradient(|sum| {
                for (id, of_row) in ids.iter().zip(of_out.chunks_exact(width)) {
                    let row = sum.get_mut(range(id)).unwrap_or_default();
                    row.iter_mut().zip(of_row).for_each(|(sum, g)| *sum += g);
                }
            });
            Ok(None)
        })
    }
}
