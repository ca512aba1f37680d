//! Linear maps.

#[cfg(feature = "cuda")]
use candle_core::DType;
use candle_core::{Result, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSliceMut};

use super::source::{Init, Source};
use crate::nn::gradient::{Weight, follow, is_native, node, numbers};
use crate::nn::kernels::{Constant, Matrix, Number, product};

/// How the matrix lies in memory, and in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum Form {
    /// (inputs, outputs), as transformers' `Conv1D`.
    InputFirst,
    /// (outputs, inputs), as `torch.nn.Linear`.
    OutputFirst,
}

/// Numbers that a thread takes at once, where there is little to do with each.
const BAND: usize = 1 << 16;

/// How products read a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum Factors {
    /// As it lies.
    AsTheyLie,
    /// Packed once, for what does not train and is multiplied many times over.
    Packed,
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
        self.run(&numbers(&x)?, &mut out, false, Factors::AsTheyLie)?;
        // What does not train needs no input again.
        let kept = self.weight.trains().then(|| x.detach());
        let layer = self.clone();
        let weights: Vec<&Weight> = [&self.weight].into_iter().chain(&self.bias).collect();
        node("linear", &x, &weights, out, shape, move |of_out, wants| {
            let rows = of_out.len().checked_div(layer.outputs).unwrap_or(0);
            let mut of_x = wants.then(|| vec![0.0; rows * layer.inputs]);
            let x = kept.as_ref().map(numbers).transpose()?;
            let x = x.as_deref().unwrap_or_default();
            layer.run_back(x, of_out, of_x.as_deref_mut(), Factors::AsTheyLie)?;
            Ok(of_x)
        })
    }

    /// Numbers that it makes of a row.
    pub(in crate::nn) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether its weight trains.
    pub(in crate::nn) fn trains(&self) -> bool {
        self.weight.trains()
    }

    /// Whether this house's own passes compute it.
    pub(in crate::nn) fn is_native(&self) -> bool {
        is_native(self.weight.tensor())
    }

    /// As [`forward`](Self::forward), of plain numbers: into `out`, or with `onto` added to what
    /// stands there.
    pub(in crate::nn) fn run(
        &self,
        x: &[f32],
        out: &mut [f32],
        onto: bool,
        how: Factors,
    ) -> Result<()> {
        if how == Factors::Packed {
            let bias = self.bias.as_ref().map(|bias| numbers(bias.tensor())).transpose()?;
            self.packed(false)?.multiply(x, bias.as_deref().unwrap_or_default(), out, onto);
            return Ok(());
        }
        if let Some(bias) = &self.bias {
            let bias = numbers(bias.tensor())?;
            fill(out, &bias, onto);
        }
        let weight = numbers(self.weight.tensor())?;
        let onto = onto || self.bias.is_some();
        let x = Matrix::new(x, self.inputs);
        product(self.weight.number(), out, x, self.matrix(&weight), onto);
        Ok(())
    }

    /// Adds to the gradients of what trains, and writes that of `x`. `x` is not looked at where the
    /// weight does not train.
    pub(in crate::nn) fn run_back(
        &self,
        x: &[f32],
        of_out: &[f32],
        of_x: Option<&mut [f32]>,
        how: Factors,
    ) -> Result<()> {
        let by_row = Matrix::new(of_out, self.outputs);
        let number = self.weight.number();
        if self.weight.trains() {
            let x = Matrix::new(x, self.inputs);
            self.weight.write_gradient(|sum, fresh| match self.form {
                Form::InputFirst => product(number, sum, x.transposed(), by_row, !fresh),
                Form::OutputFirst => product(number, sum, by_row.transposed(), x, !fresh),
            });
        }
        if let Some(bias) = self.bias.as_ref().filter(|bias| bias.trains()) {
            bias.add_gradient(|sum| add_columns(sum, of_out));
        }
        if let Some(of_x) = of_x {
            if how == Factors::Packed {
                self.packed(true)?.multiply(of_out, &[], of_x, false);
                return Ok(());
            }
            let weight = numbers(self.weight.tensor())?;
            product(number, of_x, by_row, self.matrix(&weight).transposed(), false);
        }
        Ok(())
    }

    /// Its matrix, as it lies, in `dtype`, and its bias in f32, outside of any graph.
    #[cfg(feature = "cuda")]
    pub(in crate::nn) fn constants(&self, dtype: DType) -> Result<(Tensor, Tensor)> {
        let weight = self.weight.tensor().detach().to_dtype(dtype)?.contiguous()?;
        let bias = match &self.bias {
            Some(bias) => bias.tensor().detach().to_dtype(DType::F32)?.contiguous()?,
            None => Tensor::zeros(self.outputs, DType::F32, weight.device())?,
        };
        Ok((weight, bias))
    }

    /// Adds to the gradients of what trains, on another device than the processor. `of_weight`
    /// makes that of the matrix as it lies, `of_bias` that of the bias.
    #[cfg(feature = "cuda")]
    pub(in crate::nn) fn add_gradients(
        &self,
        of_weight: impl FnOnce() -> Result<Tensor>,
        of_bias: impl FnOnce() -> Result<Tensor>,
    ) -> Result<()> {
        if self.weight.trains() {
            self.weight.add_elsewhere(&of_weight()?)?;
        }
        match self.bias.as_ref().filter(|bias| bias.trains()) {
            Some(bias) => bias.add_elsewhere(&of_bias()?),
            None => Ok(()),
        }
    }

    /// The matrix, (inputs, outputs), or its transpose.
    fn packed(&self, transposed: bool) -> Result<std::sync::Arc<Constant>> {
        match self.form {
            Form::InputFirst => self.weight.packed(self.outputs, transposed),
            Form::OutputFirst => self.weight.packed(self.inputs, !transposed),
        }
    }

    fn matrix<'a>(&self, numbers: &'a [f32]) -> Matrix<'a> {
        match self.form {
            Form::InputFirst => Matrix::new(numbers, self.outputs),
            Form::OutputFirst => Matrix::new(numbers, self.inputs).transposed(),
        }
    }

    /// By candle's operators, in the type of `x`. Candle computes a gradient for every argument of a
    /// product, so what does not train stays out of its graph.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let weight = self.weight.tensor().to_dtype(x.dtype())?;
        let weight = match self.form {
            Form::InputFirst => weight,
            Form::OutputFirst => weight.reshape((self.outputs, self.inputs))?.t()?,
        };
        let bias = self.bias.as_ref().map(|bias| bias.tensor().to_dtype(x.dtype())).transpose()?;
        let product = |x: &Tensor| {
            let out = x.matmul(&weight)?;
            match &bias {
                Some(bias) => out.broadcast_add(bias),
                None => Ok(out),
            }
        };
        let x = x.reshape(((), self.inputs))?;
        if self.trains() || !x.track_op() {
            return product(&x);
        }
        let out = product(&x.detach())?;
        follow("linear", &x, &out, move |of_out| of_out.matmul(&weight.t()?))
    }
}

/// Maps of one input, f32 on the processor, whose results lie side by side: multiplied as one.
#[derive(Debug)]
pub(in crate::nn) struct Joined {
    parts: Vec<Linear>,
    /// (outputs of all, inputs)
    weight: Vec<f32>,
    /// Of all outputs.
    bias: Vec<f32>,
    inputs: usize,
}

impl Joined {
    /// Of maps as they are now, whose matrices lie by outputs. What has no bias gets zeros.
    pub(in crate::nn) fn of(parts: &[Linear]) -> Result<Self> {
        let inputs = parts.first().map_or(0, |part| part.inputs);
        let outputs = parts.iter().map(|part| part.outputs).sum();
        let mut weight = Vec::with_capacity(outputs * inputs);
        let mut bias = Vec::with_capacity(outputs);
        for part in parts {
            if part.form != Form::OutputFirst || part.inputs != inputs {
                candle_core::bail!("maps of other inputs or another layout are not joined");
            }
            weight.extend_from_slice(&numbers(part.weight.tensor())?);
            match &part.bias {
                Some(of) => bias.extend_from_slice(&numbers(of.tensor())?),
                None => bias.resize(bias.len() + part.outputs, 0.0),
            }
        }
        Ok(Self { parts: parts.to_vec(), weight, bias, inputs })
    }

    /// Writes the results of `x` into `out`.
    pub(in crate::nn) fn run(&self, x: &[f32], out: &mut [f32]) {
        fill(out, &self.bias, false);
        let weight = Matrix::new(&self.weight, self.inputs).transposed();
        product(self.number(), out, Matrix::new(x, self.inputs), weight, true);
    }

    /// As [`Linear::run_back`].
    pub(in crate::nn) fn run_back(&self, x: &[f32], of_out: &[f32], of_x: &mut [f32]) {
        let by_row = Matrix::new(of_out, self.bias.len());
        let trains = |of: &Linear| of.weight.trains() || of.bias.iter().any(Weight::trains);
        if self.parts.iter().any(trains) {
            let x = Matrix::new(x, self.inputs);
            let mut of_weight = vec![0.0; self.weight.len()];
            product(self.number(), &mut of_weight, by_row.transposed(), x, false);
            let mut of_bias = vec![0.0; self.bias.len()];
            add_columns(&mut of_bias, of_out);
            let (mut weights, mut biases) = (&*of_weight, &*of_bias);
            for part in &self.parts {
                let (own, rest) = weights.split_at(part.outputs * self.inputs);
                part.weight.add_numbers(own);
                let (own_bias, rest_bias) = biases.split_at(part.outputs);
                part.bias.iter().for_each(|bias| bias.add_numbers(own_bias));
                (weights, biases) = (rest, rest_bias);
            }
        }
        product(self.number(), of_x, by_row, Matrix::new(&self.weight, self.inputs), false);
    }

    fn number(&self) -> Number {
        self.parts.first().map_or(Number::F32, |part| part.weight.number())
    }
}

/// Writes `bias` into every row of `out`, or, with `onto`, adds it to what is there.
fn fill(out: &mut [f32], bias: &[f32], onto: bool) {
    let width = bias.len().max(1);
    let fill = |rows: &mut [f32]| {
        for row in rows.chunks_exact_mut(width) {
            if onto {
                row.iter_mut().zip(bias).for_each(|(to, x)| *to += x);
            } else {
                row.copy_from_slice(bias);
            }
        }
    };
    // Handing over what is done at once would cost more than it saves.
    if out.len() <= BAND {
        fill(out);
    } else {
        out.par_chunks_mut(BAND.div_ceil(width) * width).for_each(fill);
    }
}

/// Adds every row of `rows` to `sum`.
pub(in crate::nn) fn add_columns(sum: &mut [f32], rows: &[f32]) {
    let width = sum.len().max(1);
    // A thread takes a band of columns through all rows, so that the order of sums is always one.
    sum.par_chunks_mut(256).enumerate().for_each(|(band, sum)| {
        for row in rows.chunks_exact(width) {
            let row = row.get(band * 256..).unwrap_or_default();
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    });
}
