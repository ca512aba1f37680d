//! The accurate integer IDCT as a formula, on any processor.

/// Fixed-point constants, 13 fractional bits (`FIX_0_298631336` and so on).
pub(super) const F_0_298: i32 = 2446;
pub(super) const F_0_390: i32 = 3196;
pub(super) const F_0_541: i32 = 4433;
pub(super) const F_0_765: i32 = 6270;
pub(super) const F_0_899: i32 = 7373;
pub(super) const F_1_175: i32 = 9633;
pub(super) const F_1_501: i32 = 12299;
pub(super) const F_1_847: i32 = 15137;
pub(super) const F_1_961: i32 = 16069;
pub(super) const F_2_053: i32 = 16819;
pub(super) const F_2_562: i32 = 20995;
pub(super) const F_3_072: i32 = 25172;

type Lanes = [[i16; 8]; 8];

/// One pass over the first index, all eight lanes side by side.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "saturated before it is packed")]
fn pass<const SHIFT: u32>(from: &Lanes, to: &mut Lanes) {
    for lane in 0..8 {
        let wide = |row: usize| i32::from(from[row][lane]);
        let sum = |a: usize, b: usize| i32::from(from[a][lane].wrapping_add(from[b][lane]));
        let (i2, i6) = (wide(2), wide(6));
        let t3 = i2 * (F_0_541 + F_0_765) + i6 * F_0_541;
        let t2 = i2 * F_0_541 + i6 * (F_0_541 - F_1_847);
        let t0 = sum(0, 4) << 13;
        let t1 = i32::from(from[0][lane].wrapping_sub(from[4][lane])) << 13;
        let even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3];
        let (z3, z4) = (sum(3, 7), sum(1, 5));
        let (z3, z4) =
            (z3 * (F_1_175 - F_1_961) + z4 * F_1_175, z3 * F_1_175 + z4 * (F_1_175 - F_0_390));
        let (a, b, c, d) = (wide(7), wide(5), wide(3), wide(1));
        let odd = [
            d * (F_1_501 - F_0_899) - a * F_0_899 + z4,
            c * (F_3_072 - F_2_562) - b * F_2_562 + z3,
            b * (F_2_053 - F_2_562) - c * F_2_562 + z4,
            a * (F_0_298 - F_0_899) - d * F_0_899 + z3,
        ];
        let packed = |v: i32| {
            (v.wrapping_add(1 << (SHIFT - 1)) >> SHIFT)
                .clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
        };
        for i in 0..4 {
            to[i][lane] = packed(even[i].wrapping_add(odd[i]));
            to[7 - i][lane] = packed(even[i].wrapping_sub(odd[i]));
        }
    }
}

#[inline(always)]
fn transposed(from: &Lanes) -> Lanes {
    let mut to = [[0; 8]; 8];
    for y in 0..8 {
        for x in 0..8 {
            to[x][y] = from[y][x];
        }
    }
    to
}

/// The sample that a value around zero stands for.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
pub(super) fn sample(value: i16) -> u8 {
    (value.clamp(-128, 127) + 128) as u8
}

/// Samples of a block, row by row.
#[inline(always)]
pub(super) fn idct(block: &[i16; 64], quant: &[i16; 64]) -> [[u8; 8]; 8] {
    let mut rows: Lanes = [[0; 8]; 8];
    for y in 0..8 {
        for x in 0..8 {
            rows[y][x] = block[y * 8 + x].wrapping_mul(quant[y * 8 + x]);
        }
    }
    let mut work = [[0; 8]; 8];
    pass::<11>(&rows, &mut work);
    pass::<18>(&transposed(&work), &mut rows);
    let mut lines = [0; 8];
    for (line, row) in lines.iter_mut().zip(&rows) {
        *line = u64::from_le_bytes(row.map(sample));
    }
    turned(lines).map(u64::to_le_bytes)
}

/// Eight rows of eight bytes, the first byte the lowest, as columns: blocks of four, two and one
/// bytes change places (Warren, Hacker's Delight, 7-3).
#[inline(always)]
fn turned(mut rows: [u64; 8]) -> [u64; 8] {
    for (apart, mask) in
        [(4, 0x0000_0000_ffff_ffff), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ff)]
    {
        let shift = 8 * apart;
        for i in (0..8).filter(|i| i & apart == 0) {
            let (a, b) = (rows[i], rows[i + apart]);
            let differ = ((a >> shift) ^ b) & mask;
            rows[i] = a ^ (differ << shift);
            rows[i + apart] = b ^ differ;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        let of = |x: usize, y: usize| u8::try_from(8 * x + y).unwrap();
        let rows = std::array::from_fn(|x| u64::from_le_bytes(std::array::from_fn(|y| of(x, y))));
        for (y, row) in turned(rows).into_iter().enumerate() {
            assert_eq!(row.to_le_bytes(), std::array::from_fn(|x| of(x, y)));
        }
    }
}
