//! Entropy decoding of JPEG scans (ITU-T T.81, annex F), and the blocks' way into planes.
//!
//! Damage is treated as libjpeg treats it: once a segment is used up, its blocks stay zero up
//! to the next restart marker; only data that end with the file are an error.

use super::jpeg_huffman::{Bits, Code, Huffman};
use super::jpeg_idct::idct;
use super::jpeg_progressive;
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
    usize::from(NATURAL[k & 127] & 63)
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
    pub(super) plane: Vec<u8>,
    /// Kept where more than one scan may add to a block.
    pub(super) coefficients: Vec<[i16; 64]>,
    pub(super) quant: Option<[i16; 64]>,
}

impl Component {
    /// Turns one block into samples of the plane.
    #[inline(always)]
    fn put(&mut self, at: (usize, usize), block: &[i16; 64], quant: &[i16; 64], has_ac: bool) {
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

/// Tables and layout of a part, with all that may be missing at hand.
struct Lane<'a> {
    component: usize,
    dc: &'a Huffman,
    ac: &'a Huffman,
    quant: [i16; 64],
    h: usize,
    v: usize,
}

impl Scan<'_> {
    /// Units across and down: MCUs, or the blocks of a scan's only component.
    fn units(&self, components: &[Component]) -> (usize, usize) {
        match self.parts.as_slice() {
            [part] => {
                let component = &components[part.component];
                (component.blocks_x, component.blocks_y)
            }
            _ => self.mcus,
        }
    }

    fn shape(&self, component: &Component) -> (usize, usize) {
        if self.parts.len() == 1 { (1, 1) } else { (component.h, component.v) }
    }
}

/// Decodes one scan from the beginning of `bytes`; gives how many were used.
///
/// # Errors
/// A fault where a table is missing or the file ends.
#[inline(always)]
pub(super) fn run(
    scan: &Scan<'_>,
    components: &mut [Component],
    bytes: &[u8],
) -> Result<usize, Fault> {
    if scan.progressive {
        return several(scan, components, bytes);
    }
    let mut lanes = Vec::with_capacity(4);
    for part in &scan.parts {
        let component = &components[part.component];
        let (h, v) = scan.shape(component);
        let dc = part.dc.filter(|dc| dc.is_for_dc()).ok_or_else(missing)?;
        let ac = part.ac.ok_or_else(missing)?;
        let quant = component.quant.ok_or_else(no_quantisation)?;
        lanes.push(Lane { component: part.component, dc, ac, quant, h, v });
    }
    let mut bits = Bits::new(bytes);
    let mut state = State::default();
    let (across, down) = scan.units(components);
    let mut block = [0; 64];
    let mut due = scan.restart_every;
    for y in 0..down {
        for x in 0..across {
            if scan.restart_every > 0 {
                if due == 0 {
                    bits.restart()?;
                    state = State::default();
                    due = scan.restart_every;
                }
                due -= 1;
            }
            let skip = bits.is_empty;
            for (lane, last) in lanes.iter().zip(&mut state.dc) {
                let component = &mut components[lane.component];
                for down in 0..lane.v {
                    for along in 0..lane.h {
                        let has_ac = !skip && sequential(&mut bits, last, lane, &mut block);
                        let at = (x * lane.h + along, y * lane.v + down);
                        component.put(at, &block, &lane.quant, has_ac);
                        if has_ac {
                            block = [0; 64];
                        } else {
                            block[0] = 0;
                        }
                    }
                }
            }
            bits.check()?;
        }
    }
    Ok(bits.used())
}

/// Adds a progressive scan to the coefficients.
fn several(scan: &Scan<'_>, components: &mut [Component], bytes: &[u8]) -> Result<usize, Fault> {
    let mut bits = Bits::new(bytes);
    let mut state = State::default();
    let (across, down) = scan.units(components);
    let mut due = scan.restart_every;
    for unit in 0..across * down {
        if scan.restart_every > 0 {
            if due == 0 {
                bits.restart()?;
                state = State::default();
                due = scan.restart_every;
            }
            due -= 1;
        }
        if bits.is_empty {
            continue;
        }
        let (x, y) = (unit % across, unit / across);
        for (slot, part) in scan.parts.iter().enumerate() {
            let component = &mut components[part.component];
            let (h, v) = scan.shape(component);
            for inner in 0..h * v {
                let at = (y * v + inner / h) * component.stride + x * h + inner % h;
                let block = component
                    .coefficients
                    .get_mut(at)
                    .ok_or_else(|| Fault::corrupt("a block outside its component"))?;
                jpeg_progressive::block(scan, part, &mut bits, &mut state, slot, block)?;
            }
        }
        bits.check()?;
    }
    Ok(bits.used())
}

pub(super) fn missing() -> Fault {
    Fault::corrupt("a Huffman table is missing or broken")
}

fn no_quantisation() -> Fault {
    Fault::corrupt("a quantisation table is missing")
}

/// Reads a block of zeros; whether it has more than its DC coefficient.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "coefficients wrap as libjpeg's JCOEF")]
fn sequential(bits: &mut Bits<'_>, last: &mut i32, lane: &Lane<'_>, block: &mut [i16; 64]) -> bool {
    if let Code::Coefficient(_, value) = bits.code(lane.dc) {
        *last = last.wrapping_add(value);
    }
    block[0] = *last as i16;
    let mut has_ac = false;
    let mut k = 1;
    while k < 64 {
        match bits.code(lane.ac) {
            Code::Coefficient(run, value) => {
                k += run;
                block[natural(k)] = value as i16;
                has_ac = true;
                k += 1;
            }
            Code::Run(15) => k += 16,
            Code::Run(_) => break,
        }
    }
    has_ac
}
