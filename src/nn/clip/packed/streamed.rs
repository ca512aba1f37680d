//! Towers on the processor in little memory: a block at a time.

use super::super::architecture::{Architecture, TextTower, Transformer, VisionTower};
use super::super::images::Images;
use super::super::names::Names;
use super::blocks::{Block, End, How, Packer, Workspace};
use super::vision::Begin;
use super::{text, vision};
use crate::base::{Error, Kind, Result};
use crate::nn::kernels::{Grid, Number, ReturnsRoom, Segment, Share};
use crate::nn::weights::Weights;

/// Rows that go through a block at once: more would only need more memory.
const ROWS: usize = 1024;

/// An image tower in f32 whose weights stay in their file: each block is packed when a batch has
/// come to it, and dropped when the batch has passed. For few images beside another model: a
/// batch costs a reading of all weights.
#[derive(Debug)]
pub struct StreamedVision {
    weights: Weights,
    names: Names,
    of: VisionTower,
    _room: ReturnsRoom,
}

/// As [`StreamedVision`], for texts. Of the token table only what the texts name is read.
#[derive(Debug)]
pub struct StreamedText {
    weights: Weights,
    names: Names,
    of: TextTower,
    _room: ReturnsRoom,
}

impl StreamedVision {
    pub(in crate::nn) fn new(weights: Weights, names: Names, of: &Architecture) -> Self {
        Self { weights, names, of: of.vision, _room: ReturnsRoom::new() }
    }

    /// The features that [`PackedVision`](super::PackedVision) gives in f32, to the bit.
    ///
    /// # Shapes
    /// As there.
    ///
    /// # Errors
    /// When a tensor cannot be read.
    pub fn forward(&self, images: Images<'_>) -> Result<Vec<f32>> {
        let of = &self.of;
        let packer = Packer::new(&self.weights, &self.names.vision, Number::F32);
        let mut stream = Stream::new(&packer, of.transformer, false);
        let each = 3 * of.size_px * of.size_px;
        let at_once = (ROWS / (of.grid() * of.grid() + 1)).max(1);
        let begin = Begin::pack(&packer, *of)?;
        let all = images.len() / each;
        for first in (0..all).step_by(at_once) {
            let count = at_once.min(all - first);
            let images = images.part(first..first + count, each);
            begin.apply(stream.how.level(), (images, count), &mut stream.at, Share::All);
            stream.add(vision::segments(of, count));
        }
        drop(begin);
        stream.features()
    }
}

impl StreamedText {
    pub(in crate::nn) fn new(weights: Weights, names: Names, of: &Architecture) -> Self {
        Self { weights, names, of: of.text, _room: ReturnsRoom::new() }
    }

    /// The features that [`PackedText`](super::PackedText) gives in f32, to the bit.
    ///
    /// # Shapes
    /// As there.
    ///
    /// # Errors
    /// As there, and when a tensor cannot be read.
    pub fn forward(&self, texts: &[Vec<u32>]) -> Result<Vec<f32>> {
        let of = &self.of;
        let packer = Packer::new(&self.weights, &self.names.text, Number::F32);
        let mut stream = Stream::new(&packer, of.transformer, true);
        let texts = text::cut(of, texts)?;
        let positions = packer.floats(&packer.names.position)?;
        let table = self.weights.get(&packer.names.input);
        let width = of.transformer.width.max(1);
        let longest = texts.iter().map(|ids| ids.len()).max().unwrap_or(1);
        for texts in texts.chunks((ROWS / longest).max(1)) {
            stream.at.x.shape(texts.iter().map(|ids| ids.len()).sum(), width);
            let tokens = texts.iter().flat_map(|ids| ids.iter().zip(positions.chunks(width)));
            for (row, (id, position)) in tokens.enumerate() {
                let token = usize::try_from(*id).ok().and_then(|id| table?.at(id));
                let token = token.ok_or_else(|| {
                    Error::new(Kind::Internal, format!("token {id} is not in the table of tokens"))
                })?;
                text::sum(stream.at.x.row_mut(row), &token.to_f32()?, position);
            }
            stream.add(text::segments(texts));
        }
        stream.features()
    }
}

/// Rows on their way through the blocks.
struct Stream<'a> {
    packer: &'a Packer<'a>,
    of: Transformer,
    how: How,
    at: Workspace,
    groups: Vec<Group>,
}

/// Rows that go through a block at once.
struct Group {
    x: Grid,
    segments: Vec<Segment>,
    pooled: Vec<usize>,
}

impl<'a> Stream<'a> {
    fn new(packer: &'a Packer<'a>, of: Transformer, causal: bool) -> Self {
        let how = How::new(of, causal, Number::F32);
        Self { packer, of, how, at: Workspace::default(), groups: Vec::new() }
    }

    /// Takes the rows that stand in `at.x`.
    fn add(&mut self, (segments, pooled): (Vec<Segment>, Vec<usize>)) {
        self.groups.push(Group { x: std::mem::take(&mut self.at.x), segments, pooled });
    }

    /// Brings all rows through all blocks; a feature for each segment.
    fn features(self) -> Result<Vec<f32>> {
        let Self { packer, of, how, mut at, mut groups } = self;
        for layer in 0..of.layers.saturating_sub(1) {
            let block = Block::pack(packer, of, layer)?;
            for group in &mut groups {
                std::mem::swap(&mut at.x, &mut group.x);
                block.apply(how, &mut at, &group.segments, Share::All);
                std::mem::swap(&mut at.x, &mut group.x);
            }
        }
        let end = End::pack(packer, of)?;
        let mut features = Vec::new();
        for Group { x, segments, pooled } in groups {
            at.x = x;
            end.apply(how, &mut at, (&segments, &pooled), Share::All);
            features.extend(at.features(segments.len(), end.outputs()));
        }
        Ok(features)
    }
}
