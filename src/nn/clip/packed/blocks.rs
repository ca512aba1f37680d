//! Residual blocks over packed weights.

use candle_core::{DType, Device, Tensor};

use super::super::architecture::Transformer;
use super::super::names::{Affine, Reader, TowerNames};
use crate::base::{Error, Kind, Result};
use crate::nn::fault::candle;
use crate::nn::gradient::numbers;
use crate::nn::kernels::{
    Attention, Finish, Grid, Level, Linear, Norm, Number, Queries, Scratch, Segment, Share,
};
use crate::nn::weights::Weights;

/// How a tower's blocks compute.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    level: Level,
    of: Transformer,
    who: Queries,
    /// What attention computes in.
    mixing: Number,
}

/// A stack of blocks, of which the last computes the pooled rows only, and the norm and the
/// projection after it.
#[derive(Debug)]
pub(super) struct PackedBlocks {
    how: How,
    blocks: Vec<Block>,
    end: End,
}

/// A block whose rows all go on.
#[derive(Debug)]
pub(super) struct Block {
    qkv: Linear,
    rest: Rest,
}

/// The last block, of which only keys and values are needed of every row, and what follows it.
#[derive(Debug)]
pub(super) struct End {
    keys: Linear,
    queries: Linear,
    rest: Rest,
    post: Norm,
    projection: Linear,
}

#[derive(Debug)]
struct Rest {
    norms: [Norm; 2],
    out: Linear,
    mlp: [Linear; 2],
}

/// Buffers of one thread's rows, kept from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// The residual stream: who calls [`PackedBlocks::forward`] fills it.
    pub(super) x: Grid,
    /// Normed rows, and mixed values.
    pub(super) narrow: Grid,
    /// Queries, keys and values; the middle of an MLP.
    pub(super) wide: Grid,
    pooled: Grid,
    pooled_narrow: Grid,
    pooled_wide: Grid,
    /// The features.
    pub(super) features: Grid,
    pub(super) scratch: Scratch,
}

impl Workspace {
    /// The first `rows` features, `outputs` floats each.
    pub(super) fn features(&self, rows: usize, outputs: usize) -> Vec<f32> {
        (0..rows).flat_map(|row| self.features.row(row).iter().take(outputs).copied()).collect()
    }
}

/// What packs a tower's weights.
pub(super) struct Packer<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) names: &'a TowerNames,
    pub(super) number: Number,
}

pub(super) fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor
        .contiguous()
        .and_then(|t| t.flatten_all()?.to_vec1())
        .map_err(candle("cannot read a weight"))
}

impl<'a> Packer<'a> {
    /// Reads in f32, on the processor.
    pub(super) fn new(weights: &'a Weights, names: &'a TowerNames, number: Number) -> Self {
        let reader = Reader { weights, device: &Device::Cpu, dtype: DType::F32, added: DType::F32 };
        Self { reader, names, number }
    }

    pub(super) fn floats(&self, name: &str) -> Result<Vec<f32>> {
        floats(&self.reader.tensor(name)?)
    }

    pub(super) fn norm(&self, name: &str, epsilon: f64) -> Result<Norm> {
        affine_norm(&self.reader.norm(name)?, epsilon)
    }

    fn projection(&self) -> Result<Linear> {
        let weight = self.reader.projection(self.names)?;
        linear(self.number, &weight, None)
    }
}

pub(super) fn affine_norm((scale, shift): &Affine, epsilon: f64) -> Result<Norm> {
    Ok(Norm::new(floats(scale)?, floats(shift)?, epsilon))
}

/// `weight`: (inputs, outputs).
pub(super) fn linear(number: Number, weight: &Tensor, bias: Option<&Tensor>) -> Result<Linear> {
    let (inputs, outputs) = weight.dims2().map_err(candle("cannot read a weight"))?;
    let bias = bias.map(floats).transpose()?.unwrap_or_default();
    let weight = weight.contiguous().map_err(candle("cannot read a weight"))?;
    let weight = numbers(&weight).map_err(candle("cannot read a weight"))?;
    Ok(Linear::pack(number, &weight, inputs, outputs, &bias))
}

impl Rest {
    /// Each weight is read when the one before is packed, so that one alone stands in memory twice.
    fn pack(packer: &Packer<'_>, of: Transformer, layer: usize) -> Result<Self> {
        let Packer { reader, names, number } = packer;
        let pack = |(weight, bias): Affine| linear(*number, &weight, Some(&bias));
        let [first, second] = reader.norms(names, layer)?;
        Ok(Self {
            norms: [affine_norm(&first, of.epsilon)?, affine_norm(&second, of.epsilon)?],
            out: pack(reader.out(names, layer)?)?,
            mlp: [pack(reader.up(names, layer)?)?, pack(reader.down(names, layer)?)?],
        })
    }
}

impl How {
    pub(super) fn new(of: Transformer, causal: bool, number: Number) -> Self {
        Self {
            level: Level::best(),
            of,
            who: if causal { Queries::Causal } else { Queries::All },
            mixing: if number == Number::Bf16 { number } else { Number::F32 },
        }
    }

    /// The instructions it computes with.
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// What queries, keys and values are written in. A head begins with a whole group.
    fn mixed(&self) -> Number {
        if self.each().is_multiple_of(self.mixing.in_a_group()) { self.mixing } else { Number::F32 }
    }

    /// Columns of a head.
    fn each(&self) -> usize {
        self.of.width / self.of.heads.max(1)
    }
}

impl Block {
    pub(super) fn pack(packer: &Packer<'_>, of: Transformer, layer: usize) -> Result<Self> {
        let (weight, bias) = packer.reader.qkv(packer.names, layer)?;
        let qkv = linear(packer.number, &weight, Some(&bias))?;
        drop((weight, bias));
        Ok(Self { qkv, rest: Rest::pack(packer, of, layer)? })
    }

    /// The rows of `at.x`, one block further.
    pub(super) fn apply(&self, how: How, at: &mut Workspace, segments: &[Segment], share: Share) {
        let (level, width) = (how.level, how.of.width);
        let (narrow, wide) = (&mut at.narrow, &mut at.wide);
        self.rest.norms[0].apply(level, &at.x, (narrow, self.qkv.takes()), share);
        self.qkv.apply(level, narrow, &mut at.scratch, wide, Finish::Store(how.mixed()), share);
        let attention = Attention {
            queries: wide,
            keys: wide,
            keys_at: width,
            values_at: 2 * width,
            heads: how.of.heads,
            each: how.each(),
            who: how.who,
            number: how.mixing,
        };
        attention.apply(level, segments, narrow, share);
        self.rest.finish(level, how.of, &mut at.x, [narrow, wide], &mut at.scratch, share);
    }
}

impl End {
    pub(super) fn pack(packer: &Packer<'_>, of: Transformer) -> Result<Self> {
        let Some(layer) = of.layers.checked_sub(1) else {
            return Err(Error::new(Kind::BadInput, "a tower has no blocks"));
        };
        let rest = Rest::pack(packer, of, layer)?;
        let (weight, bias) = packer.reader.qkv(packer.names, layer)?;
        let part = |start, count| {
            let place = candle("cannot split a weight");
            let weight = weight.narrow(1, start, count).map_err(&place)?;
            let bias = bias.narrow(0, start, count).map_err(&place)?;
            linear(packer.number, &weight, Some(&bias))
        };
        Ok(Self {
            queries: part(0, of.width)?,
            keys: part(of.width, 2 * of.width)?,
            rest,
            post: packer.norm(&packer.names.post_norm, of.epsilon)?,
            projection: packer.projection()?,
        })
    }

    /// Floats of a feature.
    pub(super) fn outputs(&self) -> usize {
        self.projection.outputs()
    }

    /// Computes `at.features`, a row a segment. `pooled` are the rows whose state is the feature:
    /// of a causal tower the last of each segment.
    pub(super) fn apply(
        &self,
        how: How,
        at: &mut Workspace,
        (segments, pooled): (&[Segment], &[usize]),
        share: Share,
    ) {
        let (level, width) = (how.level, how.of.width);
        // In f32: rows of it are gathered.
        self.rest.norms[0].apply(level, &at.x, (&mut at.narrow, Number::F32), share);
        let store = Finish::Store(how.mixed());
        self.keys.apply(level, &at.narrow, &mut at.scratch, &mut at.wide, store, share);
        gather(&at.narrow, pooled, width, &mut at.pooled_narrow);
        gather(&at.x, pooled, width, &mut at.pooled);
        let [narrow, wide] = [&mut at.pooled_narrow, &mut at.pooled_wide];
        self.queries.apply(level, narrow, &mut at.scratch, wide, store, share);
        let attention = Attention {
            queries: wide,
            keys: &at.wide,
            keys_at: 0,
            values_at: width,
            heads: how.of.heads,
            each: how.each(),
            who: Queries::One,
            number: how.mixing,
        };
        attention.apply(level, segments, narrow, share);
        self.rest.finish(level, how.of, &mut at.pooled, [narrow, wide], &mut at.scratch, share);
        self.post.apply(level, &at.pooled, (narrow, self.projection.takes()), share);
        let (features, store) = (&mut at.features, Finish::Store(Number::F32));
        self.projection.apply(level, narrow, &mut at.scratch, features, store, share);
    }
}

impl PackedBlocks {
    pub(super) fn pack(packer: &Packer<'_>, of: Transformer, causal: bool) -> Result<Self> {
        Ok(Self {
            how: How::new(of, causal, packer.number),
            blocks: (0..of.layers.saturating_sub(1))
                .map(|layer| Block::pack(packer, of, layer))
                .collect::<Result<_>>()?,
            end: End::pack(packer, of)?,
        })
    }

    /// The instructions it computes with.
    pub(super) fn level(&self) -> Level {
        self.how.level
    }

    /// Floats of a feature.
    pub(super) fn outputs(&self) -> usize {
        self.end.outputs()
    }

    /// Computes `at.features`, a row a segment, from the rows of `at.x`; `pooled` as of
    /// [`End::apply`].
    pub(super) fn forward(
        &self,
        at: &mut Workspace,
        segments: &[Segment],
        pooled: &[usize],
        share: Share,
    ) {
        for block in &self.blocks {
            block.apply(self.how, at, segments, share);
        }
        self.end.apply(self.how, at, (segments, pooled), share);
    }
}

impl Rest {
    /// From mixed values in `narrow` to the end of the block.
    fn finish(
        &self,
        level: Level,
        of: Transformer,
        x: &mut Grid,
        [narrow, wide]: [&mut Grid; 2],
        scratch: &mut Scratch,
        share: Share,
    ) {
        let [up, down] = &self.mlp;
        self.out.apply(level, narrow, scratch, x, Finish::Add, share);
        self.norms[1].apply(level, x, (narrow, up.takes()), share);
        let activate = Finish::Activate(of.activation, down.takes());
        up.apply(level, narrow, scratch, wide, activate, share);
        down.apply(level, wide, scratch, x, Finish::Add, share);
    }
}

fn gather(from: &Grid, rows: &[usize], width: usize, to: &mut Grid) {
    to.shape(rows.len(), width);
    for (i, row) in rows.iter().enumerate() {
        let pairs = to.row_mut(i).iter_mut().zip(from.row(*row)).take(width);
        pairs.for_each(|(to, x)| *to = *x);
    }
}
