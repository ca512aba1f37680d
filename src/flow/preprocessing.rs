//! How an image becomes a model's input.

/// Settings that a model's own files fix; part of the fingerprint of every feature.
///
/// The steps, in order: convert to RGB, resize so that the shortest side is `size_px`
/// (antialiased, filter `resample`), crop the centre `size_px` × `size_px`, scale to 0…1,
/// subtract `mean` and divide by `std`, channels first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preprocessing {
    /// Side of the square input, in pixels.
    pub size_px: u32,
    /// Filter of the resize.
    pub resample: Resample,
    /// Mean of each channel, in 0…1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, in 0…1.
    pub std: [f32; 3],
    /// How an image of another shape is fitted.
    pub fit: Fit,
}

/// A resize filter, with Pillow's coefficients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Resample {
    /// `PIL.Image.NEAREST`
    Nearest,
    /// `PIL.Image.BILINEAR`
    Bilinear,
    /// `PIL.Image.BICUBIC` (a = -0.5)
    Bicubic,
    /// `PIL.Image.LANCZOS` (3 lobes)
    Lanczos,
}

/// How an image that is no square becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Fit {
    /// Shortest side to the size, then the centre (every published CLIP).
    ShortestThenCentre,
    /// Both sides to the size, shape lost (open_clip's `squash`).
    Squash,
}

/// What 8-bit levels are to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Mean of each channel, in 0…1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, in 0…1.
    pub std: [f32; 3],
    /// The number of each level, by channel.
    pub numbers: [[f32; 256]; 3],
    /// One over each deviation, where [`normalised`] gives every number by it, to the bit.
    pub reciprocals: Option<[f32; 3]>,
}

/// The number of a level without a division, which vectors are slow at: a quotient is a product with
/// the rounded reciprocal, and the remainder added (Markstein, "Computation of elementary functions on
/// the IBM RISC System/6000 processor", 1990).
#[must_use]
#[inline(always)]
pub fn normalised(level: u8, mean: f32, std: f32, reciprocal: f32) -> f32 {
    let share = quotient(f32::from(level), 255.0, 1.0 / 255.0);
    quotient(share - mean, std, reciprocal)
}

#[inline(always)]
fn quotient(number: f32, divisor: f32, reciprocal: f32) -> f32 {
    let near = number * reciprocal;
    (-near).mul_add(divisor, number).mul_add(reciprocal, near)
}

/// Mean of OpenAI's CLIP (`clip/clip.py`).
pub const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Standard deviation of OpenAI's CLIP (`clip/clip.py`).
pub const CLIP_STD: [f32; 3] = [0.268_629_55, 0.261_302_6, 0.275_777_1];

impl Preprocessing {
    /// OpenAI's CLIP at `size_px`.
    #[must_use]
    pub fn clip(size_px: u32) -> Self {
        Self {
            size_px,
            resample: Resample::Bicubic,
            mean: CLIP_MEAN,
            std: CLIP_STD,
            fit: Fit::ShortestThenCentre,
        }
    }

    /// The model's number for each level of each channel: as torchvision's `ToTensor` and
    /// `Normalize` compute it, in f32 and in this order.
    #[must_use]
    pub fn scale(&self) -> Scale {
        let mut numbers = [[0.0; 256]; 3];
        for ((table, mean), std) in numbers.iter_mut().zip(self.mean).zip(self.std) {
            for (number, level) in table.iter_mut().zip(0_u8..=255) {
                *number = (f32::from(level) / 255.0 - mean) / std;
            }
        }
        let reciprocals = self.std.map(|std| 1.0 / std);
        let is_exact = (0..3).all(|channel| {
            let (mean, std, reciprocal) =
                (self.mean[channel], self.std[channel], reciprocals[channel]);
            (0_u8..=255).zip(numbers[channel]).all(|(level, number)| {
                normalised(level, mean, std, reciprocal).to_bits() == number.to_bits()
            })
        });
        let reciprocals = is_exact.then_some(reciprocals);
        Scale { mean: self.mean, std: self.std, numbers, reciprocals }
    }
}
