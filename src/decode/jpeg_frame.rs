//! Components, tables and scans of a JPEG frame.

use std::ops::Range;

use super::jpeg_huffman::Huffman;
use super::jpeg_idct::idct;
use super::limits::Fault;

/// Zigzag to natural order; positions beyond the block are its last, as in libjpeg.
const NATURAL: [u8; 128] = {
    let first: [u8; 64] = [
        0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27,
        20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
        58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    ];
    let mut all = [63; 128];
    let mut k = 0;
    while k < 64 {
        all[k] = first[k];
        k += 1;
    }
    all
};

/// Position in the block of the k-th coefficient of the zigzag.
#[inline(always)]
pub(super) fn natural(k: usize) -> usize {
    usize::from(place(k) & 63)
}

/// As [`natural`], as a byte.
#[inline(always)]
pub(super) fn place(k: usize) -> u8 {
    NATURAL[k & 127]
}

/// One component of the frame.
pub(super) struct Component {
    pub(super) id: u8,
    pub(super) h: usize,
    pub(super) v: usize,
    pub(super) table: usize,
    /// Blocks that hold pixels.
    pub(super) blocks_x: usize,
    pub(super) blocks_y: usize,
    /// Blocks a row of the plane, whole MCUs.
    pub(super) stride: usize,
    /// Blocks across and down whose samples are asked for.
    pub(super) wanted: (Range<usize>, Range<usize>),
    pub(super) plane: Vec<u8>,
    /// Kept where more than one scan may add to a block.
    pub(super) coefficients: Vec<[i16; 64]>,
    pub(super) quant: Option<[i16; 64]>,
}

impl Component {
    /// Turns one block into samples of the plane, if they are asked for.
    #[inline(always)]
    pub(super) fn put(
        &mut self,
        at: (usize, usize),
        block: &[i16; 64],
        quant: &[i16; 64],
        has_ac: bool,
    ) {
        if !self.wanted.0.contains(&at.0) || !self.wanted.1.contains(&at.1) {
            return;
        }
        let width = self.stride * 8;
        let start = at.1 * 8 * width + at.0 * 8;
        let lines = self.plane.get_mut(start..).unwrap_or_default().chunks_mut(width);
        for (line, samples) in lines.zip(idct(block, quant, has_ac)) {
            if let Some(out) = line.first_chunk_mut() {
                *out = samples;
            }
        }
    }

    /// Samples of all kept coefficients.
    ///
    /// # Errors
    /// A fault without a quantisation table.
    #[inline(always)]
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        let quant = self.quant.ok_or_else(no_quantisation)?;
        let coefficients = std::mem::take(&mut self.coefficients);
        for (at, block) in coefficients.iter().enumerate() {
            let has_ac = block.iter().skip(1).any(|c| *c != 0);
            self.put((at % self.stride, at / self.stride), block, &quant, has_ac);
        }
        Ok(())
    }
}

/// A component's share of a scan.
pub(super) struct Part<'a> {
    pub(super) component: usize,
    pub(super) dc: Option<&'a Huffman>,
    pub(super) ac: Option<&'a Huffman>,
}

/// A start-of-scan segment, its tables looked up.
pub(super) struct Scan<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) high: u32,
    pub(super) low: u32,
    pub(super) progressive: bool,
    pub(super) restart_every: usize,
    pub(super) mcus: (usize, usize),
}

/// What a scan remembers between blocks.
#[derive(Default)]
pub(super) struct State {
    /// Last DC value of each part.
    pub(super) dc: [i32; 4],
    /// Blocks that an end-of-band run still covers.
    pub(super) band_ends: u32,
}

impl Scan<'_> {
    /// Units across and down: MCUs, or the blocks of a scan's only component.
    pub(super) fn units(&self, components: &[Component]) -> (usize, usize) {
        match self.parts.as_slice() {
            [part] => {
                let component = &components[part.component];
                (component.blocks_x, component.blocks_y)
            }
            _ => self.mcus,
        }
    }

    pub(super) fn shape(&self, component: &Component) -> (usize, usize) {
        if self.parts.len() == 1 { (1, 1) } else { (component.h, component.v) }
    }
}

pub(super) fn missing() -> Fault {
    Fault::corrupt("a Huffman table is missing or broken")
}

pub(super) fn no_quantisation() -> Fault {
    Fault::corrupt("a quantisation table is missing")
}
