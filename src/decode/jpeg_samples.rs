//! From coefficients to samples, bit for bit as libjpeg-turbo: the accurate integer IDCT
//! (`jidctint.c`), "fancy" upsampling (`jdsample.c`) and YCbCr to RGB (`jdcolor.c`).

use super::pillow::clip;

#[expect(clippy::cast_possible_truncation, reason = "16-bit products, as libjpeg-turbo's SIMD")]
pub(super) fn idct(block: &[i16], quant: &[u16; 64]) -> [u8; 64] {
    let mut work = [0_i64; 64];
    for ((out, c), q) in work.iter_mut().zip(block).zip(quant) {
        *out = i64::from(c.wrapping_mul(q.cast_signed()));
    }
    for x in 0..8 {
        pass(&mut work, x, 8, 11);
    }
    for y in 0..8 {
        pass(&mut work, y * 8, 1, 18);
    }
    work.map(|v| clip(v.clamp(-1024, 1023) as i32 + 128))
}

fn pass(work: &mut [i64; 64], at: usize, step: usize, shift: u32) {
    let get = |i: usize| work[at + i * step];
    let z1 = (get(2) + get(6)) * 4433;
    let (t2, t3) = (z1 - get(6) * 15137, z1 + get(2) * 6270);
    let (t0, t1) = ((get(0) + get(4)) << 13, (get(0) - get(4)) << 13);
    let even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3];
    let (a, b, c, d) = (get(7), get(5), get(3), get(1));
    let z5 = (a + c + b + d) * 9633;
    let (z1, z2) = ((a + d) * -7373, (b + c) * -20995);
    let (z3, z4) = ((a + c) * -16069 + z5, (b + d) * -3196 + z5);
    let odd = [d * 12299 + z1 + z4, c * 25172 + z2 + z3, b * 16819 + z2 + z4, a * 2446 + z1 + z3];
    let round = 1 << (shift - 1);
    for i in 0..4 {
        work[at + i * step] = (even[i] + odd[i] + round) >> shift;
        work[at + (7 - i) * step] = (even[i] - odd[i] + round) >> shift;
    }
}

/// A component's samples and how much larger it becomes.
pub(super) struct Plane<'a> {
    pub(super) samples: &'a [u8],
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) grow_x: usize,
    pub(super) grow_y: usize,
}

impl Plane<'_> {
    fn line(&self, y: usize) -> &[u8] {
        let y = y.min(self.height - 1);
        &self.samples[y * self.stride..y * self.stride + self.width]
    }

    /// One line of the whole image, `out.len()` samples wide.
    pub(super) fn upsampled(&self, y: usize, out: &mut [u8]) {
        let near = y / self.grow_y;
        // even output lines lean on the line above, odd ones on the line below
        let beside = if y % 2 == 0 { near.saturating_sub(1) } else { near + 1 };
        let smooth = self.width > 2;
        match (self.grow_x, self.grow_y) {
            (1, 1) => out.copy_from_slice(&self.line(near)[..out.len()]),
            (2, 1) if smooth => {
                let line = self.line(near);
                widen(out, self.width, |i| u32::from(line[i]) * 4, [4, 8], 4);
            }
            (2, 2) if smooth => {
                let (line, other) = (self.line(near), self.line(beside));
                let sum = |i: usize| 3 * u32::from(line[i]) + u32::from(other[i]);
                widen(out, self.width, sum, [8, 7], 4);
            }
            (1, 2) => {
                let (line, other) = (self.line(near), self.line(beside));
                let bias = if y % 2 == 0 { 1 } else { 2 };
                for ((out, a), b) in out.iter_mut().zip(line).zip(other) {
                    let sum = 3 * u32::from(*a) + u32::from(*b) + bias;
                    *out = u8::try_from(sum >> 2).unwrap_or(u8::MAX);
                }
            }
            (grow, _) => {
                let line = self.line(near);
                for (x, out) in out.iter_mut().enumerate() {
                    *out = line[(x / grow).min(line.len() - 1)];
                }
            }
        }
    }
}

/// Triangle filter to twice the width: three parts of the near sum and one of the next.
fn widen(out: &mut [u8], width: usize, sum: impl Fn(usize) -> u32, bias: [u32; 2], shift: u32) {
    for (x, out) in out.iter_mut().enumerate() {
        let i = x / 2;
        let other = if x % 2 == 0 { i.saturating_sub(1) } else { (i + 1).min(width - 1) };
        let value = (3 * sum(i) + sum(other) + bias[x % 2]) >> shift;
        *out = u8::try_from(value).unwrap_or(u8::MAX);
    }
}

/// JFIF YCbCr to RGB in 16-bit fixed point.
pub(super) fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    [
        clip(y + ((91_881 * cr + 32_768) >> 16)),
        clip(y + ((-22_554 * cb - 46_802 * cr + 32_768) >> 16)),
        clip(y + ((116_130 * cb + 32_768) >> 16)),
    ]
}
