//! Entropy decoding of JPEG scans, sequential and progressive Huffman (ITU-T T.81, F.2, G.2).
//!
//! Damage is treated as libjpeg treats it: a bad code is a zero, and data that end at a marker
//! go on as zeros; only data that end with the file are an error.

use super::jpeg_samples::idct;
use super::limits::Fault;

/// Natural position of the k-th coefficient of the zigzag.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

pub(super) fn natural(k: usize) -> usize {
    usize::from(ZIGZAG[k & 63])
}

/// A Huffman table: code and length of each symbol, through a table of 16 bits.
#[derive(Clone)]
pub(super) struct Huffman(Vec<(u8, u8)>);

impl Huffman {
    /// None when the counts make no code.
    pub(super) fn new(counts: &[u8], symbols: &[u8]) -> Option<Self> {
        let mut lookup = vec![(0, 0); 1 << 16];
        let (mut code, mut at) = (0_usize, 0);
        for (length, count) in (1_u8..=16).zip(counts) {
            for _ in 0..*count {
                let symbol = *symbols.get(at)?;
                let first = code << (16 - length);
                lookup.get_mut(first..first + (1 << (16 - length)))?.fill((length, symbol));
                code += 1;
                at += 1;
            }
            code <<= 1;
        }
        Some(Self(lookup))
    }
}

/// Bits of one scan.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
    /// Bits that were made up: after a marker, and after the end.
    at_marker: bool,
    padded: u32,
    ended: bool,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 48 {
            let mut byte = 0;
            if !self.at_marker {
                match (self.bytes.get(self.at), self.bytes.get(self.at + 1)) {
                    (Some(0xff), Some(0)) => {
                        byte = 0xff;
                        self.at += 2;
                    }
                    (Some(0xff), Some(0xff)) => {
                        self.at += 1;
                        continue;
                    }
                    (Some(0xff), Some(_)) => self.at_marker = true,
                    (Some(0xff), None) | (None, _) => {
                        self.at_marker = true;
                        self.ended = true;
                    }
                    (Some(plain), _) => {
                        byte = *plain;
                        self.at += 1;
                    }
                }
            }
            if self.at_marker {
                self.padded += 8;
            }
            self.held = (self.held << 8) | u64::from(byte);
            self.count += 8;
        }
    }

    fn take(&mut self, n: u32) -> i32 {
        if n == 0 {
            return 0;
        }
        if self.count < n {
            self.fill();
        }
        self.count -= n;
        i32::try_from((self.held >> self.count) & ((1 << n) - 1)).unwrap_or_default()
    }

    fn symbol(&mut self, table: &Huffman) -> u8 {
        if self.count < 16 {
            self.fill();
        }
        let index = usize::try_from((self.held >> (self.count - 16)) & 0xffff).unwrap_or_default();
        let (length, symbol) = table.0[index];
        self.count -= if length == 0 { 16 } else { u32::from(length) };
        symbol
    }

    /// F.12: the value that `n` bits stand for.
    fn extend(&mut self, n: u32) -> i32 {
        let value = self.take(n);
        if n > 0 && value < 1 << (n - 1) { value - (1 << n) + 1 } else { value }
    }

    /// Whether bits beyond the file's end were used.
    fn is_past_end(&self) -> bool {
        self.ended && self.padded > self.count
    }

    fn restart(&mut self) {
        (self.held, self.count, self.padded, self.at_marker) = (0, 0, 0, false);
        let mut at = self.at;
        while let (Some(first), Some(second)) = (self.bytes.get(at), self.bytes.get(at + 1)) {
            if *first == 0xff && (0xd0..=0xd7).contains(second) {
                self.at = at + 2;
                return;
            }
            if *first == 0xff && !matches!(*second, 0 | 0xff) {
                break;
            }
            at += 1;
        }
        self.at = at;
    }
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
    /// Kept only by progressive frames.
    pub(super) coefficients: Vec<i16>,
    pub(super) quant: Option<[u16; 64]>,
}

/// A start-of-scan segment, its tables looked up.
pub(super) struct Scan {
    /// Component, DC table, AC table.
    pub(super) parts: Vec<(usize, Option<Huffman>, Option<Huffman>)>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) high: u32,
    pub(super) low: u32,
    pub(super) progressive: bool,
    pub(super) restart_every: usize,
    pub(super) mcus: (usize, usize),
}

struct State {
    dc: [i32; 4],
    band_ends: u32,
}

/// Decodes one scan from the beginning of `bytes`; gives how many were used.
pub(super) fn run(scan: &Scan, components: &mut [Component], bytes: &[u8]) -> Result<usize, Fault> {
    let mut bits =
        Bits { bytes, at: 0, held: 0, count: 0, at_marker: false, padded: 0, ended: false };
    let mut state = State { dc: [0; 4], band_ends: 0 };
    let single = scan.parts.len() == 1;
    let (across, down) = match (single, scan.parts.first()) {
        (true, Some((part, ..))) => (components[*part].blocks_x, components[*part].blocks_y),
        _ => scan.mcus,
    };
    for mcu in 0..across * down {
        if scan.restart_every > 0 && mcu > 0 && mcu % scan.restart_every == 0 {
            bits.restart();
            state = State { dc: [0; 4], band_ends: 0 };
        }
        let (x, y) = (mcu % across, mcu / across);
        for (slot, (part, dc, ac)) in scan.parts.iter().enumerate() {
            let component = &mut components[*part];
            let (h, v) = if single { (1, 1) } else { (component.h, component.v) };
            for block in 0..h * v {
                let at = (y * v + block / h) * component.stride + x * h + block % h;
                let tables = (dc.as_ref(), ac.as_ref());
                if scan.progressive {
                    let Some(out) = component.coefficients.get_mut(at * 64..at * 64 + 64) else {
                        return Err(Fault::corrupt("a block outside its component"));
                    };
                    progressive(scan, &mut bits, &mut state, slot, tables, out)?;
                } else {
                    let mut out = [0; 64];
                    sequential(&mut bits, &mut state.dc[slot], tables, &mut out)?;
                    component.put(at, &out)?;
                }
            }
        }
        if bits.is_past_end() {
            return Err(Fault::truncated("its data end within a scan"));
        }
    }
    Ok(bits.at.min(bytes.len()))
}

impl Component {
    /// Turns one block into samples.
    pub(super) fn put(&mut self, at: usize, block: &[i16]) -> Result<(), Fault> {
        let Some(quant) = &self.quant else {
            return Err(Fault::corrupt("a quantisation table is missing"));
        };
        let samples = idct(block, quant);
        let (x, y) = (at % self.stride, at / self.stride);
        for (row, line) in samples.chunks_exact(8).enumerate() {
            let start = ((y * 8 + row) * self.stride + x) * 8;
            if let Some(out) = self.plane.get_mut(start..start + 8) {
                out.copy_from_slice(line);
            }
        }
        Ok(())
    }
}

fn missing() -> Fault {
    Fault::corrupt("a Huffman table is missing")
}

#[expect(clippy::cast_possible_truncation, reason = "coefficients wrap as libjpeg's JCOEF")]
fn sequential(
    bits: &mut Bits<'_>,
    last: &mut i32,
    (dc, ac): (Option<&Huffman>, Option<&Huffman>),
    out: &mut [i16],
) -> Result<(), Fault> {
    let (dc, ac) = (dc.ok_or_else(missing)?, ac.ok_or_else(missing)?);
    let length = u32::from(bits.symbol(dc) & 15);
    *last = last.wrapping_add(bits.extend(length));
    out[0] = *last as i16;
    let mut k = 1;
    while k < 64 {
        let symbol = bits.symbol(ac);
        let (run, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if length == 0 {
            if run != 15 {
                break;
            }
            k += 16;
            continue;
        }
        k += run;
        let value = bits.extend(length);
        if k < 64 {
            out[natural(k)] = value as i16;
        }
        k += 1;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "coefficients wrap as libjpeg's JCOEF")]
fn progressive(
    scan: &Scan,
    bits: &mut Bits<'_>,
    state: &mut State,
    slot: usize,
    (dc, ac): (Option<&Huffman>, Option<&Huffman>),
    out: &mut [i16],
) -> Result<(), Fault> {
    if scan.start == 0 {
        if scan.high > 0 {
            if bits.take(1) == 1 {
                out[0] |= 1 << scan.low;
            }
            return Ok(());
        }
        let length = u32::from(bits.symbol(dc.ok_or_else(missing)?) & 15);
        state.dc[slot] = state.dc[slot].wrapping_add(bits.extend(length));
        out[0] = (state.dc[slot] << scan.low) as i16;
        return Ok(());
    }
    let ac = ac.ok_or_else(missing)?;
    if scan.high > 0 {
        refine(scan, bits, state, ac, out);
        return Ok(());
    }
    if state.band_ends > 0 {
        state.band_ends -= 1;
        return Ok(());
    }
    let mut k = scan.start;
    while k <= scan.end {
        let symbol = bits.symbol(ac);
        let (run, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if length > 0 {
            k += run;
            let value = bits.extend(length) << scan.low;
            if k < 64 {
                out[natural(k)] = value as i16;
            }
            k += 1;
        } else if run == 15 {
            k += 16;
        } else {
            let run = u32::from(symbol >> 4);
            state.band_ends = (1 << run) - 1 + bits.take(run).cast_unsigned();
            break;
        }
    }
    Ok(())
}

fn refine(scan: &Scan, bits: &mut Bits<'_>, state: &mut State, ac: &Huffman, out: &mut [i16]) {
    let step = 1_i16 << scan.low;
    let correct = |bits: &mut Bits<'_>, value: &mut i16| {
        if bits.take(1) == 1 && (*value & step) == 0 {
            *value = value.wrapping_add(if *value >= 0 { step } else { -step });
        }
    };
    let mut k = scan.start;
    if state.band_ends == 0 {
        while k <= scan.end {
            let symbol = bits.symbol(ac);
            let mut run = usize::from(symbol >> 4);
            let mut new = 0;
            if symbol & 15 != 0 {
                new = if bits.take(1) == 1 { step } else { -step };
            } else if run != 15 {
                let run = u32::from(symbol >> 4);
                state.band_ends = (1 << run) + bits.take(run).cast_unsigned();
                break;
            }
            while k <= scan.end {
                let value = &mut out[natural(k)];
                if *value != 0 {
                    correct(bits, value);
                } else if run == 0 {
                    *value = new;
                    break;
                } else {
                    run -= 1;
                }
                k += 1;
            }
            k += 1;
        }
    }
    if state.band_ends > 0 {
        while k <= scan.end {
            let value = &mut out[natural(k)];
            if *value != 0 {
                correct(bits, value);
            }
            k += 1;
        }
        state.band_ends -= 1;
    }
}
