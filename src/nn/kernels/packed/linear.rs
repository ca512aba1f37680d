//! A linear layer.

use super::grid::Grid;
use super::level::Level;
use super::panels::{Number, Panels};
use super::product::{Finish, product};
use super::reduce::reduce;
use super::share::Share;
use super::tile::COLUMNS;

/// Weights packed once, with their bias.
#[derive(Debug)]
pub(in crate::nn) struct Linear {
    panels: Panels,
    /// Zeros past the last output.
    bias: Vec<f32>,
}

/// Where a layer puts its activations in fewer bits.
#[derive(Debug, Default)]
pub(in crate::nn) struct Scratch {
    reduced: Grid,
}

impl Linear {
    /// # Shapes
    /// `weight`: (inputs, outputs), row-major; `bias`: (outputs), or empty for none.
    pub(in crate::nn) fn pack(
        number: Number,
        weight: &[f32],
        inputs: usize,
        outputs: usize,
        bias: &[f32],
    ) -> Self {
        let panels = Panels::pack(number, weight, inputs, outputs);
        let mut padded = vec![0.0; panels.count() * COLUMNS];
        padded.iter_mut().zip(bias).for_each(|(to, x)| *to = *x);
        Self { panels, bias: padded }
    }

    /// Outputs.
    pub(in crate::nn) fn outputs(&self) -> usize {
        self.panels.outputs
    }

    /// What who makes its inputs best writes them in: bfloat16 needs a number alone to round it, a
    /// byte its whole row.
    pub(in crate::nn) fn takes(&self) -> Number {
        match self.panels.number {
            Number::Bf16 => Number::Bf16,
            Number::F32 | Number::Int8 => Number::F32,
        }
    }

    /// Every row of `x` through the layer. `out` gets the shape of the result, unless the result
    /// is added to it.
    pub(in crate::nn) fn apply(
        &self,
        level: Level,
        x: &Grid,
        scratch: &mut Scratch,
        out: &mut Grid,
        finish: Finish,
        share: Share,
    ) {
        match finish {
            Finish::Add => {}
            Finish::Store => out.shape(x.rows(), self.panels.outputs),
            Finish::Activate(_, number) => out.shape_of(number, x.rows(), self.panels.outputs),
        }
        let number = self.panels.number;
        let left = if x.number() == number {
            x
        } else {
            reduce(level, number, x, self.panels.inputs, &mut scratch.reduced, share);
            &scratch.reduced
        };
        product(level, left, &self.panels, &self.bias, out, finish, share);
    }
}
