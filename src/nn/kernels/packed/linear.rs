//! A linear layer.

use super::grid::Grid;
use super::level::Level;
use super::number::Number;
use super::panels::Panels;
use super::product::{Finish, To, product};
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

    /// The type in which an operator before it best writes its inputs: a number is rounded to
    /// bfloat16 by itself, but to a byte by the scale of its whole row.
    pub(in crate::nn) fn takes(&self) -> Number {
        match self.panels.number {
            Number::Bf16 => Number::Bf16,
            _ => Number::F32,
        }
    }

    /// Every row of `x` through the layer. `out` gets the shape of the result, unless the result
    /// is added to it.
    ///
    /// # Panics
    /// For inputs or a result of a type that the layer does not take or write, a fault of the caller:
    /// rows would not lie where they are read and written.
    pub(in crate::nn) fn apply(
        &self,
        level: Level,
        x: &Grid,
        scratch: &mut Scratch,
        out: &mut Grid,
        finish: Finish,
        share: Share,
    ) {
        let number = match self.panels.number {
            Number::Int8 if !level.multiplies_bytes() => Number::Int16,
            number => number,
        };
        assert!([Number::F32, number].contains(&x.number()), "inputs of another type");
        match finish {
            Finish::Add => assert!(out.number() == Number::F32, "added to what is no f32"),
            Finish::Store(written) | Finish::Activate(_, written) => {
                assert!(!written.has_scale(), "bytes need a whole row");
                out.shape_of(written, x.rows(), self.panels.outputs);
            }
        }
        let left = if x.number() == number {
            x
        } else {
            reduce(level, number, x, self.panels.inputs, &mut scratch.reduced, share);
            &scratch.reduced
        };
        product(level, left, &self.panels, &self.bias, To::grid(out), finish, share);
    }
}
