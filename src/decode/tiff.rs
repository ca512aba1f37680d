//! TIFF and BigTIFF: the first image.

use std::io::Cursor;

use ::tiff::decoder::{Decoder, DecodingResult};
use ::tiff::tags::Tag;
use ::tiff::{ColorType, TiffError};

use super::limits::{Fault, Limits};
use super::{pillow, raster};
use crate::flow::{ImageHeader, Pixels, RejectClass};

fn open(bytes: &[u8], memory: u64) -> Result<Decoder<Cursor<&[u8]>>, Fault> {
    let mut caps = ::tiff::decoder::Limits::default();
    let memory = usize::try_from(memory).unwrap_or(usize::MAX);
    caps.decoding_buffer_size = memory;
    caps.intermediate_buffer_size = memory;
    Ok(Decoder::new(Cursor::new(bytes)).map_err(|e| fault(&e))?.with_limits(caps))
}

pub(super) fn header(bytes: &[u8]) -> Result<ImageHeader, Fault> {
    let mut decoder = open(bytes, 1 << 20)?;
    let (width_px, height_px) = decoder.dimensions().map_err(|e| fault(&e))?;
    let mode = match decoder.colortype().map_err(|e| fault(&e))? {
        ColorType::Gray(1) => "1",
        ColorType::Gray(16) => "I;16",
        ColorType::Gray(32) => "F",
        ColorType::Gray(_) => "L",
        ColorType::GrayA(_) => "LA",
        ColorType::RGBA(_) => "RGBA",
        ColorType::Palette(_) => "P",
        ColorType::CMYK(_) => "CMYK",
        ColorType::YCbCr(_) => "YCbCr",
        ColorType::Lab(_) => "LAB",
        ColorType::RGB(_) => "RGB",
        other => return Err(Fault::unsupported(format!("a TIFF of type {other:?}"))),
    };
    Ok(ImageHeader { width_px, height_px, format: "TIFF", mode })
}

pub(super) fn decode(
    bytes: &[u8],
    header: &ImageHeader,
    limits: &Limits,
) -> Result<Pixels, Fault> {
    let mut decoder = open(bytes, limits.memory_bytes)?;
    let color = decoder.colortype().map_err(|e| fault(&e))?;
    let samples = u64::from(color.num_samples());
    let bits = u64::from(color.bit_depth());
    // the decoded samples, one strip of them again, and the RGB
    limits.check_memory(header, (2 * samples * bits).div_ceil(8).saturating_add(3))?;
    let layout = decoder.image_buffer_layout().map_err(|e| fault(&e))?;
    limits.check_total(layout.len as u64)?;
    let mut image = DecodingResult::U8(Vec::new());
    decoder.read_image_to_buffer(&mut image).map_err(|e| fault(&e))?;
    let palette = match color {
        ColorType::Palette(_) => decoder.get_tag_u16_vec(Tag::ColorMap).map_err(|e| fault(&e))?,
        _ => Vec::new(),
    };
    let planes = layout.plane_stride.map_or(1, |stride| layout.len / stride.get());
    let (width, height) = (header.width_px as usize, header.height_px as usize);
    let area = width * height;
    let grid = Grid { width, area, samples: color.num_samples().into(), planar: planes > 1 };
    let data = match image {
        DecodingResult::U8(raw) => grid.bytes(&raw, color, &palette)?,
        DecodingResult::U16(raw) => match color {
            ColorType::Gray(_) => grid.grey(&raw, |v| pillow::clip(i32::from(v))),
            _ => {
                let raw: Vec<u8> = raw.into_iter().map(pillow::high).collect();
                grid.bytes(&raw, color, &palette)?
            }
        },
        DecodingResult::F32(raw) if samples == 1 => grid.grey(&raw, pillow::clip_float),
        DecodingResult::I16(raw) if samples == 1 => {
            grid.grey(&raw, |v| pillow::clip(i32::from(v)))
        }
        DecodingResult::I32(raw) if samples == 1 => grid.grey(&raw, pillow::clip),
        DecodingResult::U32(raw) if samples == 1 => {
            // Pillow reads them as `I`, which is signed
            grid.grey(&raw, |v| pillow::clip(v.cast_signed()))
        }
        _ => return Err(Fault::unsupported(format!("a TIFF of {color:?} in {bits} bits"))),
    };
    if data.len() != area * 3 {
        return Err(Fault::corrupt(format!("expected {} bytes, got {}", area * 3, data.len())));
    }
    Ok(Pixels { width_px: header.width_px, height_px: header.height_px, data })
}

/// How samples lie in the decoded buffer.
struct Grid {
    width: usize,
    area: usize,
    samples: usize,
    planar: bool,
}

impl Grid {
    fn grey<T: Copy>(&self, raw: &[T], to_byte: impl Fn(T) -> u8) -> Vec<u8> {
        raw.iter().take(self.area).flat_map(|v| [to_byte(*v); 3]).collect()
    }

    fn bytes(&self, raw: &[u8], color: ColorType, palette: &[u16]) -> Result<Vec<u8>, Fault> {
        let mapped = |index: u8| {
            let entries = palette.len() / 3;
            let band = |b: usize| {
                palette.get(b * entries + usize::from(index)).map_or(0, |v| pillow::high(*v))
            };
            [band(0), band(1), band(2)]
        };
        Ok(match color {
            ColorType::Gray(8) => self.grey(raw, |v| v),
            ColorType::Gray(bits @ (1 | 2 | 4)) => {
                let scale = 255 / ((1 << bits) - 1);
                self.grey(&self.unpacked(raw, bits), |v| v * scale)
            }
            ColorType::Palette(8) => raw.iter().flat_map(|i| mapped(*i)).collect(),
            ColorType::Palette(bits @ (1 | 2 | 4)) => {
                self.unpacked(raw, bits).into_iter().flat_map(mapped).collect()
            }
            ColorType::GrayA(8 | 16) => self.pixels(raw, |p| [p[0]; 3]),
            ColorType::RGB(8 | 16) | ColorType::RGBA(8 | 16) => {
                self.pixels(raw, |p| [p[0], p[1], p[2]])
            }
            ColorType::CMYK(8 | 16) | ColorType::CMYKA(8 | 16) => {
                self.pixels(raw, |p| pillow::cmyk([p[0], p[1], p[2], p[3]]))
            }
            ColorType::YCbCr(8) => self.pixels(raw, |p| pillow::ycbcr([p[0], p[1], p[2]])),
            other => return Err(Fault::unsupported(format!("a TIFF of type {other:?}"))),
        })
    }

    fn pixels(&self, raw: &[u8], to_rgb: impl Fn(&[u8]) -> [u8; 3]) -> Vec<u8> {
        if !self.planar {
            return raw.chunks_exact(self.samples).flat_map(to_rgb).collect();
        }
        let mut pixel = vec![0; self.samples];
        let mut data = Vec::with_capacity(self.area * 3);
        for at in 0..self.area {
            for (plane, sample) in pixel.iter_mut().enumerate() {
                *sample = raw.get(plane * self.area + at).copied().unwrap_or_default();
            }
            data.extend(to_rgb(&pixel));
        }
        data
    }

    /// Samples of fewer than 8 bits, most significant first, rows padded to bytes.
    fn unpacked(&self, raw: &[u8], bits: u8) -> Vec<u8> {
        let per_byte = usize::from(8 / bits);
        let mask = (1_u8 << bits) - 1;
        let mut out = Vec::with_capacity(self.area);
        for row in raw.chunks_exact(self.width.div_ceil(per_byte)) {
            out.extend((0..self.width).map(|x| {
                let shift = (per_byte - 1 - x % per_byte) * usize::from(bits);
                (row[x / per_byte] >> shift) & mask
            }));
        }
        out
    }
}

fn fault(error: &TiffError) -> Fault {
    match error {
        TiffError::IoError(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            Fault::truncated(error.to_string())
        }
        TiffError::UnsupportedError(_) => Fault::unsupported(error.to_string()),
        TiffError::LimitsExceeded => Fault::new(RejectClass::ImageTooLarge, error.to_string()),
        other => raster::of_text(other.to_string()),
    }
}
