//! A GPT-2's operators around its matrix products, and their gradients.

use candle_core::cuda_backend::cudarc::driver::CudaFunction;
use candle_core::{DType, Device, Result, Tensor};

use super::launch::{CHUNK, Grid, Program, float, halves, int, long, of_f32, type_name};

const SOURCE: &str = concat!(include_str!("rows.cu"), include_str!("train.cu"));

/// Widest row whose gradient fits the shared memory of a block: four of them.
const WIDEST: usize = 2048;
/// Blocks that share the rows of a norm's gradient.
const NORM_BLOCKS: usize = 264;
/// Parts that rows are summed in.
const BANDS: usize = 32;

/// The kernels, compiled for a width and a type. All tensors are contiguous, on the GPU, and of
/// that type where not said otherwise; biases and norms are f32, and so are sums over rows.
#[derive(Debug)]
pub(in crate::nn) struct TrainKernels {
    width: usize,
    dtype: DType,
    program: Program,
    norm: CudaFunction,
    add_norm: CudaFunction,
    norm_back: CudaFunction,
    columns: CudaFunction,
    total: CudaFunction,
    activate: CudaFunction,
    activate_back: CudaFunction,
    split: CudaFunction,
    join: CudaFunction,
    swap: CudaFunction,
    weights: CudaFunction,
    weights_back: CudaFunction,
    entropy: CudaFunction,
}

/// Scale and shift of a layer norm, and what is added to the variance.
pub(in crate::nn) type NormOf = (Tensor, Tensor, f64);

impl TrainKernels {
    /// Compiles them. None where the GPU or the kernels do not have what the sizes need: candle's
    /// own operators do then.
    pub(in crate::nn) fn compile(
        (width, inner, heads): (usize, usize, usize),
        dtype: DType,
        device: &Device,
    ) -> Result<Option<Self>> {
        let each = width.checked_div(heads).unwrap_or(0);
        let fits = [width, inner, each].iter().all(|n| n.is_multiple_of(8))
            && each * heads == width
            && width <= WIDEST
            // Scores are kept before they are scaled down: f16 ends at 65,504.
            && dtype != DType::F16;
        let Some(name) = type_name(dtype).filter(|_| fits) else { return Ok(None) };
        let macros = [format!("TYPE={name}"), format!("CHUNKS={}", width.div_ceil(CHUNK))];
        let Some(program) = Program::compile(SOURCE, &macros, device)? else { return Ok(None) };
        Ok(Some(Self {
            width,
            dtype,
            norm: program.function("norm_rows")?,
            add_norm: program.function("add_norm")?,
            norm_back: program.function("norm_back")?,
            columns: program.function("columns")?,
            total: program.function("total")?,
            activate: program.function("activate")?,
            activate_back: program.function("activate_back")?,
            split: program.function("split_heads")?,
            join: program.function("join_heads")?,
            swap: program.function("swap_middle")?,
            weights: program.function("weights")?,
            weights_back: program.function("weights_back")?,
            entropy: program.function("entropy")?,
            program,
        }))
    }

    /// The type that they compute in.
    pub(in crate::nn) fn dtype(&self) -> DType {
        self.dtype
    }

    /// A layer norm.
    ///
    /// # Shapes
    /// `x`: (rows, width), and so is the result.
    pub(in crate::nn) fn norm(&self, x: &Tensor, norm: &NormOf) -> Result<Tensor> {
        let rows = self.rows(x)?;
        self.check_norm(norm)?;
        let sizes = [int(rows)?, int(self.width)?, float(norm.2)];
        // SAFETY: sizes were checked; a warp a row writes its row.
        let [out] = unsafe {
            let (inputs, out) = ([x, &norm.0, &norm.1], [(x.shape().clone(), self.dtype)]);
            self.program.call(&self.norm, Grid::warps(rows), &inputs, out, &sizes)?
        };
        Ok(out)
    }

    /// `x + y + bias`, and that under a layer norm.
    ///
    /// # Shapes
    /// `x`, `y`: (rows, width), and so are the results.
    pub(in crate::nn) fn add_norm(
        &self,
        x: &Tensor,
        y: &Tensor,
        bias: &Tensor,
        norm: &NormOf,
    ) -> Result<(Tensor, Tensor)> {
        let rows = self.rows(x)?;
        same(y, x)?;
        of_f32(bias, self.width)?;
        self.check_norm(norm)?;
        let sizes = [int(rows)?, int(self.width)?, float(norm.2)];
        // SAFETY: sizes were checked; a warp a row writes its row of both halves.
        let [both] = unsafe {
            let out = [((2, rows, self.width).into(), self.dtype)];
            let inputs = [x, y, bias, &norm.0, &norm.1];
            self.program.call(&self.add_norm, Grid::warps(rows), &inputs, out, &sizes)?
        };
        halves(&both)
    }

    /// The gradient of a layer norm's argument `x` with `more` added to it, and those of scale and
    /// shift, (2, width) in f32.
    ///
    /// # Shapes
    /// `x`, `of_out`, `more`: (rows, width), and so is the first result.
    pub(in crate::nn) fn norm_back(
        &self,
        x: &Tensor,
        of_out: &Tensor,
        more: &Tensor,
        norm: &NormOf,
    ) -> Result<(Tensor, Tensor)> {
        let rows = self.rows(x)?;
        same(of_out, x)?;
        same(more, x)?;
        self.check_norm(norm)?;
        let blocks = rows.div_ceil(4).clamp(1, NORM_BLOCKS);
        let blocks_u32 = u32::try_from(blocks).unwrap_or(1);
        let shared_bytes = u32::try_from(4 * self.width * 4).unwrap_or(u32::MAX);
        let grid = Grid { shared_bytes, ..Grid::new((blocks_u32, 1, 1), 128) };
        let sizes = [int(rows)?, int(self.width)?, float(norm.2)];
        // SAFETY: sizes were checked; warps write all rows between them, and each block its sums.
        let [of_x, sums] = unsafe {
            let outs =
                [(x.shape().clone(), self.dtype), ((blocks, 2 * self.width).into(), DType::F32)];
            let inputs = [x, of_out, more, &norm.0];
            self.program.call(&self.norm_back, grid, &inputs, outs, &sizes)?
        };
        Ok((of_x, self.total(&sums)?.reshape((2, self.width))?))
    }

    /// Sums of columns, in f32.
    ///
    /// # Shapes
    /// `x`: (rows, any multiple of 8); the result: (the same).
    pub(in crate::nn) fn columns(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        self.of_eight(x)?;
        let blocks = u32::try_from(width.div_ceil(CHUNK)).unwrap_or(u32::MAX);
        let bands = rows.div_ceil(8).clamp(1, BANDS);
        let grid = Grid::new((blocks, u32::try_from(bands).unwrap_or(1), 1), 256);
        // SAFETY: sizes were checked; each block writes the sums of its columns in its band.
        let [sums] = unsafe {
            let (out, sizes) = ([((bands, width).into(), DType::F32)], [int(rows)?, int(width)?]);
            self.program.call(&self.columns, grid, &[x], out, &sizes)?
        };
        self.total(&sums)
    }

    fn total(&self, sums: &Tensor) -> Result<Tensor> {
        let (rows, width) = sums.dims2()?;
        // SAFETY: a thread writes the sum of its column.
        let [out] = unsafe {
            let (out, sizes) = ([(width.into(), DType::F32)], [int(rows)?, int(width)?]);
            self.program.call(&self.total, Grid::threads(width), &[sums], out, &sizes)?
        };
        Ok(out)
    }

    /// GELU by tanh of `x + bias`.
    ///
    /// # Shapes
    /// `x`: (rows, any multiple of 8), and so is the result.
    pub(in crate::nn) fn activate(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (_, width) = x.dims2()?;
        self.of_eight(x)?;
        of_f32(bias, width)?;
        let count = x.elem_count();
        // SAFETY: sizes were checked; a thread writes each eight numbers that it read.
        let [out] = unsafe {
            let (out, sizes) = ([(x.shape().clone(), self.dtype)], [long(count), int(width)?]);
            self.program.call(&self.activate, Grid::turns(count / 8), &[x, bias], out, &sizes)?
        };
        Ok(out)
    }

    /// The gradient of `x` of that of [`activate`](Self::activate).
    pub(in crate::nn) fn activate_back(
        &self,
        x: &Tensor,
        of_out: &Tensor,
        bias: &Tensor,
    ) -> Result<Tensor> {
        let (_, width) = x.dims2()?;
        self.of_eight(x)?;
        same(of_out, x)?;
        of_f32(bias, width)?;
        let count = x.elem_count();
        let grid = Grid::turns(count / 8);
        // SAFETY: sizes were checked; a thread writes each eight numbers that it read.
        let [out] = unsafe {
            let (out, sizes) = ([(x.shape().clone(), self.dtype)], [long(count), int(width)?]);
            self.program.call(&self.activate_back, grid, &[x, of_out, bias], out, &sizes)?
        };
        Ok(out)
    }

    /// Queries, keys and values with their bias, the tokens of a head together.
    ///
    /// # Shapes
    /// `qkv`: (rows · tokens, 3 · width); the result: (3, rows · heads, tokens, floats a head).
    pub(in crate::nn) fn split(
        &self,
        qkv: &Tensor,
        bias: &Tensor,
        (rows, tokens, heads): (usize, usize, usize),
    ) -> Result<Tensor> {
        let each = self.each(heads)?;
        if qkv.dims() != [rows * tokens, 3 * self.width] || qkv.dtype() != self.dtype {
            candle_core::bail!("expected {rows} texts of {tokens} tokens, got {:?}", qkv.shape());
        }
        of_f32(bias, 3 * self.width)?;
        let count = qkv.elem_count();
        let sizes = [long(count), int(rows)?, int(tokens)?, int(heads)?, int(each)?];
        // SAFETY: sizes were checked; a thread writes each eight numbers of the result.
        let [out] = unsafe {
            let out = [((3, rows * heads, tokens, each).into(), self.dtype)];
            self.program.call(&self.split, Grid::threads(count / 8), &[qkv, bias], out, &sizes)?
        };
        Ok(out)
    }

    /// What [`split`](Self::split) took apart.
    ///
    /// # Shapes
    /// Each part: (rows · heads, tokens, floats a head); the result: (rows · tokens, 3 · width).
    pub(in crate::nn) fn join(&self, [q, k, v]: [&Tensor; 3], heads: usize) -> Result<Tensor> {
        let (all, tokens, each) = q.dims3()?;
        same(k, q)?;
        same(v, q)?;
        self.of_heads(q, heads)?;
        let count = 3 * q.elem_count();
        let sizes = [long(count), int(tokens)?, int(heads)?, int(each)?];
        // SAFETY: sizes were checked; a thread writes each eight numbers of the result.
        let [out] = unsafe {
            let out = [((all / heads * tokens, 3 * self.width).into(), self.dtype)];
            self.program.call(&self.join, Grid::threads(count / 8), &[q, k, v], out, &sizes)?
        };
        Ok(out)
    }

    /// The heads of a token together.
    ///
    /// # Shapes
    /// `x`: (rows · heads, tokens, floats a head); the result: (rows · tokens, width).
    pub(in crate::nn) fn merge(&self, x: &Tensor, heads: usize) -> Result<Tensor> {
        let (all, tokens, each) = x.dims3()?;
        self.of_heads(x, heads)?;
        self.swapped(x, (heads, tokens, each))?.reshape((all / heads * tokens, self.width))
    }

    /// What [`merge`](Self::merge) put together.
    ///
    /// # Shapes
    /// `x`: (rows · tokens, width); the result: (rows · heads, tokens, floats a head).
    pub(in crate::nn) fn part(&self, x: &Tensor, tokens: usize, heads: usize) -> Result<Tensor> {
        let each = self.each(heads)?;
        let rows = self.rows(x)?.checked_div(tokens).unwrap_or(0);
        self.swapped(x, (tokens, heads, each))?.reshape((rows * heads, tokens, each))
    }

    fn swapped(&self, x: &Tensor, (b, c, each): (usize, usize, usize)) -> Result<Tensor> {
        let count = x.elem_count();
        if !count.is_multiple_of(b * c * each) || !each.is_multiple_of(8) {
            candle_core::bail!("{:?} is not of {b} times {c} times {each}", x.shape());
        }
        let sizes = [long(count), int(b)?, int(c)?, int(each)?];
        // SAFETY: sizes were checked; a thread writes each eight numbers of the result.
        let [out] = unsafe {
            let out = [(x.shape().clone(), self.dtype)];
            self.program.call(&self.swap, Grid::threads(count / 8), &[x], out, &sizes)?
        };
        Ok(out)
    }

    /// Causal softmax of scores times `scale`.
    ///
    /// # Shapes
    /// `scores`: (rows · heads, queries, keys), and so is the result.
    pub(in crate::nn) fn weights(&self, scores: &Tensor, scale: f64) -> Result<Tensor> {
        let (all, queries, keys) = scores.dims3()?;
        if queries > keys || scores.dtype() != self.dtype {
            candle_core::bail!("expected scores of {:?}, got {:?}", self.dtype, scores.shape());
        }
        let rows = all * queries;
        let sizes = [int(rows)?, int(queries)?, int(keys)?, float(scale)];
        // SAFETY: sizes were checked; a warp a row writes its row.
        let [out] = unsafe {
            let out = [(scores.shape().clone(), self.dtype)];
            self.program.call(&self.weights, Grid::warps(rows), &[scores], out, &sizes)?
        };
        Ok(out)
    }

    /// The gradient of scores of that of their [`weights`](Self::weights), which are `made`.
    pub(in crate::nn) fn weights_back(
        &self,
        made: &Tensor,
        of_out: &Tensor,
        scale: f64,
    ) -> Result<Tensor> {
        let (all, queries, keys) = made.dims3()?;
        same(of_out, made)?;
        if queries > keys || made.dtype() != self.dtype {
            candle_core::bail!("expected weights of {:?}, got {:?}", self.dtype, made.shape());
        }
        let rows = all * queries;
        let sizes = [int(rows)?, int(queries)?, int(keys)?, float(scale)];
        // SAFETY: sizes were checked; a warp a row writes its row.
        let [out] = unsafe {
            let out = [(made.shape().clone(), self.dtype)];
            let inputs = [made, of_out];
            self.program.call(&self.weights_back, Grid::warps(rows), &inputs, out, &sizes)?
        };
        Ok(out)
    }

    /// The cross entropy of each row, in f32, and the gradient of the logits of `share` of it.
    ///
    /// # Shapes
    /// `logits`: (rows, pitch), of which the first `vocabulary` of a row count; the results:
    /// (rows) and (rows, pitch), zero beyond the vocabulary.
    pub(in crate::nn) fn entropy(
        &self,
        logits: &Tensor,
        targets: &[u32],
        vocabulary: usize,
        share: f64,
    ) -> Result<(Tensor, Tensor)> {
        let (rows, pitch) = logits.dims2()?;
        self.of_eight(logits)?;
        let is_known = |id: &u32| usize::try_from(*id).is_ok_and(|id| id < vocabulary);
        if targets.len() != rows || vocabulary > pitch || !targets.iter().all(is_known) {
            candle_core::bail!("expected a target below {vocabulary} for each of {rows} rows");
        }
        let targets = Tensor::from_slice(targets, rows, logits.device())?;
        let grid = Grid::new((u32::try_from(rows).unwrap_or(u32::MAX), 1, 1), 256);
        let sizes = [int(vocabulary)?, int(pitch)?, float(share)];
        // SAFETY: sizes and targets were checked; a block a row writes its loss and its row.
        let [losses, of_logits] = unsafe {
            let outs = [(rows.into(), DType::F32), (logits.shape().clone(), self.dtype)];
            self.program.call(&self.entropy, grid, &[logits, &targets], outs, &sizes)?
        };
        Ok((losses, of_logits))
    }

    /// Floats a head.
    fn each(&self, heads: usize) -> Result<usize> {
        match self.width.checked_div(heads) {
            Some(each) if each * heads == self.width && each.is_multiple_of(8) => Ok(each),
            _ => candle_core::bail!("{heads} heads are no part of {}", self.width),
        }
    }

    fn rows(&self, x: &Tensor) -> Result<usize> {
        let (rows, width) = x.dims2()?;
        if width != self.width || x.dtype() != self.dtype {
            candle_core::bail!("expected rows of {}, got {:?}", self.width, x.shape());
        }
        Ok(rows)
    }

    fn of_eight(&self, x: &Tensor) -> Result<()> {
        let (_, width) = x.dims2()?;
        if !width.is_multiple_of(8) || x.dtype() != self.dtype {
            candle_core::bail!("expected rows of a multiple of 8, got {:?}", x.shape());
        }
        Ok(())
    }

    fn of_heads(&self, x: &Tensor, heads: usize) -> Result<()> {
        let (all, _, each) = x.dims3()?;
        if each * heads != self.width || !all.is_multiple_of(heads) || x.dtype() != self.dtype {
            candle_core::bail!("expected {heads} heads of {}, got {:?}", self.width, x.shape());
        }
        Ok(())
    }

    fn check_norm(&self, (scale, shift, _): &NormOf) -> Result<()> {
        of_f32(scale, self.width)?;
        of_f32(shift, self.width)
    }
}

fn same(x: &Tensor, y: &Tensor) -> Result<()> {
    if x.shape() != y.shape() || x.dtype() != y.dtype() {
        candle_core::bail!("{:?} and {:?} differ", x.shape(), y.shape());
    }
    Ok(())
}
