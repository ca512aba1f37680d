//! A CLIP's operators around its matrix products.

use candle_core::cuda_backend::cudarc::driver::CudaFunction;
use candle_core::{DType, Device, Result, Tensor};

use super::launch::{CHUNK, Grid, Number, Program, float, halves, int, long, of_f32, type_name};
use super::upload::Upload;
use crate::nn::clip::Activation;

const SOURCE: &str = concat!(include_str!("rows.cu"), include_str!("clip.cu"));

/// Widest row that fits a warp's registers.
const WIDEST: usize = 4096;
/// Largest head that attention has registers for.
const LARGEST_HEAD: usize = 128;
/// Queries that a block of attention has.
const QUERIES: usize = 64;

/// What the kernels of a tower are compiled for.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct ClipSizes {
    pub(in crate::nn) width: usize,
    pub(in crate::nn) heads: usize,
    pub(in crate::nn) hidden: usize,
    pub(in crate::nn) activation: Activation,
    pub(in crate::nn) causal: bool,
    pub(in crate::nn) epsilon: f64,
    pub(in crate::nn) dtype: DType,
}

impl ClipSizes {
    /// Floats of a head.
    fn each(&self) -> usize {
        self.width / self.heads.max(1)
    }

    fn fit(&self) -> bool {
        let of_eight = [self.width, self.hidden, self.each()].iter().all(|n| n.is_multiple_of(8));
        let whole = self.each() * self.heads == self.width;
        of_eight && whole && self.width <= WIDEST && self.each() <= LARGEST_HEAD
    }

    /// f32 is multiplied by tensor cores in too few digits, so its attention is put together.
    fn attends(&self) -> bool {
        self.dtype != DType::F32
    }

    fn macros(&self) -> Option<Vec<String>> {
        let number = type_name(self.dtype)?;
        let curve = match self.activation {
            Activation::QuickGelu => 0,
            Activation::Gelu => 1,
            Activation::GeluTanh => 2,
        };
        let mut all = vec![
            format!("TYPE={number}"),
            format!("CHUNKS={}", self.width.div_ceil(CHUNK)),
            format!("CURVE={curve}"),
        ];
        if self.attends() {
            all.push(format!("DIM={}", self.each().next_multiple_of(16)));
            all.push(format!("CAUSAL={}", self.causal));
        }
        Some(all)
    }
}

/// The kernels of a tower, compiled for its sizes. All tensors are contiguous, on the GPU, and of
/// the type of the sizes where not said otherwise; biases, norms and positions are f32.
#[derive(Debug)]
pub(in crate::nn) struct ClipKernels {
    of: ClipSizes,
    program: Program,
    patches: CudaFunction,
    embed: CudaFunction,
    look_up: CudaFunction,
    add_norm: CudaFunction,
    activate: CudaFunction,
    attend: Option<CudaFunction>,
    upload: Upload,
}

/// Scale and shift.
type Affine = (Tensor, Tensor);

impl ClipKernels {
    /// Compiles them. None where the GPU or the kernels do not have what the sizes need: candle's
    /// own operators do then.
    pub(in crate::nn) fn compile(of: ClipSizes, device: &Device) -> Result<Option<Self>> {
        let Some(macros) = of.macros().filter(|_| of.fit()) else { return Ok(None) };
        let Some(program) = Program::compile(SOURCE, &macros, device)? else { return Ok(None) };
        let attend = of.attends().then(|| program.function("attend")).transpose()?;
        Ok(Some(Self {
            of,
            patches: program.function("patches")?,
            embed: program.function("embed")?,
            look_up: program.function("look_up")?,
            add_norm: program.function("add_norm")?,
            activate: program.function("activate")?,
            attend,
            program,
            upload: Upload::default(),
        }))
    }

    /// Levels of images, brought to the GPU and cut into patches, each level the number that
    /// `numbers` (3, 256) has for it.
    ///
    /// # Shapes
    /// `levels`: (rows, side, side, 3); the result: (rows · grid², 3 · patch²).
    pub(in crate::nn) fn patches(
        &self,
        levels: &[u8],
        numbers: &Tensor,
        (rows, side, patch): (usize, usize, usize),
    ) -> Result<Tensor> {
        let grid = side.checked_div(patch).unwrap_or(0);
        if levels.len() != rows * side * side * 3 {
            candle_core::bail!("expected {rows} images of {side} pixels, got {}", levels.len());
        }
        of_f32(numbers, 3 * 256)?;
        let levels = self.upload.bring(levels, self.program.device())?;
        let shape = (rows * grid * grid, 3 * patch * patch);
        let sizes = [int(rows)?, int(side)?, int(patch)?, int(grid)?];
        let blocks = Grid::turns(rows * (grid * patch).pow(2));
        // SAFETY: the levels and the table have the sizes that were checked; a thread a pixel
        // writes its three numbers, and all pixels of the patches are gone through.
        let [out] = unsafe {
            let inputs = [&levels, numbers];
            let out = [(shape.into(), self.of.dtype)];
            self.program.call(&self.patches, blocks, &inputs, out, &sizes)?
        };
        Ok(out)
    }

    /// Class token and patches with their positions under the norm before the first block, and
    /// that under the first norm of the first block.
    ///
    /// # Shapes
    /// `patches`: (rows · (tokens - 1), width); `class`: (width), f32; `position`:
    /// (tokens, width), f32; the results: (rows · tokens, width).
    pub(in crate::nn) fn embed(
        &self,
        patches: &Tensor,
        class: &Tensor,
        position: &Tensor,
        (norm, first): (&Affine, &Affine),
    ) -> Result<(Tensor, Tensor)> {
        let (tokens, width) = (position.dim(0)?, self.of.width);
        let rows = patches.dim(0)?.checked_div(tokens.saturating_sub(1)).unwrap_or(0);
        self.check(patches, rows * tokens.saturating_sub(1))?;
        int(rows * tokens)?;
        for of_width in [class, &norm.0, &norm.1, &first.0, &first.1] {
            of_f32(of_width, width)?;
        }
        of_f32(position, tokens * width)?;
        let sizes = [int(rows)?, int(tokens)?, int(width)?, self.epsilon()];
        let inputs = [patches, class, position, &norm.0, &norm.1, &first.0, &first.1];
        // SAFETY: sizes were checked; a warp a token writes its row of both results.
        let [both] = unsafe {
            let out = [((2, rows * tokens, width).into(), self.of.dtype)];
            self.program.call(&self.embed, Grid::warps(rows * tokens), &inputs, out, &sizes)?
        };
        halves(&both)
    }

    /// Tokens with their positions, and those under the first norm of the first block.
    ///
    /// # Shapes
    /// `ids`: (rows · tokens), all below `table`'s length; `table`: (vocabulary, width);
    /// `position`: at least (tokens, width), f32; the results: (rows · tokens, width).
    pub(in crate::nn) fn look_up(
        &self,
        ids: &[u32],
        tokens: usize,
        (table, position): (&Tensor, &Tensor),
        first: &Affine,
    ) -> Result<(Tensor, Tensor)> {
        let (vocabulary, width) = table.dims2()?;
        self.check(table, vocabulary)?;
        of_f32(&position.narrow(0, 0, tokens)?, tokens * width)?;
        of_f32(&first.0, width)?;
        of_f32(&first.1, width)?;
        if let Some(id) = ids.iter().find(|id| usize::try_from(**id).is_ok_and(|n| n >= vocabulary))
        {
            candle_core::bail!("token {id} is not among the {vocabulary} of the table");
        }
        let rows = ids.len().checked_div(tokens).unwrap_or(0);
        int(ids.len())?;
        if rows * tokens != ids.len() {
            candle_core::bail!("{} tokens are no texts of {tokens}", ids.len());
        }
        let ids = Tensor::from_slice(ids, ids.len(), table.device())?;
        let sizes = [int(rows)?, int(tokens)?, int(width)?, self.epsilon()];
        let inputs = [&ids, table, position, &first.0, &first.1];
        // SAFETY: sizes and ids were checked; a warp a token writes its row of both results.
        let [both] = unsafe {
            let out = [((2, rows * tokens, width).into(), self.of.dtype)];
            self.program.call(&self.look_up, Grid::warps(rows * tokens), &inputs, out, &sizes)?
        };
        halves(&both)
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
        norm: &Affine,
    ) -> Result<(Tensor, Tensor)> {
        let (rows, width) = x.dims2()?;
        self.check(x, rows)?;
        self.check(y, rows)?;
        for of_width in [bias, &norm.0, &norm.1] {
            of_f32(of_width, width)?;
        }
        let sizes = [int(rows)?, int(width)?, self.epsilon()];
        // SAFETY: sizes were checked; a warp a row writes its row of both results.
        let [both] = unsafe {
            let out = [((2, rows, width).into(), self.of.dtype)];
            let inputs = [x, y, bias, &norm.0, &norm.1];
            self.program.call(&self.add_norm, Grid::warps(rows), &inputs, out, &sizes)?
        };
        halves(&both)
    }

    /// The non-linearity of `x + bias`.
    ///
    /// # Shapes
    /// `x`: (rows, hidden), and so is the result.
    pub(in crate::nn) fn activate(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (rows, hidden) = x.dims2()?;
        if hidden != self.of.hidden || x.dtype() != self.of.dtype {
            candle_core::bail!("expected rows of {}, got {:?}", self.of.hidden, x.shape());
        }
        of_f32(bias, hidden)?;
        let count = rows * hidden;
        let sizes = [long(count), int(hidden)?];
        // SAFETY: sizes were checked; a thread writes each eight numbers that it read.
        let [out] = unsafe {
            let out = [(x.shape().clone(), self.of.dtype)];
            self.program.call(&self.activate, Grid::turns(count / 8), &[x, bias], out, &sizes)?
        };
        Ok(out)
    }

    /// Attention over queries, keys and values that still lack their bias; None in f32.
    ///
    /// # Shapes
    /// `qkv`: (rows · tokens, 3 · width); the result: (rows · tokens, width).
    pub(in crate::nn) fn attend(
        &self,
        qkv: &Tensor,
        bias: &Tensor,
        tokens: usize,
    ) -> Result<Option<Tensor>> {
        let Some(function) = &self.attend else { return Ok(None) };
        let (all, three) = qkv.dims2()?;
        let (rows, width, each) =
            (all.checked_div(tokens).unwrap_or(0), self.of.width, self.of.each());
        if three != 3 * width || rows * tokens != all || qkv.dtype() != self.of.dtype {
            candle_core::bail!("expected texts of {tokens} tokens, got {:?}", qkv.shape());
        }
        of_f32(bias, three)?;
        #[expect(clippy::cast_precision_loss, reason = "a head has few floats")]
        let scale = std::f32::consts::LOG2_E / (each as f32).sqrt();
        let sizes = [int(tokens)?, int(self.of.heads)?, int(each)?, Number::Float(scale)];
        let mut parts = Vec::new();
        // A grid has at most 65,535 blocks in its third dimension.
        for first in (0..rows).step_by(usize::from(u16::MAX)) {
            let rows = (rows - first).min(usize::from(u16::MAX));
            let blocks = (whole(tokens.div_ceil(QUERIES))?, whole(self.of.heads)?, whole(rows)?);
            let qkv = qkv.narrow(0, first * tokens, rows * tokens)?;
            // SAFETY: sizes were checked; a block writes the rows of its queries of its head.
            let [part] = unsafe {
                let out = [((rows * tokens, width).into(), self.of.dtype)];
                self.program.call(function, Grid::new(blocks, 128), &[&qkv, bias], out, &sizes)?
            };
            parts.push(part);
        }
        match parts.as_slice() {
            [one] => Ok(Some(one.clone())),
            parts => Tensor::cat(parts, 0).map(Some),
        }
    }

    fn epsilon(&self) -> Number {
        float(self.of.epsilon)
    }

    fn check(&self, x: &Tensor, rows: usize) -> Result<()> {
        if x.dims() != [rows, self.of.width] || x.dtype() != self.of.dtype {
            candle_core::bail!("expected {rows} rows of {}, got {:?}", self.of.width, x.shape());
        }
        Ok(())
    }
}

fn whole(size: usize) -> Result<u32> {
    match u32::try_from(size) {
        Ok(size) => Ok(size),
        Err(_) => candle_core::bail!("{size} is more than a grid has blocks"),
    }
}
