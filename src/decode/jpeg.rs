//! JPEG: baseline, extended and progressive Huffman; grey, YCbCr, RGB, CMYK, YCCK.

use super::wide::wide;

use super::jpeg_frame::{self, Component, Part, Scan};
use super::jpeg_huffman::Huffman;
use super::jpeg_samples::{Plane, interleave};
use super::jpeg_scan;
use super::limits::{Fault, Limits};
use super::window::{Window, sampled};
use crate::flow::{ImageHeader, Pixels};

/// One marker segment, without its length.
pub(super) struct Segment<'a> {
    /// Second byte of the marker.
    pub(super) marker: u8,
    /// What follows the length; empty for markers without one.
    pub(super) body: &'a [u8],
}

/// The segments up to and with the first start of scan (ITU-T T.81, B.1.1).
pub(super) fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let (segment, after) = next_segment(rest)?;
        over = segment.marker == 0xda;
        rest = after;
        Some(segment)
    })
}

/// The next marker, past fill bytes and rubbish, as libjpeg's `next_marker`.
fn next_segment(bytes: &[u8]) -> Option<(Segment<'_>, &[u8])> {
    let mut at = 0;
    let marker = loop {
        at += bytes.get(at..)?.iter().position(|b| *b == 0xff)?;
        match bytes.get(at + 1)? {
            0 => at += 2,
            0xff => at += 1,
            marker => break *marker,
        }
    };
    let rest = bytes.get(at + 2..)?;
    if matches!(marker, 0x01 | 0xd0..=0xd9) {
        return Some((Segment { marker, body: &[] }, rest));
    }
    let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
    let body = rest.get(2..length)?;
    Some((Segment { marker, body }, rest.get(length..)?))
}

/// Whether an end-of-image marker follows the scans.
fn has_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Some((segment, after)) = next_segment(rest) {
        if segment.marker == 0xd9 {
            return true;
        }
        rest = after;
    }
    false
}

/// What the start of frame says.
struct Frame {
    marker: u8,
    bits: u8,
    width_px: u32,
    height_px: u32,
    components: u8,
    /// Transform of the Adobe segment, if there is one.
    adobe: Option<u8>,
    scan: bool,
}

fn frame(bytes: &[u8]) -> Result<Frame, Fault> {
    let mut found: Option<Frame> = None;
    let mut adobe = None;
    let mut scan = false;
    for Segment { marker, body } in segments(bytes) {
        match marker {
            0xee if body.starts_with(b"Adobe") && body.len() >= 12 => adobe = Some(body[11]),
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [bits, h1, h0, w1, w0, components, ..] = *body else {
                    return Err(Fault::corrupt("its frame header is too short"));
                };
                let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
                found = Some(Frame {
                    marker,
                    bits,
                    width_px: side(w1, w0),
                    height_px: side(h1, h0),
                    components,
                    adobe: None,
                    scan: false,
                });
            }
            0xda => scan = true,
            _ => {}
        }
    }
    match found {
        Some(frame) => Ok(Frame { adobe, scan, ..frame }),
        None if has_end(bytes) => Err(Fault::corrupt("holds no frame header")),
        None => Err(Fault::truncated("ends before its frame header")),
    }
}

pub(super) fn header(bytes: &[u8]) -> Result<ImageHeader, Fault> {
    let frame = frame(bytes)?;
    let mode = match frame.components {
        1 => "L",
        3 => "RGB",
        4 => "CMYK",
        other => return Err(Fault::unsupported(format!("a JPEG of {other} components"))),
    };
    let (width_px, height_px) = (frame.width_px, frame.height_px);
    Ok(ImageHeader { width_px, height_px, format: "JPEG", mode })
}

/// The pixels within `window`; those outside are black.
pub(super) fn decode(
    bytes: &[u8],
    header: &ImageHeader,
    limits: &Limits,
    window: &Window,
) -> Result<Pixels, Fault> {
    let frame = frame(bytes)?;
    if frame.bits != 8 {
        return Err(Fault::unsupported(format!("a JPEG of {} bits", frame.bits)));
    }
    match frame.marker {
        0xc0..=0xc2 => {}
        0xc3 => return Err(Fault::unsupported("a lossless JPEG")),
        0xc9..=0xcb => return Err(Fault::unsupported("an arithmetic-coded JPEG")),
        other => return Err(Fault::unsupported(format!("a JPEG of process {other:#04x}"))),
    }
    if !frame.scan {
        return Err(Fault::truncated("ends before its first scan"));
    }
    // samples of all components in whole blocks, the RGB, and coefficients if progressive
    let components = u64::from(frame.components);
    let per_sample = if frame.marker == 0xc2 { 3 } else { 1 };
    limits.check_memory(header, components * per_sample + 3)?;
    let mut image = Image::new(window);
    image.read(bytes, limits)?;
    image.rgb(header, frame.adobe.is_some())
}

/// A JPEG while it is read.
struct Image {
    window: Window,
    quants: [Option<[i16; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    restart_every: usize,
    progressive: bool,
    components: Vec<Component>,
    h_max: usize,
    v_max: usize,
    mcus: (usize, usize),
    jfif: bool,
    transform: Option<u8>,
}

impl Image {
    fn new(window: &Window) -> Self {
        Self {
            window: window.clone(),
            quants: [None; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            restart_every: 0,
            progressive: false,
            components: Vec::new(),
            h_max: 0,
            v_max: 0,
            mcus: (0, 0),
            jfif: false,
            transform: None,
        }
    }

    fn read(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
        let mut rest = bytes.get(2..).unwrap_or_default();
        let mut seen = std::collections::BTreeSet::new();
        while let Some((Segment { marker, body }, after)) = next_segment(rest) {
            rest = after;
            match marker {
                0xd9 => break,
                0xdb => self.quantisation(body)?,
                0xc4 => self.huffman(body)?,
                0xdd if body.len() >= 2 => {
                    self.restart_every = usize::from(u16::from_be_bytes([body[0], body[1]]));
                }
                0xe0 if body.starts_with(b"JFIF\0") => self.jfif = true,
                0xee if body.starts_with(b"Adobe") && body.len() >= 12 => {
                    self.transform = Some(body[11]);
                }
                0xc0..=0xc2 => self.start(body, marker == 0xc2, limits)?,
                0xda => {
                    let used = self.scanned(body, rest, &mut seen)?;
                    rest = rest.get(used..).unwrap_or_default();
                    // libjpeg waits for the end marker only where more scans may come
                    if !self.progressive && seen.len() == self.components.len() {
                        return Ok(());
                    }
                    if next_segment(rest).is_none() {
                        return Err(Fault::truncated("ends between its scans"));
                    }
                }
                0x01 | 0xcc | 0xd0..=0xd7 | 0xdc | 0xdd | 0xe0..=0xef | 0xfe => {}
                other => return Err(Fault::corrupt(format!("an unknown marker {other:#04x}"))),
            }
        }
        if seen.is_empty() {
            return Err(Fault::truncated("holds no scan"));
        }
        let progressive = self.progressive;
        for component in self.components.iter_mut().filter(|_| progressive) {
            wide(
                #[inline(always)]
                || component.finish(),
            )?;
        }
        Ok(())
    }

    /// Reads one scan; gives how many bytes it took.
    fn scanned(
        &mut self,
        body: &[u8],
        rest: &[u8],
        seen: &mut std::collections::BTreeSet<usize>,
    ) -> Result<usize, Fault> {
        let mut components = std::mem::take(&mut self.components);
        let scan = self.scan(body, &components)?;
        for part in &scan.parts {
            seen.insert(part.component);
            let component = &mut components[part.component];
            // the table of the first scan holds, also when it is redefined later
            component.quant = component.quant.or(self.quants[component.table]);
        }
        let used = wide(
            #[inline(always)]
            || jpeg_scan::run(&scan, &mut components, rest),
        )?;
        self.components = components;
        Ok(used)
    }

    fn quantisation(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        while let Some((kind, values)) = body.split_first() {
            let wide = usize::from(kind >> 4 != 0) + 1;
            let (Some(slot), Some(raw)) =
                (self.quants.get_mut(usize::from(kind & 15)), values.get(..64 * wide))
            else {
                return Err(Fault::corrupt("a broken quantisation table"));
            };
            let mut table = [0_i16; 64];
            for (k, value) in raw.chunks_exact(wide).enumerate() {
                let value = value.iter().fold(0, |sum: u16, b| (sum << 8) | u16::from(*b));
                table[jpeg_frame::natural(k)] = value.cast_signed();
            }
            *slot = Some(table);
            body = &values[64 * wide..];
        }
        Ok(())
    }

    fn huffman(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        let broken = || Fault::corrupt("a broken Huffman table");
        while let Some((kind, rest)) = body.split_first() {
            let counts = rest.get(..16).ok_or_else(broken)?;
            if kind >> 4 > 1 {
                return Err(broken());
            }
            let total = counts.iter().map(|c| usize::from(*c)).sum::<usize>();
            let symbols = rest.get(16..16 + total).ok_or_else(broken)?;
            let tables = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            // one that makes no code is an error only where it is used
            *tables.get_mut(usize::from(kind & 15)).ok_or_else(broken)? =
                Huffman::new(counts, symbols);
            body = &rest[16 + total..];
        }
        Ok(())
    }

    fn start(&mut self, body: &[u8], progressive: bool, limits: &Limits) -> Result<(), Fault> {
        if !self.components.is_empty() {
            return Err(Fault::corrupt("a second frame header"));
        }
        let broken = || Fault::corrupt("a broken frame header");
        let count = usize::from(*body.get(5).ok_or_else(broken)?);
        let specs = body.get(6..).filter(|specs| specs.len() == 3 * count).ok_or_else(broken)?;
        let (height, width) = (
            usize::from(u16::from_be_bytes([body[1], body[2]])),
            usize::from(u16::from_be_bytes([body[3], body[4]])),
        );
        let sampling = |spec: &[u8]| (usize::from(spec[1] >> 4), usize::from(spec[1] & 15));
        for spec in specs.chunks_exact(3) {
            let (h, v) = sampling(spec);
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) || spec[2] > 3 {
                return Err(Fault::corrupt("impossible sampling factors"));
            }
            self.h_max = self.h_max.max(h);
            self.v_max = self.v_max.max(v);
        }
        self.progressive = progressive;
        self.mcus = (width.div_ceil(8 * self.h_max), height.div_ceil(8 * self.v_max));
        let blocks: usize =
            specs.chunks_exact(3).map(|s| sampling(s).0 * sampling(s).1).sum::<usize>()
                * self.mcus.0
                * self.mcus.1;
        let per_block = if progressive { 192 } else { 64 };
        limits.check_total((blocks * per_block + width * height * 3) as u64)?;
        for spec in specs.chunks_exact(3) {
            let (h, v) = sampling(spec);
            let stride = self.mcus.0 * h;
            let blocks = stride * self.mcus.1 * v;
            let [across, down] = [
                (&self.window.x, h, self.h_max, stride),
                (&self.window.y, v, self.v_max, self.mcus.1 * v),
            ]
            .map(|(pixels, part, whole, blocks)| {
                let samples = sampled(pixels, part, whole, blocks * 8);
                samples.start / 8..samples.end.div_ceil(8)
            });
            self.components.push(Component {
                id: spec[0],
                h,
                v,
                table: usize::from(spec[2]),
                blocks_x: (width * h).div_ceil(8 * self.h_max),
                blocks_y: (height * v).div_ceil(8 * self.v_max),
                stride,
                wanted: (across, down),
                plane: vec![0; blocks * 64],
                coefficients: vec![[0; 64]; if progressive { blocks } else { 0 }],
                quant: None,
            });
        }
        Ok(())
    }

    fn scan(&self, body: &[u8], components: &[Component]) -> Result<Scan<'_>, Fault> {
        let broken = || Fault::corrupt("a broken scan header");
        let count = usize::from(*body.first().ok_or_else(broken)?);
        let specs = body.get(1..1 + 2 * count).ok_or_else(broken)?;
        let [start, end, approximation] = *body.get(1 + 2 * count..).unwrap_or_default() else {
            return Err(broken());
        };
        let mut parts: Vec<Part<'_>> = Vec::new();
        for spec in specs.chunks_exact(2) {
            let component = components.iter().position(|c| c.id == spec[0]).ok_or_else(broken)?;
            if parts.iter().any(|part| part.component == component) {
                return Err(broken());
            }
            let (dc, ac) = (usize::from(spec[1] >> 4), usize::from(spec[1] & 15));
            let dc = self.dc.get(dc).and_then(Option::as_ref);
            let ac = self.ac.get(ac).and_then(Option::as_ref);
            parts.push(Part { component, dc, ac });
        }
        let blocks = |part: &Part<'_>| components[part.component].h * components[part.component].v;
        if parts.len() > 1 && parts.iter().map(blocks).sum::<usize>() > 10 {
            return Err(Fault::corrupt("more than ten blocks in a unit of its scan"));
        }
        let (high, low) = (u32::from(approximation >> 4), u32::from(approximation & 15));
        let band = if start == 0 { end == 0 } else { start <= end && end < 64 && count == 1 };
        let step = high == 0 || low + 1 == high;
        if parts.is_empty() || parts.len() > 4 || (self.progressive && !(band && step && low <= 13))
        {
            return Err(broken());
        }
        Ok(Scan {
            parts,
            start: start.into(),
            end: end.into(),
            high,
            low,
            progressive: self.progressive,
            restart_every: self.restart_every,
            mcus: self.mcus,
        })
    }

    /// libjpeg's guess of the color space (`default_decompress_parms`).
    fn is_transformed(&self) -> bool {
        let ids: Vec<u8> = self.components.iter().map(|c| c.id).collect();
        match (self.components.len(), self.jfif, self.transform) {
            (3, true, _) => true,
            (3, false, Some(transform)) => transform != 0,
            (3, false, None) => ids != *b"RGB",
            (4, _, Some(transform)) => transform != 0,
            _ => false,
        }
    }

    fn rgb(&self, header: &ImageHeader, inverted: bool) -> Result<Pixels, Fault> {
        let (width, height) = (header.width_px as usize, header.height_px as usize);
        let mut planes = Vec::new();
        for c in &self.components {
            if !self.h_max.is_multiple_of(c.h) || !self.v_max.is_multiple_of(c.v) {
                return Err(Fault::unsupported("fractional sampling factors"));
            }
            let samples = (width * c.h).div_ceil(self.h_max);
            planes.push(Plane {
                samples: &c.plane,
                stride: c.stride * 8,
                width: samples,
                columns: sampled(&self.window.x, c.h, self.h_max, samples),
                height: (height * c.v).div_ceil(self.v_max),
                grow_x: self.h_max / c.h,
                grow_y: self.v_max / c.v,
            });
        }
        let transformed = self.is_transformed();
        let data = wide(
            #[inline(always)]
            || interleave(&planes, (width, height), &self.window, transformed, inverted),
        );
        if data.len() != width * height * 3 {
            return Err(Fault::unsupported("an odd number of components"));
        }
        Ok(Pixels { width_px: header.width_px, height_px: header.height_px, data })
    }
}
