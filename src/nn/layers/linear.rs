//! Linear maps.

use candle_core::{Result, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSliceMut};

use super::source::{Init, Source};
use crate::nn::gradient::{Weight, is_native, node, numbers};
use crate::nn::kernels::{Matrix, product};

/// How the matrix lies in memory, and in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum Form {
    /// (inputs, outputs), as transformers' `Conv1D`.
    InputFirst,
    /// (outputs, inputs), as `torch.nn.Linear`.
    OutputFirst,
}

/// `x · weight + bias`.
#[derive(Debug, Clone)]
pub(in crate::nn) struct Linear {
    weight: Weight,
    bias: Option<Weight>,
    form: Form,
    inputs: usize,
    outputs: usize,
}

impl Linear {
    /// `NAME.weight` and, with `bias`, `NAME.bias`.
    pub(in crate::nn) fn build(
        source: &mut Source<'_>,
        name: &str,
        form: Form,
        (inputs, outputs): (usize, usize),
        bias: Option<Init>,
        init: Init,
    ) -> crate::base::Result<Self> {
        let shape = match form {
            Form::InputFirst => [inputs, outputs],
            Form::OutputFirst => [outputs, inputs],
        };
        let weight = source.weight(&format!("{name}.weight"), &shape, init)?;
        let bias = match bias {
            Some(init) => Some(source.weight(&format!("{name}.bias"), &[outputs], init)?),
            None => None,
        };
        Ok(Self { weight, bias, form, inputs, outputs })
    }

    /// A map without bias by a weight that something else holds too, such as a token table, or that
    /// lies in more dimensions, such as a kernel as large as its stride: the first are outputs, all
    /// others inputs.
    pub(in crate::nn) fn tied(weight: &Weight) -> Result<Self> {
        let outputs = weight.tensor().dim(0)?;
        let inputs = weight.tensor().elem_count().checked_div(outputs).unwrap_or(0);
        let form = Form::OutputFirst;
        Ok(Self { weight: weight.clone(), bias: None, form, inputs, outputs })
    }

    /// # Shapes
    /// `x`: (…, inputs); the result: (…, outputs).
    pub(in crate::nn) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        match shape.last_mut() {
            Some(last) if *last == self.inputs => *last = self.outputs,
            _ => candle_core::bail!("expected {} numbers a row, got {shape:?}", self.inputs),
        }
        if !is_native(x) || !is_native(self.weight.tensor()) {
            return self.composed(x)?.reshape(shape);
        }
        let x = x.contiguous()?;
        let rows = x.elem_count().checked_div(self.inputs).unwrap_or(0);
        let mut out = vec![0.0; rows * self.outputs];
        {
            let weight = numbers(self.weight.tensor())?;
            let x = numbers(&x)?;
            if let Some(bias) = &self.bias {
                let bias = numbers(bias.tensor())?;
                out.chunks_exact_mut(self.outputs).for_each(|row| row.copy_from_slice(&bias));
            }
            let weight = self.matrix(&weight);
            product(&mut out, Matrix::new(&x, self.inputs), weight, self.bias.is_some());
        }
        let kept = x.detach();
        let layer = self.clone();
        let weights: Vec<&Weight> = [&self.weight].into_iter().chain(&self.bias).collect();
        node("linear", &x, &weights, out, shape, move |gradient, wants| {
            layer.backward(&kept, gradient, wants)
        })
    }

    fn matrix<'a>(&self, numbers: &'a [f32]) -> Matrix<'a> {
        match self.form {
            Form::InputFirst => Matrix::new(numbers, self.outputs),
            Form::OutputFirst => Matrix::new(numbers, self.inputs).transposed(),
        }
    }

    fn backward(&self, x: &Tensor, of_out: &[f32], wants: bool) -> Result<Option<Vec<f32>>> {
        let by_row = Matrix::new(of_out, self.outputs);
        if self.weight.trains() {
            let x = numbers(x)?;
            let x = Matrix::new(&x, self.inputs);
            self.weight.add_gradient(|sum, fresh| match self.form {
                Form::InputFirst => product(sum, x.transposed(), by_row, !fresh),
                Form::OutputFirst => product(sum, by_row.transposed(), x, !fresh),
            });
        }
        if let Some(bias) = self.bias.as_ref().filter(|bias| bias.trains()) {
            bias.add_gradient(|sum, _| add_columns(sum, of_out));
        }
        if !wants {
            return Ok(None);
        }
        let rows = of_out.len().checked_div(self.outputs).unwrap_or(0);
        let weight = numbers(self.weight.tensor())?;
        let mut of_x = vec![0.0; rows * self.inputs];
        product(&mut of_x, by_row, self.matrix(&weight).transposed(), false);
        Ok(Some(of_x))
    }

    /// By candle's operators, in the type of `x`. A weight that does not train is multiplied by
    /// all the same in candle's backward pass.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let weight = self.weight.tensor().to_dtype(x.dtype())?;
        let weight = match self.form {
            Form::InputFirst => weight,
            Form::OutputFirst => weight.reshape((self.outputs, self.inputs))?.t()?,
        };
        let out = x.reshape(((), self.inputs))?.matmul(&weight)?;
        match &self.bias {
            Some(bias) => out.broadcast_add(&bias.tensor().to_dtype(x.dtype())?),
            None => Ok(out),
        }
    }
}

/// Adds every row of `rows` to `sum`.
pub(super) fn add_columns(sum: &mut [f32], rows: &[f32]) {
    let width = sum.len().max(1);
    // A thread takes a band of columns through all rows, so that the order of sums is always one.
    sum.par_chunks_mut(256).enumerate().for_each(|(band, sum)| {
        for row in rows.chunks_exact(width) {
            let row = row.get(band * 256..).unwrap_or_default();
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    });
}
