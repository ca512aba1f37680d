//! Blocks' passes over plain numbers, for f32 on the processor.
//!
//! Candle's backward pass adds the gradient of every node to zeros of its own, and its element-wise
//! operators wait for each other by spinning. So all blocks are one node of its graph: what is
//! between them is here.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{Result, Shape, Tensor};

use super::block::Block;
use crate::nn::gradient::{Weight, node, numbers};
use crate::nn::layers::{Dropout, Factors, Linear, Mixing, Seen, attend, curve_back, curve_run};

/// Where among all tokens those lie whose states are asked for. No other token's state is needed behind
/// the attention of the last block.
#[derive(Debug, Clone)]
pub(in crate::nn) struct Places {
    at: Vec<usize>,
    tokens: usize,
    width: usize,
}

impl Places {
    /// Of so many rows, tokens and numbers.
    pub(in crate::nn) fn new(at: &[u32], [rows, tokens, width]: [usize; 3]) -> Result<Self> {
        let tokens = rows * tokens;
        let place = |at: &u32| usize::try_from(*at).ok().filter(|at| *at < tokens);
        match at.iter().map(place).collect() {
            Some(at) => Ok(Self { at, tokens, width }),
            None => candle_core::bail!("tokens {at:?} are asked for, and there are {tokens}"),
        }
    }

    /// Their numbers, of all tokens'.
    fn gather(&self, all: &[f32]) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.at.len() * self.width);
        for at in &self.at {
            out.extend_from_slice(
                all.get(at * self.width..(at + 1) * self.width).unwrap_or_default(),
            );
        }
        out
    }

    /// All tokens' numbers, of theirs; zeros for others.
    fn scatter(&self, theirs: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.tokens * self.width];
        for (at, numbers) in self.at.iter().zip(theirs.chunks_exact(self.width.max(1))) {
            if let Some(to) = out.get_mut(at * self.width..(at + 1) * self.width) {
                to.iter_mut().zip(numbers).for_each(|(to, x)| *to += x);
            }
        }
        out
    }
}

/// What the backward pass of a block needs. What only gradients of weights need is empty where the
/// weights do not train.
#[derive(Debug)]
struct Kept {
    before: Vec<f32>,
    normed_1: Vec<f32>,
    qkv: Vec<f32>,
    mixing: Mixing,
    /// Of those whose states are asked for, as all below.
    mixed: Vec<f32>,
    places: Option<Places>,
    dropped_1: Option<Vec<f32>>,
    middle: Vec<f32>,
    normed_2: Vec<f32>,
    up: Vec<f32>,
    hidden: Vec<f32>,
    dropped_2: Option<Vec<f32>>,
}

/// Gradients within a block, in room that serves all blocks.
#[derive(Debug, Default)]
struct Scratch {
    narrow: Vec<f32>,
    dropped: Vec<f32>,
    qkv: Vec<f32>,
    wide: Vec<f32>,
}

impl Block {
    /// Whether it can be computed here.
    fn is_plain(&self) -> bool {
        let linear = [&self.out, &self.up, &self.down];
        linear.into_iter().chain(self.qkv.linear()).all(Linear::is_native)
            && self.norm_1.is_native()
            && self.norm_2.is_native()
    }

    /// As [`Block::forward`]; with what the backward pass needs if it `keeps` it.
    ///
    /// # Shapes
    /// `x`: `sizes`, which are rows, tokens and width; the result likewise or, with places, a row of
    /// numbers for each.
    fn run(
        &self,
        x: Vec<f32>,
        (sizes, places): ([usize; 3], Option<&Places>),
        seen: &Seen,
        mut dropout: Option<&mut Dropout>,
        (keeps, how): (bool, Factors),
    ) -> Result<(Vec<f32>, Option<Kept>)> {
        let mut normed_1 = vec![0.0; x.len()];
        self.norm_1.run(&x, &mut normed_1)?;
        let mut qkv = vec![0.0; 3 * x.len()];
        self.qkv.run(&normed_1, &mut qkv, how)?;
        let mut mixed = vec![0.0; x.len()];
        let dropped = dropout.as_deref_mut();
        let mixing = attend(&qkv, sizes, self.heads, seen, dropped, &mut mixed);
        let mut onto = Cow::Borrowed(&*x);
        if let Some(places) = places {
            (onto, mixed) = (Cow::Owned(places.gather(&x)), places.gather(&mixed));
        }
        let dropped = dropout.as_deref_mut();
        let (middle, dropped_1) = added((&self.out, how), &onto, &mixed, (dropped, places))?;
        drop(onto);
        let mut normed_2 = vec![0.0; middle.len()];
        self.norm_2.run(&middle, &mut normed_2)?;
        let mut up = vec![0.0; self.inner(middle.len(), sizes)];
        self.up.run(&normed_2, &mut up, false, how)?;
        let mut hidden = vec![0.0; up.len()];
        curve_run(self.curve, &up, &mut hidden);
        let (out, dropped_2) = added((&self.down, how), &middle, &hidden, (dropout, places))?;
        if !keeps {
            return Ok((out, None));
        }
        if !self.qkv.trains() {
            for numbers in [&mut normed_1, &mut mixed, &mut normed_2, &mut hidden] {
                *numbers = Vec::new();
            }
        }
        let kept = Kept {
            before: x,
            normed_1,
            qkv,
            mixing,
            mixed,
            places: places.cloned(),
            dropped_1,
            middle,
            normed_2,
            up,
            hidden,
            dropped_2,
        };
        Ok((out, Some(kept)))
    }

    /// Makes the gradient of the block's value that of its argument, and adds to those of weights.
    fn run_back(
        &self,
        kept: &Kept,
        gradient: &mut Vec<f32>,
        scratch: &mut Scratch,
        how: Factors,
    ) -> Result<()> {
        let Scratch { narrow, dropped, qkv, wide } = scratch;
        narrow.resize(gradient.len(), 0.0);
        qkv.resize(kept.qkv.len(), 0.0);
        wide.resize(kept.up.len(), 0.0);
        let of_out = after(kept.dropped_2.as_deref(), gradient, dropped);
        self.down.run_back(&kept.hidden, of_out, Some(wide), how)?;
        curve_back(self.curve, &kept.up, wide);
        self.up.run_back(&kept.normed_2, wide, Some(narrow), how)?;
        self.norm_2.run_back(&kept.middle, narrow, gradient)?;
        let of_out = after(kept.dropped_1.as_deref(), gradient, dropped);
        self.out.run_back(&kept.mixed, of_out, Some(narrow), how)?;
        if let Some(places) = &kept.places {
            *gradient = places.scatter(gradient);
            *narrow = places.scatter(narrow);
        }
        kept.mixing.back(&kept.qkv, narrow, qkv);
        self.qkv.run_back(&kept.normed_1, qkv, narrow, how)?;
        self.norm_1.run_back(&kept.before, narrow, gradient)
    }

    /// Numbers of the wide layer for so many of the narrow ones.
    pub(in crate::nn) fn inner(&self, numbers: usize, [_, _, width]: [usize; 3]) -> usize {
        numbers.checked_div(width).unwrap_or(0) * self.up.outputs()
    }
}

/// Whether all blocks can be computed here.
pub(in crate::nn) fn is_plain(blocks: &[Block]) -> bool {
    blocks.iter().all(Block::is_plain)
}

/// All blocks as one node, of f32 on the processor; the last goes on from its attention with `places`
/// alone. `weights` are those of the blocks; none need be given where `x` is in a graph anyway. Nothing is
/// kept where neither is to have gradients.
///
/// # Shapes
/// `x`: (rows, tokens, width); the result likewise or, with places, a row of numbers for each.
pub(in crate::nn) fn run_plain(
    (name, blocks): (&'static str, &Arc<Vec<Block>>),
    x: &Tensor,
    seen: &Seen,
    places: Option<&Places>,
    mut dropout: Option<&mut Dropout>,
    (weights, how): (&[&Weight], Factors),
) -> Result<Tensor> {
    let sizes: [usize; 3] = x.dims3()?.into();
    if weights.is_empty() && !x.track_op() && blocks.iter().any(|block| block.qkv.trains()) {
        candle_core::bail!("{name} train, and what goes into them is in no graph");
    }
    let x = x.contiguous()?;
    let mut numbers = self::numbers(&x)?.to_vec();
    let keeps = x.track_op() || weights.iter().any(|weight| weight.trains());
    let mut kept = Vec::with_capacity(if keeps { blocks.len() } else { 0 });
    for (layer, block) in blocks.iter().enumerate() {
        let places = places.filter(|_| layer + 1 == blocks.len());
        let (out, of_block) =
            block.run(numbers, (sizes, places), seen, dropout.as_deref_mut(), (keeps, how))?;
        numbers = out;
        kept.extend(of_block);
    }
    let shape = match places {
        Some(places) => Shape::from((places.at.len(), sizes[2])),
        None => x.shape().clone(),
    };
    let blocks = Arc::clone(blocks);
    node(name, &x, weights, numbers, shape, move |of_out, wants| {
        let mut gradient = of_out.to_vec();
        let mut scratch = Scratch::default();
        for block in blocks.iter().rev() {
            let Some(kept) = kept.pop() else { break };
            block.run_back(&kept, &mut gradient, &mut scratch, how)?;
        }
        Ok(wants.then_some(gradient))
    })
}

/// `x` and what `linear` makes of `input`, after dropout; and its factors. They are drawn for all
/// tokens, whichever are asked for.
fn added(
    (linear, how): (&Linear, Factors),
    x: &[f32],
    input: &[f32],
    (dropout, places): (Option<&mut Dropout>, Option<&Places>),
) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
    let Some(dropout) = dropout.filter(|dropout| !dropout.is_idle()) else {
        let mut out = x.to_vec();
        linear.run(input, &mut out, true, how)?;
        return Ok((out, None));
    };
    let mut out = vec![0.0; x.len()];
    linear.run(input, &mut out, false, how)?;
    let factors = match places {
        None => dropout.factors(out.len()),
        Some(places) => places.gather(&dropout.factors(places.tokens * places.width)),
    };
    for ((out, x), factor) in out.iter_mut().zip(x).zip(&factors) {
        *out = x + *out * factor;
    }
    Ok((out, Some(factors)))
}

/// The gradient of what dropout was applied to.
fn after<'a>(factors: Option<&[f32]>, of_out: &'a [f32], room: &'a mut Vec<f32>) -> &'a [f32] {
    let Some(factors) = factors else { return of_out };
    room.clear();
    room.extend(of_out.iter().zip(factors).map(|(g, factor)| g * factor));
    room
}
